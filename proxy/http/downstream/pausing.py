"""Not reading a browser's connection for a while, and noticing all the same that it left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.http.sockets import peer_hung_up

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_AGAIN: Final = 0.05
"""Seconds between looks at the socket of a connection that is not being read (P6)."""


class Pausing:
    """Whether one connection is read (backpressure).

    Args:
        left: Called if the browser leaves while it is not.

    Attributes:
        is_paused: Whether it is not.
    """

    __slots__ = ("_left", "_transport", "_watch", "is_paused")

    def __init__(self, left: Callable[[], None]) -> None:
        self.is_paused = False
        self._left = left
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    def made(self, transport: asyncio.Transport) -> None:
        """The connection is there."""
        self._transport = transport

    def lost(self) -> None:
        """It is gone."""
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()

    def update(self, *, is_full: bool) -> None:
        """Read on, or do not, as there is room for what comes."""
        transport = self._transport
        if is_full is self.is_paused or transport is None or transport.is_closing():
            return
        self.is_paused = is_full
        if is_full:
            transport.pause_reading()
            self._look_later()
        else:
            transport.resume_reading()

    def _look_later(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look)

    def _look(self) -> None:
        """Notice a browser that left: its FIN waits behind what is not read."""
        self._watch = None
        if self._transport is None or not self.is_paused:
            return
        if peer_hung_up(self._transport):
            self._left()
        else:
            self._look_later()
