"""Holding a cancel back until its turn's agent listens (F13, F22)."""

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.core.observations import StreamEnded, StreamSpoke, TurnStarted
from proxy.core.records import Ending
from proxy.guard.listening import Listening, Ready
from proxy.http.errors import BackendTooSlowError
from proxy.http.message import Answer
from tests.support.notes import Notes, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend
    from proxy.http.headers import RawHeaders

SPEAKS, LISTENS, UNKNOWN = Ready.SPEAKS, Ready.LISTENS, Ready.UNKNOWN
STAMP = 1000.0
TOOK = 0.02
CALLER = ((b"Cookie", b"alice"),)


class Session:
    """A backend that saves the session of a turn twice: with its start, and right before its agent begins."""

    def __init__(self, *, begins_at: float | None) -> None:
        self.callers: list[RawHeaders] = []
        self.begins_at = begins_at
        self.own_save = 0.000_01
        self.status = 200
        self.takes = 0.0
        self.is_active: bool | None = True

    async def ask_session(self, session_id: str, caller: "RawHeaders") -> Answer:
        assert session_id == "s"
        self.callers.append(caller)
        await asyncio.sleep(self.takes)
        if self.status == 504:
            raise BackendTooSlowError("no answer")
        saved = self.own_save if self.begins_at is None or _now() < self.begins_at else self.begins_at
        return Answer(self.status, b"", (), json.dumps({"session": {"updated_at": STAMP + saved}}).encode())

    async def ask_status(self, stream_id: str, caller: "RawHeaders") -> Answer:
        assert (stream_id, caller) == ("x", CALLER)
        if self.is_active is None:
            raise BackendTooSlowError("no answer")
        return Answer(200, b"", (), json.dumps({"active": self.is_active}).encode())


class Turn:
    """A turn that was started at 0."""

    def __init__(self, session: Session) -> None:
        self.ownership = ownership(Notes())
        self.listening = Listening(cast("Backend", session), self.ownership)

    async def starts(self, *, stamp: float | None = STAMP, took: float | None = TOOK) -> "Turn":
        await self.ownership.turn_seen("s", TurnStarted(_now(), "x", hosted=True, stamp=stamp, took=took))
        return self

    async def until(self) -> tuple[Ready, Any]:
        return await self.listening.until("x", CALLER), _now()


def _now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_cancel_waits_for_the_save_that_comes_right_before_the_agent() -> None:
    session = Session(begins_at=0.4)
    turn = await Turn(session).starts()

    assert await turn.until() == (LISTENS, pytest.approx(0.4, abs=0.05))
    assert set(session.callers) == {CALLER}, "the caller's own credentials (P9)"


@pytest.mark.parametrize(("begins_at", "opened_at"), [(0.1, 1.1), (0.5, 2.5)])
@in_virtual_time
async def test_a_cancel_does_not_meet_an_agent_that_opens_its_request(begins_at: float, opened_at: float) -> None:
    """F16: it would be left behind. How long that takes is told by how long the agent took to begin."""
    session = Session(begins_at=begins_at)
    turn = await Turn(session).starts()
    await asyncio.sleep(begins_at + 0.1)

    assert await turn.until() == (LISTENS, pytest.approx(opened_at))
    assert len(session.callers) == 1


@in_virtual_time
async def test_output_ends_the_wait_for_an_agent_that_opens_its_request() -> None:
    turn = await Turn(Session(begins_at=0.5)).starts()
    await asyncio.sleep(0.6)
    waiting = asyncio.create_task(turn.until())
    await asyncio.sleep(0.1)
    await turn.ownership.observe(StreamSpoke(_now(), "x"))

    assert await waiting == (SPEAKS, pytest.approx(0.7))


@in_virtual_time
async def test_a_cancel_long_behind_that_save_goes_after_one_look() -> None:
    session = Session(begins_at=0.1)
    turn = await Turn(session).starts()
    await asyncio.sleep(2.0)

    assert await turn.until() == (LISTENS, 2.0)
    assert len(session.callers) == 1


@in_virtual_time
async def test_where_each_look_takes_long_a_save_is_never_seen_in_time() -> None:
    """A busy machine: by the time that a cancel arrives, the agent may be opening its request."""
    session = Session(begins_at=0.5)
    session.takes = 0.1
    turn = await Turn(session).starts()

    assert await turn.until() == (LISTENS, pytest.approx(2.5))


