"""Connections without sockets: what is written is kept, and whoever speaks is the test."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any


class Transport(asyncio.Transport):
    """Keeps what is written, and what else it is asked for.

    Args:
        protocol: Told when it is closed.
        extra: What `get_extra_info` tells.

    Attributes:
        wrote: All that was written.
        unsent: Bytes that its peer has not taken.
        is_read: Whether it is not paused.
        has_ended: Whether its end was sent.
        was_aborted: Whether it was ended at once.
    """

    def __init__(self, protocol: asyncio.Protocol | None = None, **extra: object) -> None:
        nowhere = SimpleNamespace(family=socket.AF_UNIX, fileno=lambda: -1)
        super().__init__({"socket": nowhere, **extra})
        self.wrote = bytearray()
        self.unsent = 0
        self.is_read = True
        self.has_ended = self.was_aborted = self._is_closing = False
        self._protocol = protocol

    def took(self) -> bytes:
        """What was written since this was asked."""
        taken = bytes(self.wrote)
        self.wrote.clear()
        return taken

    def write(self, data: Any) -> None:
        assert not self._is_closing
        self.wrote += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        assert self.is_read
        self.is_read = False

    def resume_reading(self) -> None:
        assert not self.is_read
        self.is_read = True

    def can_write_eof(self) -> bool:
        return self.get_extra_info("sslcontext") is None

    def write_eof(self) -> None:
        self.has_ended = True

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not (self._is_closing or self.unsent):
            self._lose()
        self._is_closing = True

    def abort(self) -> None:
        self.was_aborted = True
        if not self._is_closing or self.unsent:
            self.unsent = 0
            self._lose()
        self._is_closing = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert protocol is self._protocol

    def _lose(self) -> None:
        if self._protocol is not None:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


async def turns(count: int = 10) -> None:
    """The event loop goes round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)
