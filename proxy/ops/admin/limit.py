"""Connection limit of the admin listener, with room kept for health checks (P7)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.ops.admin.connection import Connection

    Dropped = Callable[[Literal["full", "room", "slow"]], None]


class ConnectionLimit:
    """The open connections. When there are too many, the one that has waited longest for its peer is closed.

    Args:
        most: How many may be open at once.
        dropped: Told why a connection was ended: `full`, `room` or `slow`.
    """

    def __init__(self, most: int, dropped: Dropped) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self.dropped = dropped

    def admit(self, connection: Connection) -> bool:
        """True if the new connection may stay; it is counted from now on."""
        if len(self._open) >= self._most and not self._make_room():
            self.dropped("full")
            return False
        self._open.add(connection)
        return True

    def _make_room(self) -> bool:
        longest = min((one for one in self._open if one.is_waiting), key=lambda one: one.since, default=None)
        if longest is None:
            return False
        self.leave(longest)
        longest.abort()
        self.dropped("room")
        return True

    def leave(self, connection: Connection) -> None:
        """Count it no longer."""
        self._open.discard(connection)

    async def end(self, patience: float) -> None:
        """Close all. An answer under way has `patience` seconds to complete."""
        await asyncio.gather(*(connection.end(patience) for connection in self._open))
