"""An answer as whoever asked has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from proxy.http.errors import BackendBrokenError, BackendTooSlowError
from proxy.http.upstream.exchange import ignored
from proxy.http.upstream.roundtrip import RoundTrip
from tests.http.upstream.backend import EVENTS, PATIENCE, Wire
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.upstream.stream import ResponseStream

FIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


async def answering(wire: Wire, answer: bytes) -> ResponseStream:
    asking = asyncio.create_task(RoundTrip("GET", b"?", None, None, PATIENCE, ignored).on(wire.connection))
    await turns()
    await wire.say(answer)
    return await asking


async def broken(stream: ResponseStream, error: type[Exception]) -> bytes:
    """What came before it broke off by ``error``."""
    came = list[bytes]()

    async def read() -> None:
        async for chunk in stream.chunks():
            came.append(chunk)

    with pytest.raises(error):
        await read()
    return b"".join(came)


class Sink:
    """Whoever follows one."""

    def __init__(self) -> None:
        self.got = b""
        self.ends: list[Exception | None] = []

    def data(self, chunk: bytes, /) -> None:
        self.got += chunk

    def ended(self, error: Exception | None, /) -> None:
        self.ends.append(error)


@in_virtual_time
async def test_it_is_read_as_it_comes() -> None:
    wire = Wire()
    stream = await answering(wire, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
    assert not stream.trailers
    asyncio.get_running_loop().call_later(1.0, wire.connection.data_received, b"3\r\nllo\r\n0\r\nA: b\r\n\r\n")
    assert [chunk async for chunk in stream.chunks()] == [b"he", b"llo"]
    assert stream.trailers == ((b"A", b"b"),)
    assert stream.connection is wire.connection


@in_virtual_time
async def test_one_that_breaks_off_is_the_backends_fault() -> None:
    for error in (None, ConnectionResetError()):
        wire = Wire()
        stream = await answering(wire, FIVE + b"he")
        await wire.hang_up(error)
        assert await broken(stream, BackendBrokenError) == b"he"
    wire = Wire()
    stream = await answering(wire, FIVE + b"he")
    stream.abort()
    assert await broken(stream, BackendBrokenError) == b"he"


@in_virtual_time
async def test_one_that_stops_in_the_middle_is_too_slow() -> None:
    stream = await answering(Wire(), FIVE + b"he")
    assert await broken(stream, BackendTooSlowError) == b"he"
    assert asyncio.get_running_loop().time() == PATIENCE


@pytest.mark.parametrize(
    ("answer", "is_stream"),
    [
        (EVENTS, True),
        (EVENTS.replace(b"event-stream", b"Event-Stream; charset=utf-8"), True),
        (EVENTS.replace(b"200", b"404"), False),
        (FIVE, False),
    ],
)
@in_virtual_time
async def test_an_event_stream_says_so(answer: bytes, *, is_stream: bool) -> None:
    assert (await answering(Wire(), answer)).is_event_stream is is_stream


@in_virtual_time
async def test_a_follower_is_given_all_of_it_and_told_how_it_ends() -> None:
    for error, end in ((None, type(None)), (ConnectionResetError(), BackendBrokenError)):
        wire, sink = Wire(), Sink()
        stream = await answering(wire, EVENTS + b"a")
        stream.follow(sink)
        assert stream.headers == ()
        await wire.say(b"b")
        await wire.hang_up(error)
        assert (sink.got, [type(told) for told in sink.ends]) == (b"ab", [end])


@in_virtual_time
async def test_it_may_be_held_back() -> None:
    wire = Wire()
    stream = await answering(wire, EVENTS)
    stream.pause()
    stream.pause()
    assert not wire.transport.is_read
    stream.resume()
    stream.resume()
    assert wire.transport.is_read


@in_virtual_time
async def test_there_may_be_nothing_to_stop() -> None:
    stream: Any = await answering(Wire(), FIVE)
    await stream.stop_sending()
    assert stream.release() is None
