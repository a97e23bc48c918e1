"""What `/health` tells: which workers run, and whether the backend is another process than before."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from proxy.backend.health import INTERVAL, Health
from proxy.hermes.health import Run, Runs
from proxy.http.errors import BackendTooSlowError
from proxy.http.message import Answer
from proxy.tasks import Tasks
from tests.support.notes import Notes
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

Answers = Callable[[float], Answer]
SERVER = (b"Server", b"HermesWebUI/v0.51.195 Python/3.12")


def said(*runs: dict[str, object], headers: tuple[tuple[bytes, bytes], ...] = (), **fields: object) -> Answer:
    return Answer(200, b"OK", headers, json.dumps({"runs": runs, **fields}).encode())


def unreadable(_now: float) -> Answer:
    return Answer(500, b"", (), b"")


def unanswered(_now: float) -> Answer:
    raise BackendTooSlowError("no answer")


class Asked:
    """A backend that answers `/health` as a function of the time, and takes a while over it."""

    def __init__(self, answers: Answers, seconds: float) -> None:
        self.at: list[float] = []
        self.under_way = self.most = 0
        self.answers = answers
        self._seconds = seconds

    async def ask_health(self) -> Answer:
        now = asyncio.get_running_loop().time()
        self.at.append(now)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.under_way -= 1
        return self.answers(now)


class Told:
    """The backend, its health, and since when what it ran is lost."""

    def __init__(self, tasks: Tasks, answers: Answers, seconds: float) -> None:
        self.asked = Asked(answers, seconds)
        self.lost: list[float] = []
        self.notes = Notes()
        clock = asyncio.get_running_loop().time
        self.health = Health(cast("Backend", self.asked), tasks, clock, self._lose, report=self.notes)

    async def _lose(self, since: float) -> None:
        self.lost.append(since)


@asynccontextmanager
async def told(answers: Answers = lambda _: said(), *, seconds: float = 0.0) -> AsyncIterator[Told]:
    async with Tasks() as tasks:
        yield Told(tasks, answers, seconds)


# -- which workers run ----------------------------------------------------------------------------


@in_virtual_time
async def test_the_running_workers_are_read_and_reported() -> None:
    async with told(lambda _: said({"stream_id": "x", "phase": "running"}, {"started_at": 5.0})) as one:
        runs = await one.health.reading()

    assert runs == Runs((Run("x"), Run(began=5.0)))
    unnamed = {"unnamed": 1, "began": [5.0], "cancelled": [False]}
    assert one.notes.of("workers_listed") == [{"streams": ["x"], **unnamed, "took": 0.0}]


@pytest.mark.parametrize("answers", [unreadable, unanswered])
@in_virtual_time
async def test_what_cannot_be_read_says_nothing_but_that_it_was_asked(answers: Answers) -> None:
    async with told(answers) as one:
        assert await one.health.reading() is None
        assert one.notes.said == [("workers_unknown", {"took": 0.0})]


@in_virtual_time
async def test_however_many_wait_the_backend_is_asked_once_an_interval() -> None:
    """The polling costs at most one request every 25 ms in all."""
    async with told() as one:
        for _ in range(3):
            await asyncio.gather(*(one.health.reading() for _ in range(50)))

    assert one.asked.at == pytest.approx([0, INTERVAL, 2 * INTERVAL])


@in_virtual_time
async def test_a_question_that_is_under_way_says_nothing_about_what_came_behind_it() -> None:
    """It may have been answered before: the next one counts."""
    async with told(seconds=1.0) as one:
        first = asyncio.create_task(one.health.reading())
        await asyncio.sleep(0.5)
        await one.health.reading()
        assert first.done()

    assert one.asked.at == [0, 0.5]


@in_virtual_time
async def test_a_health_that_hangs_is_given_up_and_holds_no_slot_of_the_lane_for_stops() -> None:
    """P7: with four questions under way the next waits for one of them."""
    async with told(seconds=600.0) as one:
        waiting = [asyncio.create_task(one.health.reading())]
        for _ in range(40):
            await asyncio.sleep(0.05)
            waiting.append(asyncio.create_task(one.health.reading()))
        assert await asyncio.gather(*waiting) == [None] * 41
        assert one.asked.most == 4
        await asyncio.sleep(3)
        assert one.asked.under_way == 0


@in_virtual_time
async def test_whoever_stops_waiting_does_not_take_the_answer_from_the_others() -> None:
    async with told(seconds=1.0) as one:
        patient, other = (asyncio.create_task(one.health.reading()) for _ in range(2))
        await asyncio.sleep(0.5)
        other.cancel()
        assert await patient == Runs()


@in_virtual_time
async def test_a_mistake_in_reading_is_reported_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8."""
    async with told() as one:
        monkeypatch.setattr("proxy.backend.health.read_runs", None)
        assert await one.health.reading() is None

    assert [note["step"] for note in one.notes.of("internal_error")] == ["reading the running workers"]


