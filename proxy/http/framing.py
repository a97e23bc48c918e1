"""Where a message's body ends (RFC 9112 §6). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proxy.http.chunks import Chunked, FramingError
from proxy.http.headers import content_length, values

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders

SWITCHING: Final = 101

_BODILESS: Final = frozenset({204, 304})


class Decoder(Protocol):
    """Finds a body's content in the bytes of a connection.

    Attributes:
        is_done: Whether the body has ended.
        rest: What was fed behind its end.
        trailers: The fields behind it, as received.
    """

    is_done: bool
    rest: bytes
    trailers: RawHeaders

    def feed(self, data: bytes, /) -> bytes:
        """The content in the next bytes of the connection.

        Raises:
            FramingError: they are malformed.
        """

    def feed_eof(self) -> None:
        """The connection has ended.

        Raises:
            FramingError: the body has not.
        """


class ByLength:
    """A body of so many bytes (``Content-Length``)."""

    __slots__ = ("_left", "is_done", "rest", "trailers")

    def __init__(self, length: int) -> None:
        self.is_done = not length
        self.rest = b""
        self.trailers: RawHeaders = ()
        self._left = length

    def feed(self, data: bytes) -> bytes:
        """See `Decoder`."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data
        self.rest += data[left:]
        self._left, self.is_done = 0, True
        return data[:left]

    def feed_eof(self) -> None:
        """See `Decoder`."""
        if not self.is_done:
            raise FramingError("the connection ended before the body did")


class NoBody(ByLength):
    """A message without a body."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0)


class UntilClose:
    """A body that ends with its connection."""

    __slots__ = ("is_done", "rest", "trailers")

    def __init__(self) -> None:
        self.is_done = False
        self.rest = b""
        self.trailers: RawHeaders = ()

    def feed(self, data: bytes) -> bytes:
        """See `Decoder`."""
        return data

    def feed_eof(self) -> None:
        """See `Decoder`."""
        self.is_done = True


def is_framed(fields: RawHeaders) -> bool:
    """Whether a request with these fields announces a body, which may be empty (RFC 9112 §6)."""
    return bool(values(fields, b"content-length") or values(fields, b"transfer-encoding"))


def request_body(fields: RawHeaders) -> Decoder:
    """What reads the body of a request with these fields, which `proxy.http.strictness` has let through."""
    if values(fields, b"transfer-encoding"):
        return Chunked()
    return ByLength(content_length(fields) or 0)


def answer_body(method: str, status: int, fields: RawHeaders) -> Decoder:
    """What reads the body of an answer to ``method`` (RFC 9112 §6.3); of a 101, all that comes."""
    if status == SWITCHING:
        return UntilClose()
    if method == "HEAD" or status in _BODILESS:
        return NoBody()
    if values(fields, b"transfer-encoding"):
        return Chunked(lenient=True)
    length = content_length(fields)
    return UntilClose() if length is None else ByLength(length)
