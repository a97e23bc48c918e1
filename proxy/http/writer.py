"""Writing to a peer: heads as raw bytes, bodies with backpressure and a limit on patience."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.http import StreamWriter

if TYPE_CHECKING:
    from aiohttp.base_protocol import BaseProtocol


class PeerStalledError(ConnectionError):
    """The peer took nothing for as long as it is waited for."""


class PatientWriter(StreamWriter):
    """aiohttp's writer with two differences.

    A head goes out as the bytes it is given: aiohttp serialises text, and its C serialiser drops
    every byte that is not UTF-8 without a word. And a wait for the peer ends (P7), once nothing
    at all was taken for ``patience`` seconds.
    """

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        super().__init__(protocol, loop)
        self._patience = patience

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
            PeerStalledError: it took nothing for ``patience`` seconds.
            ConnectionError: the connection is gone.
        """
        if self.transport is None or not self.protocol.writing_paused:
            return
        # A task of its own, since a drain that is cancelled would break every later one.
        draining = asyncio.ensure_future(self.protocol._drain_helper())  # noqa: SLF001 - see above
        try:
            await self._while_it_takes_some(draining)
            await draining
        finally:
            draining.cancel()

    async def _while_it_takes_some(self, draining: asyncio.Future[None]) -> None:
        left = self._unsent()
        while not draining.done():
            await asyncio.wait({draining}, timeout=self._patience)
            if not draining.done() and self._unsent() >= left:
                raise PeerStalledError(f"the peer took nothing for {self._patience:g} s")
            left = self._unsent()

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0