# -- whether it is another process ----------------------------------------------------------------


@in_virtual_time
async def test_a_connection_that_was_refused_is_no_restart() -> None:
    """A full table of descriptors, or a missing socket, proves nothing: the process itself has to say so."""
    async with told(lambda now: said(server_started_at=100.0, uptime_seconds=now + 50)) as one:
        one.health.answered()
        await asyncio.sleep(5)
        one.health.doubt()
        await asyncio.sleep(5)
        one.health.answered()
        await asyncio.sleep(5)

    assert one.lost == []
    assert len(one.asked.at) == 2, "asked at first, and when it was back"


@in_virtual_time
async def test_a_process_that_began_later_has_lost_what_ran() -> None:
    """By the moment at which it began, whatever else it says."""
    async with told(lambda now: said(server_started_at=100.0 if now < 5 else 107.0, uptime_seconds=now)) as one:
        await one.health.reading()
        await asyncio.sleep(10)
        one.health.doubt()
        one.health.answered()
        await asyncio.sleep(1)

    assert one.lost == [0.0]


@in_virtual_time
async def test_an_uptime_that_went_back_is_a_restart_too() -> None:
    """The releases before v0.51.285 tell nothing else."""
    async with told(lambda now: said(uptime_seconds=now + 50 if now < 5 else now - 8)) as one:
        await one.health.reading()
        await asyncio.sleep(10)
        await one.health.reading()

    assert one.lost == [8.0]


@in_virtual_time
async def test_a_late_answer_of_a_busy_machine_is_no_restart() -> None:
    """The age was taken when the answer was made, up to seconds before it arrived."""
    async with told(lambda now: said(uptime_seconds=now + 50), seconds=1.9) as one:
        await one.health.reading()
        one.asked._seconds = 0.0
        await one.health.reading()
        one.asked._seconds = 1.9
        await one.health.reading()

    assert one.lost == []


@in_virtual_time
async def test_what_says_nothing_of_its_age_is_asked_no_more_than_every_two_seconds() -> None:
    async with told(unreadable) as one:
        for _ in range(100):
            one.health.answered()
            await asyncio.sleep(0.1)

    assert len(one.asked.at) == 5


# -- whether its cancel can be repeated -----------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "repeats"),
    [
        (said(headers=(SERVER,)), False),
        (said(headers=((b"Server", b"HermesWebUI/v0.51.265"),)), True),
        (said(server_started_at=1.0), True),
        (said(uptime_seconds=1.0), None),
    ],
)
@in_virtual_time
async def test_what_the_backend_says_of_itself_tells_whether_its_cancel_repeats(
    answer: Answer, *, repeats: bool | None
) -> None:
    """F14."""
    async with told(lambda _: answer) as one:
        await one.health.reading()
        assert one.health.repeats is repeats


@in_virtual_time
async def test_another_process_may_be_another_release() -> None:
    async with told(lambda now: said(uptime_seconds=now + 50 if now < 5 else 0.0)) as one:
        await one.health.reading()
        one.health.repeats, one.health.marks = False, True
        await asyncio.sleep(10)
        await one.health.reading()

        known: tuple[bool | None, bool] = (one.health.repeats, one.health.marks)
        assert known == (None, False)


@in_virtual_time
async def test_a_backend_that_marks_cancelled_workers_is_remembered() -> None:
    """F15: then a worker without a mark is another turn's."""
    async with told(lambda _: said({"started_at": 1.0, "cancelled_at": 2.0})) as one:
        await one.health.reading()
        assert one.health.marks
