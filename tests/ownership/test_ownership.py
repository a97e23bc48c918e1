"""Feeding what was seen to the records, and handing the effects on."""

import asyncio
import json

import pytest

from proxy.core.effects import Effect, EndRelays, PursueStop, Settled, TransitionError
from proxy.core.observations import (
    CancelAccepted,
    CancelAnswered,
    CancelSent,
    RelaysEnded,
    SlotSeen,
    StartConflicted,
    StatusSeen,
    StreamEnded,
    TurnStarted,
)
from proxy.core.records import Ending, Slot, StreamState
from proxy.core.verdicts import Coalesce, Forward, Repeat, Stale
from proxy.ownership.ownership import Ownership, is_nameless
from proxy.store.memory import MemoryStore
from tests.support.notes import Notes, ownership
from tests.support.virtual_time import in_virtual_time


class Believer:
    """An ownership, what it reported, and the effects that it handed on."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.effects: list[Effect] = []
        self.ownership: Ownership = ownership(self.notes)
        self.ownership.carry_out = self.effects.append

    async def starts(self, session_id: str, stream_id: str) -> None:
        await self.ownership.turn_seen(session_id, TurnStarted(self.ownership.clock(), stream_id))

    async def ends(self, stream_id: str) -> None:
        await self.ownership.observe(StreamEnded(self.ownership.clock(), stream_id, Ending.FINISHED))

    async def owner(self, session_id: str) -> str | None:
        owner = (await self.ownership.session(session_id)).owner
        return owner.stream_id if owner else None

    async def state(self, stream_id: str) -> StreamState | None:
        stream = await self.ownership.stream(stream_id)
        return stream.state if stream else None


@in_virtual_time
async def test_starts_leave_no_record_besides_their_session() -> None:
    """Records are bounded by number (P7): one for every turn would push out what is worth remembering."""
    believer = Believer()

    for stream_id in ("x", "y", "z"):
        await believer.starts("s", stream_id)

    assert await believer.ownership._store.sessions() == ("s",)


@in_virtual_time
async def test_a_turn_owns_the_session_that_its_start_named() -> None:
    believer = Believer()
    await believer.starts("s", "x")

    assert await believer.owner("s") == "x"
    assert await believer.ownership.locate("x") == "s"
    assert await believer.ownership.session_of("x")


@in_virtual_time
async def test_a_conflict_tells_the_owner() -> None:
    believer = Believer()
    await believer.ownership.turn_seen("s", StartConflicted(0.0, "x"))

    assert await believer.owner("s") == "x"


@in_virtual_time
async def test_a_stream_seen_before_its_session_is_known_comes_along_with_it() -> None:
    believer = Believer()
    await believer.ownership.observe(CancelSent(0.0, "x", "c-1", "alice"))
    await believer.ownership.observe(CancelAccepted(0.0, "x", "c-1"))
    assert await believer.ownership.session_of("x") is None
    (nameless,) = await believer.ownership.busy()
    assert is_nameless(nameless.session_id)

    await believer.ownership.identify("x", "s")

    assert await believer.ownership.locate("x") == "s"
    assert await believer.owner("s") == "x"
    assert await believer.state("x") is StreamState.SETTLING
    (named,) = await believer.ownership.busy()
    assert not is_nameless(named.session_id)


@in_virtual_time
async def test_a_stream_whose_session_is_known_stays_in_it() -> None:
    """A side stream's events may name its parent, and a late answer an older id."""
    believer = Believer()
    await believer.starts("s", "x")

    await believer.ownership.identify("x", "another")
    await believer.starts("another", "x")

    assert await believer.ownership.locate("x") == "s"
    assert await believer.owner("another") is None


@in_virtual_time
async def test_an_identified_stream_is_found_before_anything_was_seen_of_it() -> None:
    believer = Believer()
    await believer.ownership.identify("x", "s")

    await believer.ownership.observe(StatusSeen(0.0, 0.0, "x", active=True, ending=None))

    assert await believer.owner("s") == "x"


@in_virtual_time
async def test_a_conversation_is_found_under_every_id_that_it_had() -> None:
    believer = Believer()
    await believer.starts("first", "x")
    await believer.ownership.rotate("first", "second")
    await believer.ownership.rotate("second", "third")

    assert await believer.owner("first") == await believer.owner("third") == "x"
    assert await believer.ownership.locate("x") == "third"


@in_virtual_time
async def test_rotations_in_a_circle_are_no_endless_loop() -> None:
    """P7: whatever the backend says."""
    believer = Believer()
    await believer.ownership.rotate("a", "b")
    await believer.ownership.rotate("b", "a")
    await believer.ownership.rotate("a", "b")

    assert (await believer.ownership.session("a")).session_id in {"a", "b"}


@in_virtual_time
async def test_a_restart_loses_what_ran_in_every_session() -> None:
    believer = Believer()
    await believer.starts("s", "x")
    await believer.starts("t", "y")
    await asyncio.sleep(10)
    await believer.starts("u", "z")

    await believer.ownership.lose_running(5.0)

    assert [await believer.state(stream_id) for stream_id in "xyz"] == [
        StreamState.ENDED,
        StreamState.ENDED,
        StreamState.RUNNING,
    ]
    assert set(believer.effects) == {EndRelays("x"), EndRelays("y")}


@in_virtual_time
async def test_forward_is_said_once() -> None:
    """P1: it is recorded in the step in which it is judged."""
    believer = Believer()
    await believer.starts("s", "x")

    first = await believer.ownership.judge_cancel("x", "alice", "c-1")
    again = await believer.ownership.judge_cancel("x", "alice", "c-2")
    other = await believer.ownership.judge_cancel("x", "bob", "c-3")

    assert (first, again, other) == (Forward(), Coalesce("c-1"), Forward())
    stream = await believer.ownership.stream("x")
    assert stream is not None
    assert [cancel.cancel_id for cancel in stream.sent] == ["c-1", "c-3"]


