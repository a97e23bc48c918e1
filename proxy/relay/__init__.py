"""Event streams, passed on to browsers: what is seen in them, and how each ends."""
