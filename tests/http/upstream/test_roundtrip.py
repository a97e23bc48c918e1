"""A request on a connection, and the head of its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import BackendBrokenError, BackendTooSlowError, NoRoomError
from proxy.http.message import Body
from proxy.http.upstream.exchange import ignored
from proxy.http.upstream.roundtrip import RoundTrip
from tests.http.upstream.backend import OK, PATIENCE, Wire, pieces
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.http.upstream.stream import ResponseStream

HEAD = b"POST / HTTP/1.1\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Trip:
    """One under way."""

    def __init__(self, body: Body | None = None, upgrade: bytes | None = None) -> None:
        self.wire = Wire()
        trip = RoundTrip("POST", HEAD, body, upgrade, PATIENCE, ignored)
        self.asking: asyncio.Task[ResponseStream] = asyncio.create_task(trip.on(self.wire.connection))

    async def fails(self, error: type[Exception]) -> bool:
        """Whether it does, and its connection with it."""
        with pytest.raises(error):
            await self.asking
        return self.wire.transport.was_aborted


async def late(seconds: float) -> AsyncIterator[bytes]:
    """A body whose browser takes its time."""
    yield b"he"
    await asyncio.sleep(seconds)
    yield b"llo"


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_head_goes_out_and_one_comes_back() -> None:
    trip = Trip()
    assert await trip.wire.hear() == HEAD
    await trip.wire.say(OK)
    stream = await trip.asking
    assert (stream.status, stream.reason, stream.arrived()) == (200, b"OK", b"ok")
    assert stream.release() is trip.wire.connection


@pytest.mark.parametrize(("length", "sent"), [(5, b"hello"), (None, b"2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n")])
@in_virtual_time
async def test_a_body_goes_out_behind_its_head(length: int | None, sent: bytes) -> None:
    trip = Trip(Body(length, pieces(b"he", b"llo"), trailers=lambda: ((b"A", b"b"),)))
    assert await trip.wire.hear() == HEAD + sent
    await trip.wire.say(OK)
    assert (await trip.asking).release() is trip.wire.connection


@in_virtual_time
async def test_no_answer_in_time_is_the_backends_fault() -> None:
    for number, body in enumerate((None, Body.of(b"hello")), 1):
        assert await Trip(body).fails(BackendTooSlowError)
        assert now() == number * PATIENCE


@in_virtual_time
async def test_the_time_begins_when_the_body_was_sent() -> None:
    assert await Trip(Body(5, late(2 * PATIENCE))).fails(BackendTooSlowError)
    assert now() == 3 * PATIENCE


@in_virtual_time
async def test_a_backend_that_hangs_up_gave_no_answer() -> None:
    for error in (None, ConnectionResetError()):
        trip = Trip(Body.of(b"hello"))
        await turns()
        await trip.wire.hang_up(error)
        assert await trip.fails(BackendBrokenError)


@in_virtual_time
async def test_a_connection_that_is_gone_gives_no_answer() -> None:
    trip = Trip(Body.of(b"hello"))
    trip.wire.transport.close()
    with pytest.raises(BackendBrokenError):
        await trip.asking


@in_virtual_time
async def test_whoever_gives_up_ends_both() -> None:
    trip = Trip(Body(None, pieces(b"he")))
    await turns()
    trip.asking.cancel()
    await asyncio.wait({trip.asking})
    assert trip.wire.transport.was_aborted


@in_virtual_time
async def test_a_body_that_fails_ends_the_exchange_with_its_error() -> None:
    assert await Trip(Body(5, pieces(b"he", NoRoomError("full")))).fails(NoRoomError)


@in_virtual_time
async def test_a_backend_that_takes_nothing_is_too_slow() -> None:
    trip = Trip(Body(10, pieces(b"hello", b"again")))
    trip.wire.connection.pause_writing()
    trip.wire.transport.unsent = 5
    assert await trip.fails(BackendTooSlowError)


@in_virtual_time
async def test_a_backend_that_takes_more_gets_the_rest() -> None:
    trip = Trip(Body(10, pieces(b"hello", b"again")))
    trip.wire.connection.pause_writing()
    assert await trip.wire.hear() == HEAD + b"hello"
    trip.wire.connection.resume_writing()
    assert await trip.wire.hear() == b"again"
    await trip.wire.say(OK)
    assert (await trip.asking).status == 200


@in_virtual_time
async def test_an_error_answer_stops_the_body() -> None:
    """RFC 9112 section 9.5."""
    trip = Trip(Body(5, late(PATIENCE)))
    await turns()
    await trip.wire.say(OK.replace(b"200 OK", b"413 No"))
    stream = await trip.asking
    await stream.stop_sending()
    assert stream.release() is None
    assert trip.wire.transport.was_aborted


# -- switching protocols (RFC 9110 section 7.8) ---------------------------------------------------


@in_virtual_time
async def test_a_backend_switches_to_what_it_was_asked_for() -> None:
    trip = Trip(upgrade=b"WebSocket")
    await turns()
    await trip.wire.say(SWITCH)
    assert (await trip.asking).status == 101


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (None, SWITCH),
        (b"h2c", SWITCH),
        (b"websocket", b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n"),
        (b"websocket", b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\n\r\n"),
    ],
)
@in_virtual_time
async def test_a_backend_switches_to_nothing_else(asked: bytes | None, answer: bytes) -> None:
    trip = Trip(upgrade=asked)
    await turns()
    await trip.wire.say(answer)
    assert await trip.fails(BackendBrokenError)
