"""How many connections each client has open."""

from __future__ import annotations

import logging
from collections import Counter
from enum import Enum, auto
from typing import TYPE_CHECKING

from proxy.http.clients import is_within, neighbourhood
from proxy.http.errors import TooManyConnectionsError

if TYPE_CHECKING:
    from proxy.http.downstream.rules import Rules

log = logging.getLogger(__name__)


class Admission(Enum):
    """What becomes of a connection."""

    SERVED = auto()
    REFUSED = auto()
    """One too many: its first request is answered that it is, and it ends."""
    DROPPED = auto()
    """There are as many again that are being refused: it ends at once."""

    def check(self, limit: int) -> None:
        """Let a request pass, or not.

        Args:
            limit: Connections that a client may have open.

        Raises:
            TooManyConnectionsError: it came on one too many.
        """
        if self is not Admission.SERVED:
            raise TooManyConnectionsError(
                f"Your address has more than {limit} connections open; close some and try again."
            )


class ConnectionLimit:
    """Counts connections by client: an IPv4 address, or an IPv6 network of one client."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, peer: str, rules: Rules) -> Admission:
        """One more connection from ``peer``, to be taken off again by ``leave``."""
        client = neighbourhood(peer)
        self._open[client] += 1
        if self._open[client] <= rules.connections or is_within(peer, (*rules.trusted_proxies, *rules.uncounted)):
            return Admission.SERVED
        if self._open[client] == rules.connections + 1:
            log.warning("%s has %d connections open: it gets no more", client, rules.connections)
        return Admission.REFUSED if self._open[client] <= 2 * rules.connections else Admission.DROPPED

    def leave(self, peer: str) -> None:
        """One connection less."""
        client = neighbourhood(peer)
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]
