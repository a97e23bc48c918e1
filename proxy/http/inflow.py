"""Bytes that have arrived on a connection and wait to be read: with backpressure."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFER: Final = 65_536
"""Bytes that wait before the connection is read no further; what one read brings comes on top."""

_AWAITED: Final = 4 * BUFFER
"""The same while somebody waits to read them, as to stop and go on at every read costs more than the read."""

_PIECES: Final = 64
"""Most pieces that wait, so that small ones cost no more than large ones."""


class Inflow:
    """A queue of bytes between a connection and whoever reads them.

    Args:
        changed: Called when something was added or taken, as the connection may have to be paused or resumed.

    Attributes:
        size: Bytes that wait.
        total: Bytes that have come.
        is_ended: Whether nothing more will come.
        error: What broke it off, if anything did.
    """

    __slots__ = ("_changed", "_pieces", "_reader", "error", "is_ended", "size", "total")

    def __init__(self, changed: Callable[[], None]) -> None:
        self.size = 0
        self.total = 0
        self.is_ended = False
        self.error: BaseException | None = None
        self._changed = changed
        self._pieces: list[bytes] = []
        self._reader: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether enough waits for the connection to be read no further; what a reader waits for, it takes at once."""
        return self.size >= (BUFFER if self._reader is None else _AWAITED)

    @property
    def is_complete(self) -> bool:
        """Whether all has come, and nothing broke it off."""
        return self.is_ended and self.error is None

    def feed(self, piece: bytes) -> None:
        """Add what has come."""
        self._pieces.append(piece)
        self.size += len(piece)
        self.total += len(piece)
        if len(self._pieces) > _PIECES:
            self._pieces = [b"".join(self._pieces)]
        self._wake()
        self._changed()

    def end(self) -> None:
        """Nothing more will come."""
        self.is_ended = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Nothing more will come, and what came is not all; the first error counts."""
        if not self.is_ended:
            self.error = error
            self.end()

    def take(self) -> bytes:
        """All that waits, which may be nothing."""
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        self.size = 0
        self._changed()
        return piece

    async def read(self) -> bytes:
        """What waits, once something does; nothing at the end.

        Raises:
            BaseException: what broke it off, once everything before that was read.
        """
        while not self._pieces and not self.is_ended:
            await self._wait()
        if self._pieces:
            return self.take()
        if self.error is not None:
            raise copy(self.error)  # the one that is kept would keep the frames that it passed, and all that they hold
        return b""

    async def _wait(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
