"""What is believed of every session and its streams, and the limits in force."""
