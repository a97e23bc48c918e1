"""Writing to a peer: with backpressure, and a limit on patience."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

from proxy.http.sockets import unacknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.pace import Pace


class PeerStalledError(ConnectionError):
    """The peer took nothing for as long as it is waited for."""

    code: ClassVar[str] = "browser_stalled"


class PeerCrowdedOutError(PeerStalledError):
    """The peer took too little, and is waited for no more since others wait."""

    code = "crowded_out"


class Writer:
    """What goes out on one connection. Its protocol tells it what the transport tells the protocol.

    Args:
        patience: Seconds for which a peer that takes nothing at all is waited for (P7).

    Attributes:
        transport: Of the connection; None before it is made, and once it is lost.
        is_full: Whether more was written than the peer takes for now (backpressure).
        is_open: Whether more may be written at once: the connection is there, and takes it.
    """

    __slots__ = ("_left", "_looking", "_patience", "_room", "is_full", "is_open", "transport", "write_at_once")

    write_at_once: Callable[[bytes], None]
    """The transport's own; only for who has seen that the connection is there."""

    def __init__(self, patience: float) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_full = self.is_open = False
        self._patience = patience
        self._room: asyncio.Future[None] | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._left = 0

    def write(self, data: bytes) -> None:
        """Send without waiting.

        Raises:
            ConnectionResetError: the connection is closing.
        """
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the connection is closing")
        self.transport.write(data)

    async def drain(self, pace: Pace | None = None) -> None:
        """Wait until the peer has taken enough for more to be written.

        Args:
            pace: Told of the wait.

        Raises:
            PeerStalledError: it took nothing for ``patience`` seconds, or was given up.
            ConnectionError: the connection is gone.
        """
        if self.transport is None:
            raise ConnectionResetError("the connection is gone")
        if not self.is_full:
            return
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
            self._look_later()
        with pace.waiting(self._progress()) if pace is not None else nullcontext():
            await asyncio.shield(self._room)

    def give_up(self) -> None:
        """End a wait for the peer that is under way."""
        self._settle(PeerCrowdedOutError("the peer took too little while others waited"))

    # -- what the protocol is told ----------------------------------------------------------------

    def made(self, transport: asyncio.Transport) -> None:
        """The connection is there."""
        self.transport = transport
        self.write_at_once = transport.write
        self.is_open = True

    def pause(self) -> None:
        """The transport has more than the peer takes."""
        self.is_full, self.is_open = True, False

    def resume(self) -> None:
        """It has taken most of that."""
        self.is_full, self.is_open = False, self.transport is not None
        self._settle(None)

    def lost(self) -> None:
        """The connection is gone, or about to be."""
        self.transport, self.is_open = None, False
        self.write_at_once = _nowhere
        self._settle(ConnectionResetError("the connection is gone"))

    # -- patience ---------------------------------------------------------------------------------

    def _look_later(self) -> None:
        self._left = self._unsent
        self._looking = asyncio.get_running_loop().call_later(self._patience, self._look)

    def _look(self) -> None:
        """End the wait if nothing was taken since the last look."""
        if self._unsent >= self._left:
            self._settle(PeerStalledError(f"the peer took nothing for {self._patience:g} s"))
        else:
            self._look_later()

    def _settle(self, error: ConnectionError | None) -> None:
        room, self._room = self._room, None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if room is None or room.done():
            return
        if error is None:
            room.set_result(None)
        else:
            room.set_exception(error)
            room.exception()  # whoever waited may have left

    def _progress(self) -> Callable[[], int]:
        """Says how much the peer's kernel has taken from now on; ours takes megabytes in its place."""
        before = self._unsent + unacknowledged(self.transport)
        return lambda: before - self._unsent - unacknowledged(self.transport)

    @property
    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0


def _nowhere(_data: bytes) -> None:
    pass
