"""Records in memory: one change at a time, an index of their streams, watchers, and bounds."""

import asyncio
from dataclasses import replace

import pytest

from proxy.core.effects import EndRelays, Transition
from proxy.core.records import Ending, SessionRecord, StreamRecord, StreamState
from proxy.store.base import Change, Store
from proxy.store.memory import MemoryStore

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    """Keeps two idle records, for ten seconds."""
    return MemoryStore(clock, sessions=2, forget_after=10)


def put(stream_id: str, state: StreamState = RUNNING) -> Change:
    ending = Ending.FINISHED if state is ENDED else None
    return lambda record: Transition(record.put(StreamRecord(stream_id, state, 1, ending)))


async def read(store: Store, session_id: str) -> SessionRecord:
    return (await store.transact(session_id, Transition)).record


# -- transactions ---------------------------------------------------------------------------------


async def test_a_session_nobody_heard_of_has_an_empty_record(store: MemoryStore) -> None:
    assert await read(store, "s") == SessionRecord("s")
    assert await store.sessions() == ()


async def test_a_change_is_written(store: MemoryStore) -> None:
    transition = await store.transact("s", put("x"))
    assert transition.record == await read(store, "s")
    assert await store.sessions() == ("s",)


async def test_a_change_sees_the_one_before_it(store: MemoryStore) -> None:
    await store.transact("s", put("x"))
    await store.transact("s", put("y"))
    assert [s.stream_id for s in (await read(store, "s")).streams] == ["x", "y"]


async def test_effects_are_handed_back(store: MemoryStore) -> None:
    effects = (EndRelays("x"),)
    assert (await store.transact("s", lambda record: Transition(record, effects))).effects == effects


async def test_a_change_that_raises_writes_nothing(store: MemoryStore) -> None:
    before = (await store.transact("s", put("x"))).record

    def fail(record: SessionRecord) -> Transition:
        raise LookupError(record.session_id)

    with pytest.raises(LookupError, match="s"):
        await store.transact("s", fail)
    assert await read(store, "s") == before


async def test_sessions_do_not_mix(store: MemoryStore) -> None:
    await store.transact("s", put("x"))
    await store.transact("t", put("y"))
    assert (await read(store, "s")).stream("y") is None
    assert set(await store.sessions()) == {"s", "t"}


async def test_the_busy_records_are_those_in_which_something_runs(store: MemoryStore) -> None:
    await store.transact("s", put("x"))
    await store.transact("t", put("y"))
    ended = StreamRecord("x", StreamState.ENDED, 1.0, Ending.FINISHED)
    await store.transact("s", lambda record: Transition(record.put(ended)))

    assert [record.session_id for record in await store.busy()] == ["t"]


# -- the index ------------------------------------------------------------------------------------


async def test_a_stream_is_found_by_its_session(store: MemoryStore) -> None:
    assert await store.session_of("x") is None
    await store.transact("s", put("x"))
    assert await store.session_of("x") == "s"


async def test_a_dropped_stream_is_not_found(store: MemoryStore) -> None:
    await store.transact("s", put("x"))
    await store.transact("s", lambda record: Transition(record.drop("x")))
    assert await store.session_of("x") is None


async def test_a_stream_that_fell_off_its_record_is_not_found(store: MemoryStore) -> None:
    for number in range(SessionRecord.KEPT_ENDINGS + 1):
        await store.transact("s", put(f"x{number}", ENDED))
    assert await store.session_of("x0") is None
    assert await store.session_of("x1") == "s"


@pytest.mark.parametrize("leave_first", [True, False])
async def test_a_stream_that_moved_is_found_where_it_went(store: MemoryStore, *, leave_first: bool) -> None:
    async def leave() -> None:
        await store.transact("s", lambda record: Transition(replace(record, streams=(), moved_to="t")))

    await store.transact("s", put("x"))
    if leave_first:
        await leave()
    await store.transact("t", put("x"))
    if not leave_first:
        await leave()
    assert await store.session_of("x") == "t"


# -- bounds ---------------------------------------------------------------------------------------


async def test_the_oldest_idle_records_go_first(store: MemoryStore) -> None:
    """P7: every buffer has a size."""
    for session_id in ("s", "t", "u"):
        await store.transact(session_id, put(f"x-{session_id}", ENDED))
    assert await store.sessions() == ("t", "u")
    assert await store.session_of("x-s") is None
    assert await read(store, "s") == SessionRecord("s")


