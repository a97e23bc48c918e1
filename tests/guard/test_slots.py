"""Asking when a cancelled worker has released its slot (F3)."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from proxy.core.records import Slot
from proxy.guard.slots import INTERVAL, Slots
from proxy.guard.tasks import Tasks
from proxy.http.errors import BackendTooSlowError
from proxy.http.message import Answer
from tests.support.notes import live
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.guard.backend import Backend

GRACE = 0.3

Health = Callable[[float], Answer]


class Asked:
    """A backend that answers `/health` as a function of the time, and takes a while over it."""

    def __init__(self, health: Health, *, seconds: float = 0.0) -> None:
        self.at: list[float] = []
        self.under_way = self.most = 0
        self._health = health
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
        return self._health(now)


def runs(*listed: dict[str, str]) -> Answer:
    return Answer(200, b"OK", (), json.dumps({"runs": listed}).encode())


def busy_until(seconds: float) -> Health:
    """As the releases up to v0.51.762, which name their runs."""
    return lambda now: runs({"stream_id": "x"}) if now < seconds else runs()


def fenced_until(seconds: float) -> Health:
    """As the later ones, which do not, and refuse a start by themselves."""
    return lambda now: runs({"phase": "cancelling"}) if now < seconds else runs()


def unreadable(_now: float) -> Answer:
    return Answer(500, b"", (), b"")


def unanswered(_now: float) -> Answer:
    raise BackendTooSlowError("no answer")


def make(asked: Asked, tasks: Tasks) -> Slots:
    return Slots(cast("Backend", asked), tasks, asyncio.get_running_loop().time, live(release_grace=GRACE))


async def follow(slots: Slots, stream_id: str = "x") -> list[tuple[Slot, float]]:
    """What is learned of a worker, and when, until it is gone."""
    loop = asyncio.get_running_loop()
    return [(slot, loop.time()) async for slot in slots.follow(stream_id)]


async def follow_for(seconds: float, slots: Slots) -> list[tuple[Slot, float]]:
    """The same where it would never end."""
    learned: list[tuple[Slot, float]] = []
    following = asyncio.create_task(_follow_into(learned, slots))
    await asyncio.sleep(seconds)
    following.cancel()
    return learned


async def _follow_into(learned: list[tuple[Slot, float]], slots: Slots) -> None:
    async for slot in slots.follow("x"):
        learned.append((slot, asyncio.get_running_loop().time()))  # noqa: PERF401 - as it comes


@in_virtual_time
async def test_a_named_worker_is_busy_until_it_is_gone() -> None:
    asked = Asked(busy_until(0.1))
    async with Tasks() as tasks:
        learned = await follow(make(asked, tasks))

    assert [slot for slot, _ in learned] == [Slot.FREE]
    assert learned[0][1] == pytest.approx(0.1)


@in_virtual_time
async def test_a_worker_that_is_gone_already_is_asked_for_once() -> None:
    asked = Asked(busy_until(0))
    async with Tasks() as tasks:
        learned = await follow(make(asked, tasks))

    assert learned == [(Slot.FREE, 0)]
    assert asked.at == [0]


@in_virtual_time
async def test_a_worker_behind_the_backends_own_fence_is_told_once() -> None:
    asked = Asked(fenced_until(0.1))
    async with Tasks() as tasks:
        learned = await follow(make(asked, tasks))

    assert [slot for slot, _ in learned] == [Slot.FENCED, Slot.FREE]
    assert [at for _, at in learned] == pytest.approx([0, 0.1])


@in_virtual_time
async def test_however_many_wait_the_backend_is_asked_once_an_interval() -> None:
    """The polling costs at most one request every 25 ms in all."""
    asked = Asked(busy_until(0.19))
    async with Tasks() as tasks:
        slots = make(asked, tasks)
        await asyncio.gather(*(follow(slots) for _ in range(50)))

    assert asked.at == pytest.approx([INTERVAL * number for number in range(9)])


@in_virtual_time
async def test_followers_who_come_one_after_another_keep_the_interval_too() -> None:
    asked = Asked(busy_until(0))
    async with Tasks() as tasks:
        slots = make(asked, tasks)
        for _ in range(3):
            await follow(slots)

    assert asked.at == pytest.approx([0, INTERVAL, 2 * INTERVAL])


@in_virtual_time
async def test_nothing_is_asked_while_nobody_waits() -> None:
    asked = Asked(busy_until(0))
    async with Tasks() as tasks:
        await follow(make(asked, tasks))
        await asyncio.sleep(100)

    assert len(asked.at) == 1


@in_virtual_time
async def test_a_question_that_is_under_way_says_nothing_about_a_later_cancel() -> None:
    """It may have been answered before that cancel: the next one counts."""
    asked = Asked(busy_until(0), seconds=1.0)
    async with Tasks() as tasks:
        slots = make(asked, tasks)
        first = asyncio.create_task(follow(slots))
        await asyncio.sleep(0.5)
        second = await follow(slots)

        assert await first == [(Slot.FREE, 1.0)]
    assert asked.at == [0, 0.5]
    assert second == [(Slot.FREE, 1.5)]


@pytest.mark.parametrize("health", [unreadable, unanswered])
@in_virtual_time
async def test_where_health_cannot_be_read_the_worker_is_given_a_grace(health: Health) -> None:
    """F3: then the backend's own 409 has to do; whether the slot is free is never known."""
    async with Tasks() as tasks:
        learned = await follow_for(5, make(Asked(health), tasks))

    assert [slot for slot, _ in learned] == [Slot.FENCED]
    assert learned[0][1] == pytest.approx(GRACE, abs=INTERVAL)


