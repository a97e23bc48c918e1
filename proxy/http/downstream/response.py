"""Answering the browser with exactly the head that was meant."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from proxy.http.chunks import chunk_of, last_chunk
from proxy.http.headers import RawHeaders, content_length, end_to_end, serialize, without

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxy.http.downstream.request import Request
    from proxy.http.heads import AnswerHead
    from proxy.http.message import Answer

BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
SWITCHING: Final = 101


class Head(Protocol):
    """Of a backend's answer."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def reason(self) -> bytes:
        """The reason phrase as sent."""

    @property
    def headers(self) -> RawHeaders:
        """Every field as received."""


class Response:
    """An answer on its way to a browser. Its head is what it is given, and the framing of this one connection.

    Args:
        request: What it answers.
        status: The status code.
        closes: Whether it is the last one on the connection in any case.

    Attributes:
        status: As above.
        is_done: Whether all of it was written.
        keeps_alive: Whether another request may follow on the connection, once it is done.
        sent: Bytes of body that were written.
        rest: Sends what is still to come of one that lasts, once whoever handled the request is done with it.
    """

    __slots__ = (
        "_account",
        "_counted",
        "_is_chunked",
        "_is_empty",
        "_writer",
        "is_done",
        "keeps_alive",
        "rest",
        "sent",
        "status",
    )

    def __init__(self, request: Request, status: int, *, closes: bool = False) -> None:
        self.status = status
        self.is_done = False
        self.keeps_alive = not closes and request.is_reusable
        self._account = request.account
        self._writer = request.connection.writer
        self._is_empty = request.method == "HEAD" or status in BODILESS
        self._is_chunked = False
        self.sent = self._counted = 0
        self.rest: Callable[[], Awaitable[None]] | None = None

    def start(self, request: Request, reason: bytes, headers: RawHeaders, first: bytes = b"") -> None:
        """Send the head, and with it what of the body is at hand.

        Raises:
            ConnectionError: the browser is gone.
        """
        framing = self._framing(request, headers)
        if self.status == HTTPStatus.NO_CONTENT:  # it states no length (RFC 9110 §8.6), and the backend's may
            headers = without(headers, [b"content-length"])
        if not self._is_chunked:  # which has no place for trailers
            headers = without(headers, [b"trailer"])
        head = serialize(b"HTTP/1.1 %d %b" % (self.status, reason), (*headers, *framing))
        request.response = self
        self._writer.write(head + self._framed(first) if first and not self._is_empty else head)
        self._account.status = self.status
        if not self._is_empty:
            self.sent += len(first)

    def switch(self, request: Request, reason: bytes, headers: RawHeaders, protocol: bytes) -> None:
        """Send the head of a 101, behind which the connection's bytes are nobody's business.

        Raises:
            ConnectionError: the browser is gone.
        """
        switching = ((b"Connection", b"Upgrade"), (b"Upgrade", protocol))
        request.response = self
        self.keeps_alive = False
        self._writer.write(serialize(b"HTTP/1.1 %d %b" % (SWITCHING, reason), (*headers, *switching)))
        self._account.status = self.status

    @property
    def is_full(self) -> bool:
        """Whether more was written than the browser takes for now (backpressure); `drain` waits until it is not."""
        return self._writer.is_full

    def send(self, chunk: bytes) -> bool:
        """Send a piece of the body, which is not empty, without waiting; whether the browser takes more at once.

        Raises:
            ConnectionError: the browser is gone.
        """
        writer = self._writer
        if self._is_empty:
            return writer.is_open
        if not (writer.is_open or writer.is_full):
            raise ConnectionResetError("the connection is closing")
        self.sent += len(chunk)
        writer.write_at_once(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk)
        return writer.is_open

    async def drain(self) -> None:
        """Wait until the browser has taken enough for more to be sent.

        Raises:
            ConnectionError: the browser is gone, or took nothing for too long.
        """
        self.count()
        await self._writer.drain(self._account.pace)

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body, which is not empty, and wait until the browser takes more.

        Raises:
            ConnectionError: the browser is gone, or took nothing for too long.
        """
        self.send(chunk)
        if self._writer.is_full:
            await self.drain()

    def count(self) -> None:
        """Tell the account how much was sent."""
        self._account.wrote(self.sent - self._counted)
        self._counted = self.sent

    def end(self, trailers: RawHeaders = ()) -> None:
        """End the body; once more does nothing.

        Args:
            trailers: Fields to send behind it, where its framing has a place for them.

        Raises:
            ConnectionError: the browser is gone.
        """
        if self.is_done:
            return
        if self._is_chunked:
            self._writer.write(last_chunk(trailers))
        self.is_done = True

    def _framed(self, chunk: bytes) -> bytes:
        return chunk_of(chunk) if self._is_chunked else chunk

    def _framing(self, request: Request, headers: RawHeaders) -> RawHeaders:
        """How the body ends on this connection (RFC 9112 §6.3), and whether that is its end."""
        fields: list[tuple[bytes, bytes]] = []
        if not self._is_empty and content_length(headers) is None:
            if request.is_http_1_0:
                self.keeps_alive = False
            else:
                self._is_chunked = True
                fields.append((b"Transfer-Encoding", b"chunked"))
        if not self.keeps_alive:
            fields.append((b"Connection", b"close"))
        elif request.is_http_1_0:
            fields.append((b"Connection", b"keep-alive"))
        return tuple(fields)


def begin(request: Request, head: Head, *, extra: Sequence[tuple[bytes, bytes]] = (), first: bytes = b"") -> Response:
    """Send the browser the head of a backend's answer; the rest of its body is the caller's to send.

    An error raised from there ends the connection, so that the browser can tell.

    Args:
        request: Whose answer it is.
        head: Where status, reason and end-to-end fields come from.
        extra: Fields to add.
        first: What of the body is at hand.

    Raises:
        ConnectionError: the browser is gone.
    """
    response = Response(request, head.status)
    response.start(request, head.reason, (*end_to_end(head.headers), *extra), first)
    return response


def reply(
    request: Request, answer: Answer, *, extra: Sequence[tuple[bytes, bytes]] = (), closes: bool = False
) -> Response:
    """Send the browser a whole answer.

    Args:
        request: What it answers.
        answer: The answer.
        extra: Fields to add.
        closes: Whether it is the last one on the connection in any case.

    Raises:
        ConnectionError: the browser is gone.
    """
    response = Response(request, answer.status, closes=closes)
    response.start(request, answer.reason, (*answer.headers, *extra), answer.body)
    response.end()
    return response


def interim(request: Request, head: AnswerHead) -> None:
    """Pass an interim answer on, which a browser of HTTP/1.0 would not know (RFC 9110 §15.2).

    Nobody can wait until it is taken. So whoever takes none loses the rest of them.

    Raises:
        ConnectionError: the browser is gone.
    """
    if not (request.is_http_1_0 or request.connection.writer.is_full):
        line = b"HTTP/1.1 %d %b" % (head.status, head.reason)
        request.connection.writer.write(
            serialize(line, without(end_to_end(head.fields), [b"content-length", b"trailer"]))
        )