@in_virtual_time
async def test_a_verdict_that_is_not_forward_changes_nothing() -> None:
    believer = Believer()
    await believer.starts("s", "x")
    await believer.ends("x")
    before = await believer.ownership.session("s")

    assert await believer.ownership.judge_cancel("x", "alice", "c-1") == Stale(Ending.FINISHED)
    assert await believer.ownership.session("s") == before


@in_virtual_time
async def test_a_cancel_that_is_sent_all_the_same_is_judged_by_what_is_known_by_then() -> None:
    """F20: two callers ask for a superseded stream's end; one's cancel is accepted while the other still asks."""
    believer = Believer()
    await believer.starts("s", "x")
    await believer.starts("s", "y")

    asked = await believer.ownership.judge_cancel("x", "alice", "c-1")
    first = await believer.ownership.judge_cancel("x", "alice", "c-1", unended=True)
    await believer.ownership.observe(CancelAccepted(0.0, "x", "c-1"))
    late = await believer.ownership.judge_cancel("x", "bob", "c-2", unended=True)

    assert isinstance(asked, Stale)
    assert not asked.proven
    assert (first, late) == (Forward(), Repeat(shared=False, first="c-1"))


@in_virtual_time
async def test_an_end_that_is_proven_is_refused_though_the_backend_knows_none() -> None:
    """P1."""
    believer = Believer()
    await believer.starts("s", "x")
    await believer.ends("x")

    assert await believer.ownership.judge_cancel("x", "alice", "c-1", unended=True) == Stale(Ending.FINISHED)


@in_virtual_time
async def test_effects_are_handed_on_in_their_order() -> None:
    believer = Believer()
    await believer.starts("s", "x")
    await believer.ownership.judge_cancel("x", "alice", "c-1")
    for seen in (
        CancelAccepted(0.0, "x", "c-1"),
        RelaysEnded(0.0, "x"),
        CancelAnswered(0.0, "x"),
        SlotSeen(0.0, "x", Slot.FREE),
    ):
        await believer.ownership.observe(seen)

    assert [type(effect) for effect in believer.effects] == [PursueStop, EndRelays, EndRelays, Settled]


@in_virtual_time
async def test_an_effect_that_nobody_carries_out_is_a_mistake() -> None:
    """The shell raises rather than to forget one."""
    clock = asyncio.get_running_loop().time
    believer = Ownership(MemoryStore(clock, sessions=100, forget_after=1e6), clock, Notes())

    with pytest.raises(RuntimeError, match="nobody carries out EndRelays"):
        await believer.observe(StreamEnded(0.0, "x", Ending.FINISHED))


@in_virtual_time
async def test_what_makes_no_sense_raises_and_changes_nothing() -> None:
    believer = Believer()
    await believer.starts("s", "x")
    await believer.ownership.observe(CancelSent(0.0, "x", "c-1", "alice"))
    await believer.ownership.observe(CancelAccepted(0.0, "x", "c-1"))

    with pytest.raises(TransitionError):
        await believer.ownership.observe(CancelSent(1.0, "x", "c-2", "alice"))
    assert await believer.state("x") is StreamState.SETTLING


@in_virtual_time
async def test_a_change_of_the_session_is_waited_for() -> None:
    believer = Believer()
    await believer.starts("s", "x")
    known = await believer.ownership.session("s")
    waiting = asyncio.create_task(believer.ownership.changed(known))
    await asyncio.sleep(1)
    assert not waiting.done()

    await believer.ends("x")

    assert await waiting == await believer.ownership.session("s")


@in_virtual_time
async def test_a_change_that_is_a_move_leads_to_where_the_session_went() -> None:
    believer = Believer()
    await believer.starts("old", "x")
    waiting = asyncio.create_task(believer.ownership.changed(await believer.ownership.session("old")))
    await asyncio.sleep(1)

    await believer.ownership.rotate("old", "new")

    record = await waiting
    assert record.session_id == "new"
    assert record.owner is not None


@in_virtual_time
async def test_every_observation_is_reported_in_json_without_secrets() -> None:
    believer = Believer()
    await believer.starts("s", "x")
    await believer.ownership.observe(CancelSent(0.0, "x", "c-1", "alice's fingerprint"))
    await believer.ends("x")
    await believer.ownership.rotate("s", "t")

    observed = believer.notes.of("observed")
    hidden = {"hosted": None, "stamp": None, "took": None}
    assert {"session": "s", "what": "TurnStarted", "stream_id": "x", **hidden} in observed
    assert {"session": "s", "what": "StreamEnded", "stream_id": "x", "ending": "finished"} in observed
    assert {"session": "s", "what": "SessionRotated", "new_session_id": "t"} in observed
    assert {"session": "t", "what": "StreamsAdopted"} in observed
    assert "alice" not in json.dumps(observed)


@in_virtual_time
async def test_what_runs_or_is_being_cancelled_lives() -> None:
    believer = Believer()
    for session_id, stream_id in (("s", "over"), ("s", "x"), ("t", "y"), ("u", "also over")):
        await believer.starts(session_id, stream_id)
    for stream_id in ("over", "also over"):
        await believer.ends(stream_id)
    await believer.ownership.observe(CancelSent(0.0, "y", "c-1", "alice"))

    assert {stream.stream_id for stream in await believer.ownership.live_streams()} == {"x", "y"}
