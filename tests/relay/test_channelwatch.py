"""What a session's channel tells, and what of it goes on."""

import itertools
import json
from typing import Any

import pytest

from proxy.core.observations import CancelAccepted, CancelSent, StreamEnded, TurnStarted
from proxy.core.records import Ending
from proxy.relay.channelwatch import ChannelWatch
from tests.support.notes import Notes, ownership
from tests.support.virtual_time import in_virtual_time


def frame(event: str, **data: Any) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def announced(stream_id: str = "x") -> bytes:
    """As v0.52 announces a turn to a subscriber that has just come."""
    return frame(
        "server_turn_started", session_id="s", stream_id=stream_id, source="subscribe_recovery", recovered=True
    )


INITIAL = frame("initial", session_id="s")
KEEPALIVE = b": keepalive\n\n"
LONG = frame("session-updated", text="x" * 70_000)


class Channel:
    """A channel, what is believed, and what goes on."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.believed = ownership(self.notes)
        self.watch = ChannelWatch(self.believed, "e-1", self.notes)

    async def passes(self, *chunks: bytes) -> bytes:
        passed = b""
        for chunk in chunks:
            assert await self.watch.see(chunk) is None, "nothing ends it"
            passed += b"".join(piece.data for piece in self.watch.amend(chunk))
        return passed

    async def owner(self) -> str | None:
        owner = (await self.believed.session("s")).owner
        return owner.stream_id if owner else None

    async def ran(self, stream_id: str, ending: Ending | None = None) -> None:
        await self.believed.turn_seen("s", TurnStarted(self.believed.clock(), stream_id))
        if ending:
            await self.believed.observe(StreamEnded(self.believed.clock(), stream_id, ending))


@in_virtual_time
async def test_a_channel_is_always_looked_at() -> None:
    assert not Channel().watch.passes(frame("token"), 0.0)


@in_virtual_time
async def test_an_announced_turn_is_learned_however_its_bytes_arrive() -> None:
    channel = Channel()
    said = KEEPALIVE + announced()

    assert await channel.passes(*(bytes([byte]) for byte in said)) == said
    assert await channel.owner() == "x"


@pytest.mark.parametrize(
    "said", [frame("initial", session_id="s", stream_id="x"), frame("server_turn_started"), b"data: {\n\n", KEEPALIVE]
)
@in_virtual_time
async def test_anything_else_on_a_channel_teaches_nothing(said: bytes) -> None:
    channel = Channel()

    assert await channel.passes(said) == said
    assert channel.notes.said == []


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
@in_virtual_time
async def test_a_turn_that_is_known_to_have_ended_is_not_announced(ending: Ending) -> None:
    """Its page would attach to it, over and over."""
    channel = Channel()
    await channel.ran("x", ending)

    assert await channel.passes(INITIAL + announced() + KEEPALIVE) == INITIAL + KEEPALIVE
    assert await channel.owner() is None


@in_virtual_time
async def test_nor_is_a_stopped_one_whose_worker_unwinds() -> None:
    """Up to exp-v0.52.234 Hermes takes it for one that runs."""
    channel = Channel()
    await channel.ran("x")
    now = channel.believed.clock()
    await channel.believed.observe(CancelSent(now, "x", "c-1", "alice"))
    await channel.believed.observe(CancelAccepted(now, "x", "c-1"))
    await channel.believed.observe(StreamEnded(now, "x", Ending.CANCELLED))

    assert await channel.passes(announced()) == b""


@in_virtual_time
async def test_a_turn_that_is_only_believed_to_be_over_is_announced() -> None:
    """F20: another turn of the session began, which may run beside it."""
    channel = Channel()
    await channel.ran("x")
    await channel.ran("y")

    assert await channel.passes(announced("x")) == announced("x")


@in_virtual_time
async def test_a_turn_that_runs_is_announced_among_dead_ones() -> None:
    channel = Channel()
    await channel.ran("x", Ending.CANCELLED)
    said = INITIAL + announced("x") + announced("y") + announced("x") + KEEPALIVE

    assert await channel.passes(said) == INITIAL + announced("y") + KEEPALIVE
    assert await channel.owner() == "y"


@in_virtual_time
async def test_wherever_the_bytes_are_cut_the_same_goes_on() -> None:
    said = INITIAL + announced("x") + announced("y") + KEEPALIVE
    for first, second in itertools.combinations(range(0, len(said), 7), 2):
        channel = Channel()
        await channel.ran("x", Ending.CANCELLED)
        passed = await channel.passes(said[:first], said[first:second], said[second:])
        assert passed == INITIAL + announced("y") + KEEPALIVE, (first, second)


@in_virtual_time
async def test_a_long_frame_is_not_held_back_for_long() -> None:
    """P7: of what has gone on in part, nothing is dropped."""
    channel = Channel()

    assert await channel.passes(LONG[:68_000]) == LONG[:68_000]
    assert await channel.passes(LONG[68_000:68_010]) == LONG[68_000:68_010]
    assert await channel.passes(LONG[68_010:] + KEEPALIVE) == LONG[68_010:] + KEEPALIVE


@in_virtual_time
async def test_what_cannot_be_looked_at_passes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: after a mistake of the proxy's own."""
    channel = Channel()
    await channel.ran("x", Ending.CANCELLED)
    monkeypatch.setattr(channel.believed, "stream", None)

    assert await channel.passes(INITIAL + announced()) == INITIAL + announced()
    assert channel.notes.of("internal_error")