async def test_a_change_makes_a_record_young_again(store: MemoryStore) -> None:
    await store.transact("s", put("x", ENDED))
    await store.transact("t", put("y", ENDED))
    await store.transact("s", put("z", ENDED))
    await store.transact("u", put("w", ENDED))
    assert await store.sessions() == ("s", "u")


async def test_reading_does_not_make_a_record_young_again(store: MemoryStore) -> None:
    await store.transact("s", put("x", ENDED))
    await store.transact("t", put("y", ENDED))
    await read(store, "s")
    await store.transact("u", put("w", ENDED))
    assert await store.sessions() == ("t", "u")


@pytest.mark.parametrize(("age", "kept"), [(10, True), (10.5, False)])
async def test_an_old_idle_record_is_forgotten(store: MemoryStore, clock: Clock, age: float, *, kept: bool) -> None:
    await store.transact("s", put("x", ENDED))
    clock.now = age
    await store.transact("t", put("y", ENDED))
    assert ("s" in await store.sessions()) is kept
    assert (await store.session_of("x") is not None) is kept


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT, SETTLING])
async def test_a_busy_record_is_never_forgotten(store: MemoryStore, clock: Clock, state: StreamState) -> None:
    for session_id in ("s", "t", "u", "v"):
        await store.transact(session_id, put(f"x-{session_id}", state))
    clock.now = 1000
    await store.transact("w", put("y", ENDED))
    assert set(await store.sessions()) == {"s", "t", "u", "v", "w"}
    assert await store.session_of("x-s") == "s"


async def test_a_record_that_becomes_idle_may_be_forgotten(store: MemoryStore, clock: Clock) -> None:
    await store.transact("s", put("x"))
    await store.transact("s", put("x", ENDED))
    clock.now = 11
    await store.transact("t", put("y"))
    assert await store.sessions() == ("t",)


async def test_an_idle_record_that_becomes_busy_is_kept(store: MemoryStore, clock: Clock) -> None:
    await store.transact("s", put("x", ENDED))
    await store.transact("s", put("y"))
    clock.now = 11
    await store.transact("t", put("z"))
    assert set(await store.sessions()) == {"s", "t"}
    assert await store.session_of("x") == "s"


async def test_a_store_may_keep_no_idle_record_at_all(clock: Clock) -> None:
    store = MemoryStore(clock, sessions=0, forget_after=10)
    await store.transact("s", put("x", ENDED))
    assert await store.sessions() == ()
    assert await store.session_of("x") is None


# -- watching -------------------------------------------------------------------------------------


async def watching(store: MemoryStore, known: SessionRecord) -> asyncio.Task[SessionRecord]:
    task = asyncio.create_task(store.watch(known))
    await asyncio.sleep(0)
    return task


async def test_a_record_that_differs_already_is_given_at_once(store: MemoryStore) -> None:
    record = (await store.transact("s", put("x"))).record
    assert await store.watch(SessionRecord("s")) == record


async def test_a_change_wakes_every_watcher(store: MemoryStore) -> None:
    tasks = [await watching(store, SessionRecord("s")) for _ in range(2)]
    assert not any(task.done() for task in tasks)
    record = (await store.transact("s", put("x"))).record
    assert await asyncio.gather(*tasks) == [record, record]


async def test_another_sessions_change_wakes_nobody(store: MemoryStore) -> None:
    task = await watching(store, SessionRecord("s"))
    await store.transact("t", put("x"))
    await asyncio.sleep(0)
    assert not task.done()
    await store.transact("s", put("y"))
    await task


async def test_a_change_that_was_taken_back_wakes_nobody(store: MemoryStore) -> None:
    known = (await store.transact("s", put("x"))).record
    task = await watching(store, known)
    await store.transact("s", put("x", ENDED))
    await store.transact("s", put("x"))
    await asyncio.sleep(0)
    assert not task.done()
    record = (await store.transact("s", put("y"))).record
    assert await task == record


async def test_a_watcher_that_gives_up_leaves_the_others(store: MemoryStore) -> None:
    patient, hasty = await watching(store, SessionRecord("s")), await watching(store, SessionRecord("s"))
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    record = (await store.transact("s", put("x"))).record
    assert await patient == record


async def test_nothing_is_left_of_watchers_that_are_gone(store: MemoryStore) -> None:
    """P7: a session that was once watched costs nothing later."""
    task = await watching(store, SessionRecord("s"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store._watchers == {}


async def test_it_is_a_store(store: MemoryStore) -> None:
    as_store: Store = store
    assert await as_store.sessions() == ()
