"""Hermes as the proxy asks it: its calls, whether it can be reached, and which workers run."""
