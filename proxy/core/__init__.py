"""Who owns a session: pure decisions over records, with time as data.

Nothing here does I/O, reads a clock or logs. A shell feeds observations, carries out effects, and holds the sockets.
"""
