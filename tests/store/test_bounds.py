from proxy.core.records import StreamRecord, StreamState
from proxy.core.transitions import Transition
from proxy.store.memory import MemoryStore


async def test_an_empty_record_takes_no_room() -> None:
    """P7: cancels of streams that nobody heard of push out no record that says something."""
    store = MemoryStore(lambda: 0.0, sessions=2, forget_after=10)
    for session_id in ("s", "t", "u"):
        await store.transact(
            session_id, lambda r: Transition(r.put(StreamRecord("x-" + r.session_id, StreamState.CANCEL_SENT, 1)))
        )
        await store.transact(session_id, lambda r: Transition(r.drop("x-" + r.session_id)))
    assert await store.sessions() == ()
