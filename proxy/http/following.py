"""Handing the body of an answer on in the call that it arrives in: two ways, as the body is framed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeAlias

from proxy.http.sockets import unread_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.streams import StreamReader

    from proxy.http.connection import Connection

Data: TypeAlias = "Callable[[bytes], None]"
Ended: TypeAlias = "Callable[[BaseException | None], None]"

LAST_WORDS = 65_536
"""Bytes looked for behind a broken connection: an error answer, not a download."""


def arrived(content: StreamReader) -> bytes:
    """What has arrived of a body and was not read yet, though it broke off behind that."""
    if content.exception() is None:
        return content.read_nowait()
    return content._read_nowait(-1)  # noqa: SLF001 - everything else raises the exception first


class Follower(Protocol):
    """Hands a body on until its end, or until it is left."""

    def leave(self) -> None:
        """Hand on nothing more, and tell of no end."""

    def break_off(self, error: BaseException) -> None:
        """The connection is about to be aborted for this reason."""


class Framed:
    """A body that the parser has to find in what is read."""

    __slots__ = ("_content", "_data", "_ended", "_is_handing", "_is_left")

    def __init__(self, content: StreamReader, data: Data, ended: Ended) -> None:
        self._content = content
        self._data = data
        self._ended = ended
        self._is_handing = self._is_left = False

    def leave(self) -> None:
        """See ``Follower``."""
        self._is_left = True

    def break_off(self, error: BaseException) -> None:
        """Nothing to note: the body itself is told."""

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
    """A body that ends with its connection (RFC 9112 §6.3): all that is read belongs to it, and no parser is needed."""

    def __init__(self, connection: Connection, data: Data, ended: Ended) -> None:
        self.data_received = data  # type: ignore[assignment,method-assign]  # nothing lies between socket and follower
        self._connection = connection
        self._ended: Ended | None = ended
        self._error: BaseException | None = None

    def begin(self, content: StreamReader) -> None:
        """Hand on what was parsed already, and have everything else pass the parser by."""
        while content.exception() is None and (chunk := content.read_nowait()):
            self.data_received(chunk)
        if self._connection.transport is not None:
            self._connection.transport.set_protocol(self)

    def leave(self) -> None:
        """See ``Follower``."""
        self._ended = None

    def break_off(self, error: BaseException) -> None:
        """See ``Follower``."""
        self._error = error

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the body, after what the backend said before it hung up has been heard."""
        transport, self._connection.transport = self._connection.transport, None
        if self._ended is None:
            return
        if exc is not None and transport is not None and (words := unread_bytes(transport, LAST_WORDS)):
            self.data_received(words)
        self._ended(exc or self._error)