@in_virtual_time
async def test_the_starts_own_save_may_be_as_late_as_its_answer() -> None:
    """On a busy machine it comes long after the turn's stamp, and before the start is answered."""
    session = Session(begins_at=0.9)
    session.own_save = 0.3
    turn = await Turn(session).starts(took=0.35)

    assert await turn.until() == (LISTENS, pytest.approx(0.9, abs=0.05))


@in_virtual_time
async def test_output_shows_that_the_agent_listens() -> None:
    turn = await Turn(Session(begins_at=None)).starts()
    waiting = asyncio.create_task(turn.until())
    await asyncio.sleep(0.7)
    await turn.ownership.observe(StreamSpoke(_now(), "x"))

    assert await waiting == (SPEAKS, 0.7)


@in_virtual_time
async def test_a_turn_that_has_spoken_is_not_looked_at() -> None:
    session = Session(begins_at=None)
    turn = await Turn(session).starts()
    await turn.ownership.observe(StreamSpoke(0.0, "x"))

    assert await turn.until() == (SPEAKS, 0.0)
    assert session.callers == []


@in_virtual_time
async def test_a_turn_that_ends_meanwhile_is_left_alone() -> None:
    """P1: waiting is no reason to stop what has ended."""
    turn = await Turn(Session(begins_at=None)).starts()
    waiting = asyncio.create_task(turn.until())
    await asyncio.sleep(0.7)
    await turn.ownership.observe(StreamEnded(_now(), "x", Ending.FAILED))

    assert await waiting == (Ready.ENDED, 0.7)


@in_virtual_time
async def test_the_first_turn_of_a_hermes_is_waited_for_though_its_agent_takes_long_to_begin() -> None:
    """F13: what an agent needs is loaded in seconds, and then its request is opened (F16)."""
    session = Session(begins_at=4.0)
    session.takes = 0.1
    turn = await Turn(session).starts()

    assert await turn.until() == (LISTENS, pytest.approx(9.0))


@pytest.mark.parametrize(
    ("is_active", "took", "until"), [(True, TOOK, 20.0), (False, TOOK, 5.0), (None, TOOK, 5.0), (True, 0.6, 5.0)]
)
@in_virtual_time
async def test_a_cancel_does_not_wait_for_ever_for_an_agent_that_does_not_begin(
    is_active: bool | None,  # noqa: FBT001 - a parameter
    took: float,
    until: float,
) -> None:
    """P7; not for long if Hermes has no such turn (F20), or the agent may have saved the session during the start."""
    session = Session(begins_at=None)
    session.is_active = is_active
    turn = await Turn(session).starts(took=took)
    await asyncio.sleep(1)

    assert await turn.until() == (UNKNOWN, pytest.approx(until))


@pytest.mark.parametrize(("begins_at", "ready", "until"), [(1.0, LISTENS, 20.0), (None, UNKNOWN, 20.5)])
@in_virtual_time
async def test_a_turn_that_has_said_nothing_for_long_is_looked_at_once(
    begins_at: float | None, ready: Ready, until: float
) -> None:
    """The model may think for minutes; and where a machine starves, an agent may begin as late."""
    turn = await Turn(Session(begins_at=begins_at)).starts()
    await asyncio.sleep(20)

    assert await turn.until() == (ready, pytest.approx(until))


@pytest.mark.parametrize("status", [401, 404, 500, 504])
@in_virtual_time
async def test_a_session_that_cannot_be_seen_keeps_no_cancel(status: int) -> None:
    session = Session(begins_at=None)
    session.status = status
    turn = await Turn(session).starts()

    assert await turn.until() == (UNKNOWN, 0.0)


@in_virtual_time
async def test_a_backend_that_does_not_show_the_session_keeps_a_cancel_for_two_seconds() -> None:
    """P7."""
    session = Session(begins_at=None)
    session.takes = 600.0
    turn = await Turn(session).starts()

    assert await turn.until() == (UNKNOWN, 2.0)


@pytest.mark.parametrize(("stamp", "took"), [(None, TOOK), (STAMP, None), (None, None)])
@in_virtual_time
async def test_a_turn_whose_start_says_too_little_is_not_waited_for(stamp: float | None, took: float | None) -> None:
    """A side stream's answer has no stamp; and who joins a turn in its middle has not seen it start."""
    session = Session(begins_at=None)
    turn = await Turn(session).starts(stamp=stamp, took=took)

    assert await turn.until() == (UNKNOWN, 0.0)
    assert await turn.listening.until("unknown", CALLER) is UNKNOWN
    assert session.callers == []
