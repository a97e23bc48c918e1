"""Whether the backend can be reached, for those who ask."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from proxy.backend.health import Health
from proxy.backend.reach import FRESH, GLANCE, Reach
from proxy.core.records import StreamRecord, StreamState
from proxy.http.errors import BackendTooSlowError, BackendUnreachableError, ProxyError
from proxy.http.message import Answer
from proxy.tasks import Tasks
from tests.support.notes import Notes
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

AWAY = BackendUnreachableError("it takes no connection")


class Asked:
    """A backend that is well, or fails in some way; asking it takes a while."""

    def __init__(self) -> None:
        self.fails: ProxyError | None = None
        self.seconds = 0.1
        self.count = 0
        self.began = 0.0
        self.runs: list[dict[str, str]] | None = []

    async def ask_health(self) -> Answer:
        self.count += 1
        await asyncio.sleep(self.seconds)
        if self.fails is not None:
            raise self.fails
        uptime = asyncio.get_running_loop().time() - self.began
        return Answer(200, b"OK", (), json.dumps({"uptime_seconds": uptime, "runs": self.runs}).encode())


class Watched:
    """A backend, what is known of it, and since when what ran on it is lost."""

    def __init__(self, tasks: Tasks) -> None:
        clock = asyncio.get_running_loop().time
        self.asked = Asked()
        self.lost: list[float] = []
        backend = cast("Backend", self.asked)
        self.health = Health(backend, tasks, clock, self._lose, report=Notes())
        self.reach = Reach(backend, self.health, tasks, clock)

    def hears(self) -> None:
        """Something passed through; whether it is the same process is known."""
        self.health.heard = asyncio.get_running_loop().time()

    async def _lose(self, since: float) -> None:
        self.lost.append(since)


@asynccontextmanager
async def watching() -> AsyncIterator[Watched]:
    """The questions that are asked belong to the context."""
    async with Tasks() as tasks:
        yield Watched(tasks)


@in_virtual_time
async def test_what_passed_through_lately_is_evidence_enough() -> None:
    async with watching() as watched:
        watched.hears()

        assert await watched.reach.away_since() is None
        assert watched.asked.count == 0


@in_virtual_time
async def test_it_is_asked_when_nothing_passed_through() -> None:
    async with watching() as watched:
        assert await watched.reach.away_since() is None
        assert watched.asked.count == 1


@in_virtual_time
async def test_many_who_want_to_know_are_one_question() -> None:
    async with watching() as watched:
        watched.asked.fails = AWAY

        answers = await asyncio.gather(*(watched.reach.away_since() for _ in range(9)))

        assert answers == [0.1] * 9
        assert watched.asked.count == 1


@pytest.mark.parametrize("error", [AWAY, BackendTooSlowError("no answer")])
def test_it_is_away_since_it_was_first_found_so(error: ProxyError) -> None:
    @in_virtual_time
    async def story() -> None:
        async with watching() as watched:
            watched.asked.fails = error
            for _ in range(3):
                assert await watched.reach.away_since() == 0.1
                await asyncio.sleep(FRESH)
            assert watched.asked.count == 3

    story()


@in_virtual_time
async def test_it_is_not_asked_more_often_than_that() -> None:
    async with watching() as watched:
        watched.asked.fails = AWAY
        for _ in range(10):
            await watched.reach.away_since()
            await asyncio.sleep(FRESH / 10)

        assert watched.asked.count == 1


@in_virtual_time
async def test_a_backend_that_hangs_is_away() -> None:
    async with watching() as watched:
        watched.asked.seconds = 60

        assert await watched.reach.away_since() == 2.0


@in_virtual_time
async def test_it_is_back_once_it_answers_whoever_asked() -> None:
    async with watching() as watched:
        watched.asked.fails = AWAY
        await watched.reach.away_since()
        watched.asked.fails = None
        watched.hears()

        assert await watched.reach.away_since() is None
        assert watched.lost == [], "a refused connection is no restart"


@in_virtual_time
async def test_one_that_was_gone_and_is_the_same_lost_nothing() -> None:
    """Neither that it was slow nor that it took no connection is evidence of another process."""
    async with watching() as watched:
        for error in (BackendTooSlowError("no answer"), AWAY, None):
            watched.asked.fails = error
            await watched.reach.away_since()
            await asyncio.sleep(FRESH)

        assert watched.lost == []


@in_virtual_time
async def test_one_that_restarted_between_two_questions_is_noticed() -> None:
    async with watching() as watched:
        await watched.reach.away_since()
        await asyncio.sleep(10)
        watched.asked.began = 9.0
        await watched.reach.away_since()

        assert watched.lost == [pytest.approx(8.9)], "the earliest moment at which it may have begun"


# -- while it is asked ----------------------------------------------------------------------------


@in_virtual_time
async def test_one_that_answers_in_good_time_is_not_waited_for() -> None:
    async with watching() as watched:
        assert await watched.reach.waiting_since() is None
        assert watched.asked.count == 1


@in_virtual_time
async def test_a_question_without_an_answer_is_told_before_it_is_given_up() -> None:
    """To all who look, after that moment at once; and it stays one question."""
    async with watching() as watched:
        now = asyncio.get_running_loop().time
        watched.hears()
        watched.asked.seconds = 60
        await asyncio.sleep(FRESH)

        for _ in range(3):
            assert await watched.reach.waiting_since() == FRESH
            assert await watched.reach.is_running(turn()) is None
        assert now() == FRESH + GLANCE
        assert watched.asked.count == 1
        assert await watched.reach.away_since() == FRESH + 2.0


@in_virtual_time
async def test_one_that_is_known_to_be_away_is_not_waited_for() -> None:
    """Nor does it hold up whoever looks again."""
    async with watching() as watched:
        now = asyncio.get_running_loop().time
        watched.asked.seconds = 60
        assert await watched.reach.away_since() == 2.0
        await asyncio.sleep(FRESH)
        before = now()

        assert await watched.reach.waiting_since() is None
        assert await watched.reach.away_since() == 2.0
        assert now() == before + GLANCE


@in_virtual_time
async def test_what_passes_through_is_an_answer_too() -> None:
    async with watching() as watched:
        watched.asked.seconds = 60
        assert await watched.reach.waiting_since() == 0.0
        watched.hears()

        assert await watched.reach.waiting_since() is None


# -- what it works on -----------------------------------------------------------------------------


def turn(began: float = 0.0) -> StreamRecord:
    return StreamRecord("x", StreamState.RUNNING, began, began=began)


@pytest.mark.parametrize(
    ("runs", "is_running"),
    [
        ([{"stream_id": "x"}], True),
        ([{"stream_id": "y"}], False),
        ([], False),
        ([{"phase": "running"}], None),  # F3: later releases do not say whose it is
        (None, None),
    ],
)
def test_it_says_itself_what_it_works_on(
    runs: list[dict[str, str]] | None,
    is_running: bool | None,  # noqa: FBT001 - a column of the table above
) -> None:
    @in_virtual_time
    async def story() -> None:
        async with watching() as watched:
            watched.asked.runs = runs
            watched.hears()
            await asyncio.sleep(FRESH)

            assert await watched.reach.is_running(turn()) is is_running
            assert await watched.reach.is_running(turn()) is is_running
            assert watched.asked.count == 1

    story()


@in_virtual_time
async def test_a_turn_is_given_time_to_begin() -> None:
    async with watching() as watched:
        assert await watched.reach.is_running(turn(began=0.0)) is None
        await asyncio.sleep(FRESH)
        assert await watched.reach.is_running(turn(began=0.0)) is False


@in_virtual_time
async def test_of_a_backend_that_is_away_nothing_is_known() -> None:
    async with watching() as watched:
        await asyncio.sleep(FRESH)
        assert await watched.reach.is_running(turn()) is False
        await asyncio.sleep(2 * FRESH)
        watched.asked.fails = AWAY

        assert await watched.reach.is_running(turn()) is None