@in_virtual_time
async def test_a_health_that_hangs_holds_nobody_for_longer_than_its_patience() -> None:
    """P7: it is then as one that cannot be read, and no question goes on holding a slot of the lane for Stops."""
    asked = Asked(busy_until(0), seconds=600)
    async with Tasks() as tasks:
        learned = await follow_for(5, make(asked, tasks))
        assert learned == [(Slot.FENCED, 2.0)]
        assert len(asked.at) == 3

        await asyncio.sleep(2)
        assert asked.under_way == 0


@in_virtual_time
async def test_however_many_wait_for_a_health_that_hangs_the_lane_is_not_theirs() -> None:
    """Stops run in it, too; whoever comes when enough was asked shares the next question."""
    loop = asyncio.get_running_loop()
    asked = Asked(busy_until(0), seconds=600)

    async def fenced_after(slots: Slots, came: float) -> float:
        await asyncio.sleep(came)
        await anext(slots.follow("x"))
        return loop.time() - came

    async with Tasks() as tasks:
        slots = make(asked, tasks)
        held = await asyncio.gather(*(fenced_after(slots, number / 20) for number in range(40)))

    assert max(held) < 4.1
    assert asked.most == 4


@in_virtual_time
async def test_a_health_that_takes_long_is_waited_for() -> None:
    """On a busy machine the worker takes long as well: the grace would be over before it has unwound."""
    async with Tasks() as tasks:
        learned = await follow(make(Asked(busy_until(1), seconds=1.5), tasks))

    assert learned == [(Slot.FREE, 3.0)]


@in_virtual_time
async def test_a_health_that_can_be_read_again_is_believed() -> None:
    async with Tasks() as tasks:
        slots = make(Asked(lambda now: unreadable(now) if now < 1 else runs()), tasks)
        learned = await follow(slots)

    assert [slot for slot, _ in learned] == [Slot.FENCED, Slot.FREE]


@in_virtual_time
async def test_whoever_stops_waiting_does_not_take_the_answer_from_the_others() -> None:
    async with Tasks() as tasks:
        slots = make(Asked(busy_until(0), seconds=1.0), tasks)
        patient = asyncio.create_task(follow(slots))
        await follow_for(0.5, slots)

        assert await patient == [(Slot.FREE, 1.0)]
