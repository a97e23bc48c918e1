"""A body while it comes."""

from __future__ import annotations

import asyncio

import pytest

from proxy.http.chunks import Chunked
from proxy.http.downstream.incoming import Incoming
from proxy.http.downstream.rules import Rules
from proxy.http.errors import BadRequestError, NoRoomError, RequestTimeoutError
from proxy.http.framing import ByLength, Decoder
from proxy.http.message import Body, Expectation
from proxy.http.pace import Pace
from proxy.http.room import Room
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time

PATIENCE, RATE = 10.0, 100


class Upload:
    """A body that somebody reads."""

    def __init__(self, decoder: Decoder, *, length: int | None = None, room: int = 1 << 20) -> None:
        self.pace = Pace(asyncio.get_running_loop().time)
        self.changes = 0
        self.incoming = Incoming(decoder, Rules(patience=PATIENCE, body_rate=RATE), self.pace, self._changed)
        self.room = Room(room)
        self.told: list[str] = []
        self._length = length

    def _changed(self) -> None:
        self.changes += 1

    def body(self) -> Body:
        expectation = Expectation(lambda: self.told.append("continue"))
        return self.incoming.body(self._length, self.room, expectation, lambda trailers: trailers[:1])

    def read(self) -> asyncio.Task[list[bytes]]:
        return asyncio.create_task(_all(self.body()))


async def _all(body: Body) -> list[bytes]:
    return [chunk async for chunk in body.chunks]


@in_virtual_time
async def test_it_is_read_as_it_comes() -> None:
    upload = Upload(ByLength(5), length=5)
    reading = upload.read()
    assert upload.incoming.feed(b"he") is None
    await turns()
    assert not upload.incoming.has_come
    assert upload.incoming.feed(b"llonext") == b"next"
    assert await reading == [b"he", b"llo"]
    assert (upload.incoming.has_come, upload.incoming.received) == (True, 5)
    assert upload.room.used == 5


@in_virtual_time
async def test_only_such_trailers_go_on_as_may() -> None:
    upload = Upload(Chunked())
    body = upload.body()
    assert upload.incoming.feed(b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n") == b""
    assert await _all(body) == [b"x"]
    assert body.trailers() == ((b"A", b"b"),)


@in_virtual_time
async def test_a_malformed_one_is_told_to_both_sides() -> None:
    upload = Upload(Chunked())
    reading = upload.read()
    with pytest.raises(BadRequestError):
        upload.incoming.feed(b"1\r\nxy")
    with pytest.raises(BadRequestError, match="body is malformed"):
        await reading


@in_virtual_time
async def test_one_that_does_not_come_is_given_up() -> None:
    upload = Upload(ByLength(5))
    with pytest.raises(RequestTimeoutError):
        await upload.read()
    assert asyncio.get_running_loop().time() == PATIENCE


@in_virtual_time
async def test_bytes_earn_time_and_no_more_than_there_was() -> None:
    upload = Upload(ByLength(1 << 20))
    reading = upload.read()
    await asyncio.sleep(8.0)
    upload.incoming.feed(bytes(RATE))  # a second's worth: of ten, three are left
    await asyncio.sleep(2.9)
    assert not reading.done()
    upload.incoming.feed(bytes(RATE * 1000))
    await asyncio.sleep(PATIENCE - 0.1)
    assert not reading.done()
    await asyncio.sleep(0.2)
    assert isinstance(reading.exception(), RequestTimeoutError)


@in_virtual_time
async def test_the_wait_for_it_counts_as_the_browsers() -> None:
    upload = Upload(ByLength(5))
    reading = upload.read()
    await asyncio.sleep(2.0)
    assert upload.pace.lateness == 2.0
    upload.incoming.feed(b"hello")
    await reading
    assert upload.pace.lateness == 0.0


@in_virtual_time
async def test_the_browser_is_told_to_send_it_once_somebody_reads() -> None:
    upload = Upload(ByLength(5))
    body = upload.body()
    assert body.expectation is not None
    assert upload.told == []
    reading = asyncio.create_task(_all(body))
    await turns()
    assert upload.told == ["continue"]
    upload.incoming.feed(b"hello")
    await reading


@in_virtual_time
async def test_nobody_is_told_to_send_what_comes_already() -> None:
    upload = Upload(ByLength(5))
    upload.incoming.feed(b"h")
    assert upload.body().expectation is None


@in_virtual_time
async def test_what_has_no_room_ends_it() -> None:
    upload = Upload(ByLength(100), room=10)
    reading = upload.read()
    upload.incoming.feed(bytes(100))
    with pytest.raises(NoRoomError):
        await reading


@in_virtual_time
async def test_one_that_gave_way_before_it_was_read_says_so_every_time() -> None:
    upload = Upload(ByLength(100))
    upload.incoming.give_way(NoRoomError("first"))
    for _ in range(2):
        with pytest.raises(NoRoomError, match="first"):
            await upload.read()


@in_virtual_time
async def test_the_connection_is_read_no_further_while_nobody_reads() -> None:
    upload = Upload(ByLength(1 << 20))
    upload.incoming.feed(bytes(1 << 17))
    assert upload.incoming.is_full
    assert upload.changes == 1


@pytest.mark.parametrize(("decoder", "pieces"), [(ByLength(3), [b"ab", b"cde"]), (Chunked(), [b"1\r\n", b"xyz"])])
def test_one_that_nobody_wants_is_dropped_to_its_end(decoder: Decoder, pieces: list[bytes]) -> None:
    incoming = Incoming(decoder, Rules(), Pace(float), lambda: None)
    assert [incoming.drop(piece) for piece in pieces] == [False, True]
