"""HTTP/1 request reader: takes the bytes of a connection, and returns whole requests one by one.

The parsing is aiohttp's `HttpRequestParser`. This module gives it the bytes of one request at a time and bounds their
number. Then it writes the request again, with a Content-Length and no Expect. So nothing malformed, endless or
ambiguous gets to the application.
"""

import asyncio
from typing import Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from proxy.ops.admin.errors import MALFORMED, TOO_LARGE, TOO_LONG, UNEXPECTED, RefusalError

LARGEST_BODY: Final = 4096
"""Bytes; the only body that is taken has less than a hundred."""

_LARGEST_HEAD: Final = 32 * 1024
_LARGEST_CODING: Final = 4 * LARGEST_BODY
"""Bytes of a body as it is sent: chunk sizes, chunk extensions and trailers included."""

_LONGEST_LINE: Final = 8190
_MOST_FIELDS: Final = 64
_LIMIT: Final = 2**16
"""Bytes at which the parser would pause; no body gets so large."""

_REWRITTEN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})


class UnreadableError(Exception):
    """The bytes are no request that can be answered.

    Args:
        refusal: What to say instead.
    """

    def __init__(self, refusal: RefusalError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class RequestReader:
    """Reads the requests of one connection, one after the other. To be made on the running loop."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._request = _Request()

    @property
    def head(self) -> RawRequestMessage | None:
        """The head of the request that is coming, once it is there."""
        return self._request.head

    def feed(self, data: bytes) -> None:
        """Buffer bytes. The caller bounds them: it stops reading while it does not `take`."""
        self._unread += data

    def take(self) -> bytes | None:
        """The next request, written anew; None if more of it has to come.

        Raises:
            UnreadableError: it cannot be answered, nor can anything behind it.
        """
        request = self._request
        while self._unread and not request.is_whole:
            piece = self._unread[: request.until(self._unread)]
            del self._unread[: len(piece)]
            request.parse(bytes(piece))
        if not request.is_whole:
            return None
        self._request = _Request()
        return request.rewritten()

    def owes_continue(self) -> bool:
        """Whether the sender of the request waits for `100 Continue`; true once for a request, as it is sent once."""
        return self._request.owes_continue()


class _Request:
    """One request while it arrives. Each has a new parser, as `Connection: close` or an upgrade ends the use of one."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(
            BaseProtocol(loop),
            loop,
            _LIMIT,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            max_headers=_LARGEST_HEAD,
            auto_decompress=False,
        )
        self.head: RawRequestMessage | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._size = 0
        self._waits = False

    @property
    def is_whole(self) -> bool:
        return self.head is not None and self._body.is_eof()

    def until(self, data: bytearray) -> int:
        """How many of the bytes to parse next: a line, or the body that Content-Length announces.

        Every request ends with one of the two, so no byte of the next is ever among them.
        """
        if self.head is not None and not self.head.chunked:
            return _length(self.head) - self._body.total_bytes
        return data.find(b"\n") + 1 or len(data)

    def parse(self, data: bytes) -> None:
        """Parse some bytes.

        Raises:
            UnreadableError: the request cannot be answered.
        """
        try:
            messages, _, _ = self._parser.feed_data(data)
        except LineTooLong:
            raise UnreadableError(TOO_LONG) from None
        except Exception:  # noqa: BLE001 - not all are HTTP errors, as yarl's IndexError for `[]a@`
            raise UnreadableError(MALFORMED) from None
        self._size += len(data)
        if messages:
            self.head, self._body = messages[0]
            self._size = 0
            self._waits = self.head.version == HttpVersion11 and bool(_expected(self.head))
        if (refusal := self._refusal(has_just_begun=bool(messages))) is not None:
            raise UnreadableError(refusal)

    def _refusal(self, *, has_just_begun: bool) -> RefusalError | None:
        if self.head is None:
            return TOO_LONG if self._size > _LARGEST_HEAD else None
        if has_just_begun and (refusal := _head_refused(self.head)) is not None:
            return refusal
        if self._body.total_bytes > LARGEST_BODY or self._size > _LARGEST_CODING:
            return TOO_LARGE
        # No call takes a body in a coding, and some kilobytes of it may be megabytes.
        is_coded = self.is_whole and "Content-Encoding" in self.head.headers
        return MALFORMED if is_coded or self._body.exception() is not None else None

    def owes_continue(self) -> bool:
        waits, self._waits = self._waits, False
        return waits

    def rewritten(self) -> bytes:
        """The request with a body of known length, which expects nothing."""
        assert self.head is not None  # noqa: S101 - it is whole
        head, body = self.head, self._body.read_nowait()
        line = f"{head.method} {head.path} HTTP/{head.version.major}.{head.version.minor}"
        fields = [b"%b: %b" % field for field in head.raw_headers if field[0].lower() not in _REWRITTEN]
        length = b"Content-Length: %d" % len(body)
        return b"\r\n".join([line.encode(errors="surrogateescape"), *fields, length, b"", body])


def _head_refused(head: RawRequestMessage) -> RefusalError | None:
    if len(head.raw_headers) > _MOST_FIELDS:
        return TOO_LONG
    coding = head.headers.get("Transfer-Encoding", "chunked").lower()
    if head.version not in (HttpVersion10, HttpVersion11) or head.method == "CONNECT" or coding != "chunked":
        return MALFORMED
    if head.version == HttpVersion11 and _expected(head) not in ("", "100-continue"):
        return UNEXPECTED
    return TOO_LARGE if _length(head) > LARGEST_BODY else None


def _expected(head: RawRequestMessage) -> str:
    """What it expects of the server (RFC 9110 10.1.1), of which HTTP/1.0 knows nothing."""
    return ", ".join(head.headers.getall("Expect", ())).lower()


def _length(head: RawRequestMessage) -> int:
    """What the head says; the parser has seen to it that it is a number."""
    return int(head.headers.get("Content-Length", "0"))
