"""Hermes Stream Guard: a reverse proxy that makes stream ownership true."""

__version__ = "0.1.0"
