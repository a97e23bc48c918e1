"""Answers on the wire: the same one however it is cut, and one that passes is the same one to llhttp."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError

from proxy.http.chunks import FramingError
from proxy.http.errors import BackendBrokenError
from proxy.http.fieldsection import LINE, MAX_ANSWER_HEADERS, MAX_FIELD
from proxy.http.framing import SWITCHING
from proxy.http.headers import RawHeaders
from proxy.http.heads import AnswerHead
from proxy.http.upstream.arriving import Arriving
from tests.fuzz.segments import segments

METHODS = ("GET", "HEAD", "POST")
UNLIMITED = 1 << 30
FIRST_FINAL = 200

LOOP = asyncio.new_event_loop()


@dataclass(eq=False)
class Heard:
    """What became of an answer.

    Attributes:
        interim: The answers before it.
        head: Its head, once that has come.
        content: Of its body.
        trailers: Behind that.
        rest: What came behind its end.
        is_complete: Whether all of it came, and nothing else.
        error: What broke it off.
    """

    interim: list[AnswerHead] = field(default_factory=list)
    head: AnswerHead | None = None
    content: bytes = b""
    trailers: RawHeaders = ()
    rest: bytes = b""
    is_complete: bool = False
    error: type[BaseException] | None = None
    lasts: bool = False

    async def hear(self, method: str, pieces: list[bytes]) -> Self:
        """The pieces, and the end of the connection behind them."""
        arriving = Arriving(method, self.interim.append, lambda: None)
        try:
            for piece in pieces:
                arriving.feed(piece)
        except BackendBrokenError as error:
            arriving.end(error)
        self.lasts = arriving.lasts_as_long_as_its_connection
        if not arriving.body.is_ended:
            arriving.eof()
        self.content, failed = arriving.body.take(), arriving.body.error
        self.error, self.is_complete = type(failed) if failed else None, arriving.is_complete
        if arriving.has_begun:
            self.head, decoder = await arriving.head(), arriving.decoder
            self.trailers, self.rest = decoder.trailers, decoder.rest
        return self


def check_response_stream(data: bytes) -> None:
    """The first byte is the request's method, the next two the sizes of segments, the rest what a backend sends."""
    method, sizes = METHODS[(data[:1] or b"\0")[0] % len(METHODS)], [1 + byte for byte in data[1:3]] or [1]
    stream = data[3:]
    whole = LOOP.run_until_complete(Heard().hear(method, [stream]))
    cut = LOOP.run_until_complete(Heard().hear(method, segments(stream, sizes)))
    assert whole.__dict__ == cut.__dict__
    assert whole.error in {None, BackendBrokenError, FramingError}
    assert not whole.is_complete or whole.error is None
    # llhttp reads nothing behind an answer that closes its connection, though it be an interim one.
    is_comparable = not any(interim.should_close for interim in whole.interim)
    if whole.head is not None and whole.head.status != SWITCHING and is_comparable:
        _check_as_llhttp_reads(method, stream, whole, whole.head)


def _check_as_llhttp_reads(method: str, stream: bytes, heard: Heard, head: AnswerHead) -> None:
    theirs = _by_llhttp(method, stream)
    assert theirs is not None
    message, content, rest, is_whole = theirs
    fields = tuple((name.rstrip(), value.rstrip(b" \t")) for name, value in message.raw_headers)
    assert (message.code, fields) == (head.status, head.fields)
    if heard.error is None:
        assert (content, rest) == (heard.content, heard.rest)
        assert is_whole or heard.lasts


def _by_llhttp(method: str, stream: bytes) -> tuple[Any, bytes, bytes, bool] | None:
    """The head of the final answer, its content, what is behind it, and whether it is whole before the stream ends."""
    parser: Any = HttpResponseParser(
        BaseProtocol(LOOP),
        LOOP,
        UNLIMITED,
        max_line_size=LINE,
        max_field_size=MAX_FIELD,
        max_headers=MAX_ANSWER_HEADERS,
        response_with_body=method != "HEAD",
        read_until_eof=True,
        auto_decompress=False,
    )
    message: Any = None
    payload, content = None, b""
    for index in range(len(stream)):
        try:
            messages, _, _ = parser.feed_data(stream[index : index + 1])
        except (HttpProcessingError, ValueError):
            break
        message, payload = messages[-1] if messages else (message, payload)
        if payload is not None:
            content += payload.read_nowait()
            if message.code >= FIRST_FINAL and payload.is_eof():
                return message, content, stream[index + 1 :], True
    return (message, content, b"", False) if message is not None else None
