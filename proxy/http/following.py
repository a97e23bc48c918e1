"""Handing the body of an answer on in the call that it arrives in: two ways, as the body is framed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from proxy.http.sockets import reset_on_close, unread_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.streams import StreamReader

Data: TypeAlias = "Callable[[bytes], None]"
Ended: TypeAlias = "Callable[[BaseException | None], None]"

LAST_WORDS = 65_536
"""Bytes looked for behind a broken connection: an error answer, not a download."""


def arrived(content: StreamReader) -> bytes:
    """What has arrived of a body and was not read yet, though it broke off behind that."""
    if content.exception() is None:
        return content.read_nowait()
    return content._read_nowait(-1)  # noqa: SLF001 - everything else raises the exception first


class Framed:
    """A body that the parser has to find in what is read."""

    __slots__ = ("_content", "_data", "_ended", "_is_handing", "_is_left")

    def __init__(self, content: StreamReader, data: Data, ended: Ended) -> None:
        self._content = content
        self._data = data
        self._ended = ended
        self._is_handing = self._is_left = False

    def leave(self) -> None:
        """Hand on nothing more, and tell of no end."""
        self._is_left = True

    def hand_on(self) -> None:
        """Hand on what has arrived. Reading may have more arrive, within the call."""
        if self._is_handing:
            return
        self._is_handing = True
        try:
            while not self._is_left and (chunk := arrived(self._content)):
                self._data(chunk)
        finally:
            self._is_handing = False
        if not self._is_left and (self._content.exception() is not None or self._content.at_eof()):
            self._is_left = True
            self._ended(self._content.exception())


class Unframed(asyncio.Protocol):
    """A body that ends with its connection (RFC 9112 §6.3), which it takes over: all that is read belongs to it.

    It may last for hours, and needs neither a parser nor anything else that a connection keeps for its next exchange.
    """

    __slots__ = ("_ended", "_transport", "data_received")

    def __init__(self, transport: asyncio.Transport, data: Data, ended: Ended) -> None:
        self.data_received = data  # type: ignore[assignment,method-assign]  # nothing lies between socket and follower
        self._ended: Ended | None = ended
        self._transport: asyncio.Transport | None = transport
        transport.set_protocol(self)

    def pause_reading(self) -> None:
        """Let nothing more arrive."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Let it arrive again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, and tell of no end."""
        self._ended = None
        if self._transport is not None:
            reset_on_close(self._transport)
            self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the body, after what the backend said before it hung up has been heard."""
        transport, self._transport = self._transport, None
        if self._ended is None:
            return
        if exc is not None and transport is not None and (words := unread_bytes(transport, LAST_WORDS)):
            self.data_received(words)
        self._ended(exc)
