from proxy.core.effects import Transition
from proxy.core.records import Ending, SessionRecord, StreamRecord, StreamState
from proxy.store.memory import MemoryStore


def ended(record: SessionRecord) -> Transition:
    stream = StreamRecord("x-" + record.session_id, StreamState.ENDED, 1, Ending.FINISHED)
    return Transition(record.put(stream))


async def test_an_empty_record_takes_no_room() -> None:
    """P7: cancels of streams that nobody heard of push out no record that says something."""
    store = MemoryStore(lambda: 0.0, sessions=2, forget_after=10)
    for session_id in ("s", "t", "u"):
        await store.transact(
            session_id, lambda r: Transition(r.put(StreamRecord("x-" + r.session_id, StreamState.CANCEL_SENT, 1)))
        )
        await store.transact(session_id, lambda r: Transition(r.drop("x-" + r.session_id)))
    assert await store.sessions() == ()


async def test_bounds_may_change_while_it_is_in_use() -> None:
    """What is too much by then goes with the next record that is written."""
    now = 0.0
    store = MemoryStore(lambda: now, sessions=9, forget_after=100)
    for session_id in ("s", "t", "u"):
        await store.transact(session_id, ended)
    store.most = 2
    await store.transact("v", ended)
    assert await store.sessions() == ("u", "v")

    now, store.forget_after = 10.0, 5.0
    await store.transact("w", ended)
    assert await store.sessions() == ("w",)


async def test_the_busy_records_are_those_with_a_stream_that_lives() -> None:
    store = MemoryStore(lambda: 0.0, sessions=2, forget_after=10)
    await store.transact("s", ended)
    await store.transact("t", lambda r: Transition(r.put(StreamRecord("x", StreamState.SETTLING, 1))))

    assert [record.session_id for record in await store.busy()] == ["t"]
