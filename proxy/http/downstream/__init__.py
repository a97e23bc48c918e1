"""The browsers' side: what they send becomes requests, and what they are answered becomes bytes."""
