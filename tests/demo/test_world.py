from __future__ import annotations

from proxy.demo import RELEASES, Pace
from proxy.demo import world as module
from proxy.demo.world import World


def _world(release: str = "v0.52.262") -> World:
    return World(RELEASES[release], Pace(), lambda: 1000.0)


def test_the_oldest_idle_sessions_are_forgotten() -> None:
    world = _world()
    busy, idle = world.new_session(), world.new_session()
    assert world.open_turn(busy, "hello")
    for _ in range(module.SESSION_LIMIT):
        world.new_session()
    assert len(world.sessions) == module.SESSION_LIMIT
    assert busy.session_id in world.sessions
    assert idle.session_id not in world.sessions


def test_the_oldest_ended_journals_are_forgotten() -> None:
    world = _world()
    session = world.new_session()
    first = world.open_turn(session, "hello")
    assert first
    world.end_worker(first)
    for _ in range(module.JOURNALS_LIMIT):
        turn = world.open_turn(session, "hello")
        assert turn
        world.end_worker(turn)
    assert len(world.journals) == module.JOURNALS_LIMIT
    assert first.stream_id not in world.journals


def test_a_cancel_that_meets_a_settled_session_is_accepted_and_never_told() -> None:
    """F4: the session has gone on without the stream, so the event would contradict it."""
    world = _world()
    session = world.new_session()
    turn = world.open_turn(session, "hello")
    assert turn
    session.settle()
    assert world.cancel(turn.stream_id) == (True, None)


def test_a_turn_is_blocked_by_its_own_session_only() -> None:
    world = _world()
    busy, free = world.new_session(), world.new_session()
    turn = world.open_turn(busy, "hello")
    assert turn
    assert world.open_turn(busy, "again") is None
    assert world.blocking_stream(busy) == turn.stream_id
    assert world.blocking_stream(free) is None
