"""A stream is faulted for whatever did not arrive as it was written."""

from array import array
from typing import TYPE_CHECKING, cast

import pytest

from tests.bench.feeds import Feed, stream
from tests.bench.reading import Reading

if TYPE_CHECKING:
    import asyncio


class _Wire:
    """Takes what the backend writes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        pass

    @property
    def body(self) -> list[bytes]:
        return self.pieces[1:]


def _turn(tokens: int) -> tuple[Feed, list[bytes]]:
    """A whole turn, and its frames: one that names its session, the tokens, and the two at its end as one."""
    wire, feed = _Wire(), Feed("s1", "session")
    feed.open(cast("asyncio.WriteTransport", wire))
    feed.tokens(tokens)
    feed.finish()
    return feed, wire.body


def _read(feed: Feed, pieces: list[bytes]) -> Reading:
    reading = Reading(array("q"))
    for piece in pieces:
        reading.feed(piece)
    reading.compare(feed)
    return reading


def test_a_whole_stream_has_no_fault() -> None:
    feed, frames = _turn(3)
    reading = _read(feed, frames)
    assert (reading.faults, reading.seq, reading.ended) == ([], 3, True)


def test_it_may_come_in_any_pieces() -> None:
    feed, frames = _turn(3)
    whole = b"".join(frames)
    assert _read(feed, [whole[n : n + 7] for n in range(0, len(whole), 7)]).faults == []


@pytest.mark.parametrize(
    ("order", "fault"),
    [
        ([0, 1, 3, 4], "a gap"),
        ([0, 1, 2, 2, 3, 4], "a duplicate"),
        ([0, 2, 3, 1, 4], "another order"),
        ([0, 1, 2, 4, 3], "after the last event"),
        ([0, 1, 2, 3, 4, 4], "a second last event"),
        ([0, 1, 2, 3], "without its last event"),
    ],
)
def test_what_did_not_arrive_as_it_was_written_is_named(order: list[int], fault: str) -> None:
    feed, frames = _turn(3)
    assert fault in " ".join(_read(feed, [frames[n] for n in order]).faults)


def test_a_byte_that_is_another_is_a_fault() -> None:
    feed, frames = _turn(1)
    faults = _read(feed, [frames[0].replace(b"not_configured", b"not_Configured"), *frames[1:]]).faults
    assert faults == [f"{feed.size} bytes were read of {feed.size} written, or not the same ones"]


def test_how_long_each_token_was_under_way_is_kept() -> None:
    delays: array[int] = array("q")
    reading = Reading(delays)
    for frame in _turn(2)[1]:
        reading.feed(frame)
    assert len(delays) == 2
    assert all(delay >= 0 for delay in delays)


@pytest.mark.parametrize(("session_id", "named"), [("session", 3), (None, 0)])
def test_a_stream_names_its_session_unless_it_is_to_be_unknown(session_id: str | None, named: int) -> None:
    wire, feed = _Wire(), Feed("s1", session_id)
    feed.open(cast("asyncio.WriteTransport", wire))
    feed.tokens(2)
    feed.finish()
    assert b"".join(wire.body).count(b"session") == 2 * named
    assert _read(feed, wire.body).faults == []


async def test_every_stream_gets_as_many_bursts_as_asked_for() -> None:
    feeds = [Feed(str(n), "session") for n in range(3)]
    assert await stream(feeds, rate=100, seconds=0.05, burst=2) == 30
    assert [feed.seq for feed in feeds] == [10, 10, 10]


def test_a_stopped_turn_says_nothing_more() -> None:
    feed, frames = Feed("s1", "session"), _Wire()
    feed.open(cast("asyncio.WriteTransport", frames))
    feed.cancel()
    feed.tokens(1)
    assert _read(feed, frames.body).faults == []
