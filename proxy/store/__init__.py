"""Where the session records live: a compare-and-set over one record at a time."""
