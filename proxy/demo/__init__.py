"""A Hermes stand-in that keeps each release's habits: the backend of ``demo`` and of the tests.

It shares no code with the proxy: a stand-in that shared it would share its mistakes.
"""

from proxy.demo.habits import EVERY, RELEASES, CancelOrder, Fate, Faults, Pace
from proxy.demo.ledger import ModelEnd
from proxy.demo.refusals import REFUSALS
from proxy.demo.server import Backend

__all__ = ["EVERY", "REFUSALS", "RELEASES", "Backend", "CancelOrder", "Fate", "Faults", "ModelEnd", "Pace"]
