"""A Hermes stand-in that keeps each release's habits: the backend of ``demo`` and of the tests.

It shares no code with the proxy: a stand-in that shared it would share its mistakes.
"""

from proxy.demo.habits import RELEASES, CancelOrder, Fate, Faults, Pace
from proxy.demo.server import Backend

__all__ = ["RELEASES", "Backend", "CancelOrder", "Fate", "Faults", "Pace"]
