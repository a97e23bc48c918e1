"""Writing to a peer: heads as raw bytes, bodies with backpressure and a limit on patience."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

from aiohttp.http import StreamWriter

from proxy.http.sockets import unacknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.base_protocol import BaseProtocol

    from proxy.http.pace import Pace


class PeerStalledError(ConnectionError):
    """The peer took nothing for as long as it is waited for."""

    code: ClassVar[str] = "browser_stalled"


class PeerCrowdedOutError(PeerStalledError):
    """The peer took too little, and is waited for no more since others wait."""

    code = "crowded_out"


class PatientWriter(StreamWriter):
    """aiohttp's writer with two differences.

    A head goes out as the bytes it is given: aiohttp serialises text, and its C serialiser drops
    every byte that is not UTF-8 without a word. And a wait for the peer ends (P7), once nothing
    at all was taken for ``patience`` seconds.

    Attributes:
        pace: Told of the waits, if anybody wants to know.
    """

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        super().__init__(protocol, loop)
        self._patience = patience
        self.pace: Pace | None = None
        self._giving_up: asyncio.Future[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the whole message was written."""
        return self._eof

    def write_head(self, head: bytes) -> None:
        """Send a message head at once.

        Raises:
            ConnectionResetError: the connection is closing.
        """
        self._write(head)
        self._headers_written = True

    @property
    def is_full(self) -> bool:
        """Whether more was written than the peer takes for now (backpressure); `drain` waits until it is not."""
        return self._protocol.writing_paused

    def send(self, chunk: bytes) -> None:
        """Write a piece of the body, which is not empty, without waiting.

        Raises:
            ConnectionResetError: the connection is closing.
        """
        self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self.chunked else chunk)
        if self.on_body_write is not None:
            self.on_body_write(len(chunk), len(chunk))

    async def drain(self) -> None:
        """Wait until the peer has taken enough for more to be written.

        Raises:
            PeerStalledError: it took nothing for ``patience`` seconds, or was given up.
            ConnectionError: the connection is gone.
        """
        if self.transport is None or not self.protocol.writing_paused:
            return
        # A task of its own, since a drain that is cancelled would break every later one.
        draining = asyncio.ensure_future(self.protocol._drain_helper())  # noqa: SLF001 - see above
        self._giving_up = self.loop.create_future()
        try:
            with self.pace.waiting(self._progress()) if self.pace is not None else nullcontext():
                await self._while_it_takes_some(draining, self._giving_up)
            await draining
        finally:
            draining.cancel()
            self._giving_up = None

    def give_up(self) -> None:
        """End a wait for the peer that is under way."""
        if self._giving_up is not None and not self._giving_up.done():
            self._giving_up.set_result(None)

    async def _while_it_takes_some(self, draining: asyncio.Future[None], giving_up: asyncio.Future[None]) -> None:
        left = self._unsent()
        while not draining.done():
            await asyncio.wait({draining, giving_up}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if not draining.done() and giving_up.done():
                raise PeerCrowdedOutError("the peer took too little while others waited")
            if not draining.done() and self._unsent() >= left:
                raise PeerStalledError(f"the peer took nothing for {self._patience:g} s")
            left = self._unsent()

    def _progress(self) -> Callable[[], int]:
        """Says how much the peer's kernel has taken from now on; ours takes megabytes in its place."""
        before = self._unsent() + unacknowledged(self.transport)
        return lambda: before - self._unsent() - unacknowledged(self.transport)

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0
