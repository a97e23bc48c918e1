"""Parsing what browsers send: aiohttp's C parser, and what it keeps to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp.http import HttpRequestParser, RawRequestMessage
    from aiohttp.streams import StreamReader

MAX_HEAD: Final = 1 << 18
"""Bytes of a head, or of a trailer section, with all its fields."""

_NO_HEADERS: Final = CIMultiDictProxy(CIMultiDict[str]())
_NO_URL: Final = URL()


class HeadTooLongError(BadHttpMessage):
    """A head, or a trailer section, is over ``MAX_HEAD`` bytes."""

    def __init__(self) -> None:
        super().__init__("too long")


class RequestMessage:
    """A request's head as aiohttp's parser reads it, except that most of it can be let go of.

    aiohttp keeps it for as long as the request is under way, and a browser's is of several KiB.
    """

    __slots__ = (
        "chunked",
        "compression",
        "headers",
        "method",
        "path",
        "raw_headers",
        "should_close",
        "upgrade",
        "url",
        "version",
    )

    def __init__(self, raw: RawRequestMessage) -> None:
        self.method = raw.method
        self.path = raw.path
        self.version = raw.version
        self.headers = raw.headers
        self.raw_headers = raw.raw_headers
        self.should_close = raw.should_close
        self.compression = raw.compression
        self.upgrade = raw.upgrade
        self.chunked = raw.chunked
        self.url = raw.url

    def forget(self) -> None:
        """Let go of everything but the request line and how the connection is used."""
        self.headers, self.raw_headers, self.url = _NO_HEADERS, (), _NO_URL


class RequestParser:
    """aiohttp's C parser, in front of which no error goes unheard, and which keeps no more than a bound (P7).

    The parser forgets the body under way when it fails, and its reader waits for ever; and not
    everything it raises is an HTTP error, so the connection would die without an answer. It limits
    each field and their number, which together come to megabytes.

    Args:
        parser: aiohttp's.
        broken: Called when an error breaks off the body under way.
    """

    __slots__ = ("_body", "_broken", "_came", "_is_paused", "_kept", "_parser", "message_consumed", "set_upgraded")

    def __init__(self, parser: HttpRequestParser, broken: Callable[[], None]) -> None:
        self._parser = parser
        self._broken = broken
        self._body: StreamReader | None = None
        self._came = 0
        self._kept = 0
        self._is_paused = False
        self.message_consumed = parser.message_consumed
        self.set_upgraded = parser.set_upgraded

    def pause_reading(self) -> None:
        """As aiohttp's, until it is fed nothing."""
        self._is_paused = True
        self._parser.pause_reading()

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[RequestMessage, StreamReader]], bool, bytes]:
        """As aiohttp's.

        Raises:
            HttpProcessingError: what came is not HTTP; whoever reads the body under way is told as well.
        """
        try:
            parsed, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            self._break_off()
            raise
        except Exception as error:  # yarl's IndexError for "http://[]a@", say
            self._break_off()
            raise BadHttpMessage(str(error)) from error
        if parsed:
            self._body = parsed[-1][1]
        self._count(data, came=bool(parsed))
        return [(RequestMessage(raw), body) for raw, body in parsed], upgraded, tail

    def _count(self, data: bytes, *, came: bool) -> None:
        """Of what is fed while nothing comes of it, the parser keeps a part: a head, or a trailer section."""
        size = self._body.total_bytes if self._body is not None else 0
        if came or size != self._came:
            self._kept = 0
        elif not self._is_paused:
            self._kept += len(data)
        self._is_paused = self._is_paused and bool(data)
        self._came = size
        if self._kept > MAX_HEAD:
            self._break_off()
            raise HeadTooLongError

    def _break_off(self) -> None:
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(RequestPayloadError("malformed"))  # the parser's own words show what it read
            self._broken()
