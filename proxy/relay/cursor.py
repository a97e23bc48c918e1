"""One browser's place in the log of a turn."""

import asyncio
from collections.abc import Callable

from proxy.http.writer import PeerStalledError
from proxy.relay.ends import Browser, Over, Piece
from proxy.relay.log import Log

Wrote = Callable[[tuple[str, ...], int], None]
"""Told the names of the events that were looked at, and the count of all since it was told last."""


class Cursor:
    """Sends one browser the log from an offset on, at the browser's own pace.

    Args:
        log: What to send.
        at: From where.
        browser: Whom to.
        wrote: Told what was sent.
        returned: Called when it was sent a text that was steered too late.

    Attributes:
        at, is_ready: See `Follower`.
    """

    __slots__ = ("_browser", "_is_told", "_log", "_returned", "_sleeper", "_wrote", "at", "is_ready")

    def __init__(self, log: Log, at: int, browser: Browser, *, wrote: Wrote, returned: Callable[[], None]) -> None:
        self._log = log
        self.at = at
        self._browser = browser
        self._wrote = wrote
        self._returned = returned
        self._sleeper: asyncio.Future[None] | None = None
        self._is_told = False
        self.is_ready = True

    def follow(self, chunk: bytes, until: int, piece: Piece | None, /) -> None:
        """See `Follower`."""
        if not self.is_ready or self.at != until - len(chunk):
            self.wake()
            return
        if chunk:
            try:
                self.is_ready = self._browser.send(chunk)
            except ConnectionError:
                self.is_ready = False  # the browser is gone, and its connection is about to end this run
                return
            self.at = until
            if not self.is_ready:
                self.wake()
        if piece is not None and piece.passed:
            self._wrote(piece.events, piece.passed)

    def take(self, piece: Piece, /) -> bool:
        """See `Follower`."""
        if not self.is_ready or self.at != self._log.kept.end:
            return False
        try:
            self._send_once(piece)
        except ConnectionError:
            self.is_ready = False
            return False
        return True

    def wake(self) -> None:
        """See `Follower`."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    @property
    def over(self) -> Over:
        """Why it ended: as its log, if the browser was sent all of that."""
        is_at_end = self.at >= self._log.kept.end
        return (self._log.over if is_at_end else None) or Over.LEFT

    async def run(self, tell: Callable[[], None]) -> None:
        """Sends what comes until the log is over.

        Args:
            tell: Called when the browser has been sent the event that ends its turn.

        Raises:
            BackendError: the backend broke off, and what the browser has must not look whole.
            ConnectionError: the browser is gone, or takes less than the log keeps.
        """
        while not await self._is_done(tell):
            self._sleeper = asyncio.get_running_loop().create_future()
            await self._sleeper
        if self._log.error is not None:
            raise self._log.error

    async def _is_done(self, tell: Callable[[], None]) -> bool:
        """Sends what there is; whether there will be nothing more."""
        log = self._log
        while True:
            if not self.is_ready or self._browser.is_full:
                await self._wait_for_room()
            if not self._catch_up():
                break
        if log.told_at is not None and self.at >= log.told_at and not self._is_told:
            self._is_told = True
            tell()
        return log.over is not None

    async def _wait_for_room(self) -> None:
        await self._browser.drain()
        self.is_ready = True
        self._log.roomier()

    def _catch_up(self) -> bool:
        """Sends a piece of what it has not been sent; whether there was one."""
        log, at = self._log, self.at
        if at < log.kept.begin:
            raise PeerStalledError("the browser takes less than its turn's log keeps")
        if piece := log.take_once(at):
            self._send_the_one(piece)
            return True
        if at >= log.kept.end:
            return False
        chunk = log.kept.read(at)
        if (once := log.next_once(at)) is not None:
            chunk = chunk[: once - at]
        self._send(chunk)
        for mark in log.kept.marks(at, self.at):
            self._wrote(mark.events, mark.passed)
        return True

    def _send(self, chunk: bytes) -> None:
        self.is_ready = self._browser.send(chunk)
        self.at += len(chunk)
        if not self.is_ready:
            self.wake()

    def _send_the_one(self, piece: Piece) -> None:
        try:
            self._send_once(piece)
        except ConnectionError:
            self._log.put_back(self.at, piece)
            raise

    def _send_once(self, piece: Piece) -> None:
        self.is_ready = self._browser.send(piece.data)
        self._wrote(piece.events, piece.passed)
        self._returned()
        if not self.is_ready:
            self.wake()
