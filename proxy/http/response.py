"""Answering the browser with exactly the head that was meant."""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web
from aiohttp.http import HttpVersion10

from proxy.http.headers import RawHeaders, content_length, end_to_end, serialize, without
from proxy.http.message import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.abc import AbstractStreamWriter

    from proxy.http.errors import ProxyError
    from proxy.http.request import Request
    from proxy.http.stream import ResponseStream
    from proxy.http.writer import PatientWriter

BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class RawResponse(web.StreamResponse):
    """A response whose head goes out as given, plus the framing of this one connection.

    aiohttp's own would add ``Server``, ``Date`` and a ``Content-Type``, drop the
    ``Content-Length`` of a 304, and drop bytes that are not UTF-8.

    Args:
        status: The status code.
        reason: The reason phrase.
        headers: End-to-end fields.
        body: What ``write_eof`` sends at the end.
        upgrade: Protocol of a 101; the bytes after the head are then nobody's business.
    """

    _writer: PatientWriter

    def __init__(
        self,
        status: int,
        reason: bytes,
        headers: RawHeaders,
        *,
        body: bytes = b"",
        upgrade: bytes | None = None,
    ) -> None:
        super().__init__(status=status, reason=reason.decode("latin-1"))
        self.raw_reason = reason
        self.raw_headers = headers
        self._whole_body = body
        self._upgrade = upgrade

    @property
    def is_full(self) -> bool:
        """See `PatientWriter.is_full`."""
        return self._writer.is_full

    def send(self, chunk: bytes) -> None:
        """Send a piece of the body, which is not empty, without waiting.

        Raises:
            ConnectionError: the browser is gone.
        """
        self._writer.send(chunk)

    async def drain(self) -> None:
        """Wait until the browser has taken enough for more to be sent.

        Raises:
            ConnectionError: the browser is gone, or took nothing for too long.
        """
        await self._writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """End the body, with what of it was given beforehand."""
        rest = data or self._whole_body
        await super().write_eof(b"" if self._must_be_empty_body else rest)

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        # StreamResponse calls this once, to send the head; all of aiohttp's additions are in it.
        asked = cast("Request", request)
        self._req = request
        writer = asked.patient_writer
        self._payload_writer = self._writer = writer
        framing = self._switching() if self._upgrade is not None else self._framing(asked)
        headers = self.raw_headers
        if self.status == HTTPStatus.NO_CONTENT:  # it states no length (RFC 9110 §8.6), and the backend's may
            headers = without(headers, [b"content-length"])
        start_line = b"HTTP/1.1 %d %b" % (self.status, self.raw_reason)
        writer.write_head(serialize(start_line, (*headers, *framing)))
        self.raw_headers = ()  # its body may last for hours
        asked.account.status = self.status
        return writer

    def _switching(self) -> RawHeaders:
        self._keep_alive = False
        return ((b"Connection", b"Upgrade"), (b"Upgrade", self._upgrade or b""))

    def _framing(self, request: Request) -> RawHeaders:
        """How the body ends on this connection (RFC 9112 §6.3), and whether that is its end."""
        fields: list[tuple[bytes, bytes]] = []
        reusable = request.reusable and self._keep_alive is not False
        self._must_be_empty_body = request.method == "HEAD" or self.status in BODILESS
        if not self._must_be_empty_body and content_length(self.raw_headers) is None:
            if request.version > HttpVersion10:
                request.patient_writer.enable_chunking()
                fields.append((b"Transfer-Encoding", b"chunked"))
            else:
                reusable = False
        self._keep_alive = reusable
        if not reusable:
            fields.append((b"Connection", b"close"))
        elif request.version == HttpVersion10:
            fields.append((b"Connection", b"keep-alive"))
        return tuple(fields)


async def begin(request: Request, stream: ResponseStream, *, extra: Sequence[tuple[bytes, bytes]] = ()) -> RawResponse:
    """Send the browser the head of a backend's answer; its body is the caller's to write.

    ``await response.write(chunk)`` passes on a chunk, under backpressure, and
    ``await response.write_eof()`` ends it. An error raised from there aborts the connection.

    Args:
        request: Whose answer it is.
        stream: Where status, reason and end-to-end fields come from.
        extra: Fields to add.

    Raises:
        ConnectionError: the browser is gone.
    """
    headers = (*end_to_end(stream.headers), *extra)
    response = RawResponse(stream.status, stream.reason, headers)
    await response.prepare(request)
    return response


async def reply(request: Request, answer: Answer, *, extra: Sequence[tuple[bytes, bytes]] = ()) -> RawResponse:
    """Send the browser a whole answer, with ``extra`` fields added.

    Raises:
        ConnectionError: the browser is gone.
    """
    response = whole(answer, extra=extra)
    await response.prepare(request)
    await response.write_eof()
    return response


def whole(answer: Answer, *, extra: Sequence[tuple[bytes, bytes]] = ()) -> RawResponse:
    """An answer as a response that has not been sent yet."""
    headers = (*answer.headers, *extra)
    return RawResponse(answer.status, answer.reason, headers, body=answer.body)


def json_answer(status: int, content: object, headers: RawHeaders = ()) -> Answer:
    """An answer of the proxy's own."""
    body = json.dumps(content).encode()
    own = (
        (b"Date", formatdate(usegmt=True).encode()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
    )
    return Answer(status, HTTPStatus(status).phrase.encode(), (*own, *headers), body)


def error_answer(error: ProxyError) -> Answer:
    """What a browser is told about an error: ``{"error": sentence, "code": snake_case}``."""
    headers: RawHeaders = ()
    if error.retry_after is not None:
        headers = ((b"Retry-After", b"%d" % error.retry_after),)
    return json_answer(error.status, {"error": str(error), "code": error.code}, headers)
