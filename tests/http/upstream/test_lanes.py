"""Slots: how many, who waits for them, and what somebody is told who gets none."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import NoCapacityError
from proxy.http.upstream.lanes import DEFAULT_BOUNDS, Lane, Lanes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ONE_EACH = {Lane.CONTROL: 1, Lane.CALLS: 1, Lane.RELAYS: 1}


def test_the_defaults_leave_the_backend_room() -> None:
    assert sum(DEFAULT_BOUNDS.values()) + 4 < 128


@asynccontextmanager
async def slot(lanes: Lanes, lane: Lane) -> AsyncIterator[None]:
    """A slot of that lane, for as long as the context lasts."""
    await lanes.take(lane)
    try:
        yield
    finally:
        lanes.give_back(lane)


async def test_a_slot_is_in_use_until_it_is_given_back() -> None:
    lanes = Lanes(ONE_EACH)
    await lanes.take(Lane.CALLS)
    assert (lanes.in_use(Lane.CALLS), lanes.bound(Lane.CALLS)) == (1, 1)
    lanes.give_back(Lane.CALLS)
    assert lanes.in_use(Lane.CALLS) == 0


async def test_no_lane_waits_for_another() -> None:
    lanes = Lanes(ONE_EACH)
    async with AsyncExitStack() as stack:
        for lane in Lane:
            await stack.enter_async_context(slot(lanes, lane))


async def test_relays_are_refused_at_once() -> None:
    lanes = Lanes(ONE_EACH, wait=60)
    async with slot(lanes, Lane.RELAYS), asyncio.timeout(1):
        with pytest.raises(NoCapacityError, match="All 1 connections for relays"):
            await lanes.take(Lane.RELAYS)


@pytest.mark.parametrize("lane", [Lane.CONTROL, Lane.CALLS])
async def test_the_others_wait_only_so_long(lane: Lane) -> None:
    lanes = Lanes(ONE_EACH, wait=0.01)
    async with slot(lanes, lane):
        with pytest.raises(NoCapacityError):
            await lanes.take(lane)
    async with slot(lanes, lane):
        assert lanes.in_use(lane) == 1


async def test_a_waiter_that_leaves_takes_no_slot_with_it() -> None:
    lanes = Lanes(ONE_EACH, wait=60)
    async with slot(lanes, Lane.CALLS):
        waiting = asyncio.ensure_future(lanes.take(Lane.CALLS))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    async with asyncio.timeout(1), slot(lanes, Lane.CALLS):
        pass


async def wait_for_a_call(lanes: Lanes) -> AsyncExitStack:
    """A slot for a call, held until the stack is closed."""
    stack = AsyncExitStack()
    await stack.enter_async_context(slot(lanes, Lane.CALLS))
    return stack


async def served(waiting: list[asyncio.Task[AsyncExitStack]]) -> list[bool]:
    """Which of them hold a slot by now."""
    for _ in range(3):
        await asyncio.sleep(0)
    return [task.done() for task in waiting]


async def test_who_waits_is_served_in_the_order_of_coming() -> None:
    lanes = Lanes(ONE_EACH)
    async with slot(lanes, Lane.CALLS):
        waiting = [asyncio.create_task(wait_for_a_call(lanes)) for _ in range(3)]
        assert await served(waiting) == [False, False, False]
    for number in range(3):
        assert await served(waiting) == [other <= number for other in range(3)]
        await waiting[number].result().aclose()


async def test_one_that_leaves_in_the_moment_of_being_served_gives_its_slot_to_the_next() -> None:
    lanes = Lanes(ONE_EACH)
    async with slot(lanes, Lane.CALLS):
        leaving, next_one = (asyncio.create_task(wait_for_a_call(lanes)) for _ in range(2))
        await served([leaving, next_one])
    leaving.cancel()
    await asyncio.wait({leaving})
    assert await served([next_one]) == [True]
    await next_one.result().aclose()
    assert lanes.in_use(Lane.CALLS) == 0


async def test_nothing_is_kept_of_waits_that_were_broken_off() -> None:
    """P7: a lane may stay full for long, with many who come and leave."""
    lanes = Lanes(ONE_EACH, wait=60)
    async with slot(lanes, Lane.CALLS):
        waiting = [asyncio.create_task(wait_for_a_call(lanes)) for _ in range(3)]
        await served(waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert not lanes._slots[Lane.CALLS]._waiting


async def test_a_larger_lane_serves_who_waits() -> None:
    lanes = Lanes(ONE_EACH)
    async with slot(lanes, Lane.CALLS):
        waiting = [asyncio.create_task(wait_for_a_call(lanes)) for _ in range(3)]
        lanes.resize({**ONE_EACH, Lane.CALLS: 3})
        assert await served(waiting) == [True, True, False]
        assert (lanes.in_use(Lane.CALLS), lanes.bound(Lane.CALLS)) == (3, 3)
        for task in waiting[:2]:
            await task.result().aclose()
        assert await served(waiting) == [True, True, True]
    await waiting[2].result().aclose()


async def test_a_smaller_lane_ends_nothing_and_lets_the_surplus_run_out() -> None:
    lanes = Lanes({**ONE_EACH, Lane.CALLS: 3})
    held = [await wait_for_a_call(lanes) for _ in range(3)]
    lanes.resize(ONE_EACH)
    waiting = [asyncio.create_task(wait_for_a_call(lanes))]
    for one in held[:2]:
        await one.aclose()
        assert await served(waiting) == [False]
    await held[2].aclose()
    assert await served(waiting) == [True]
    await waiting[0].result().aclose()


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 2), (0.5, 4), (0.999, 6)])
async def test_retry_after_is_spread(jitter: float, seconds: int) -> None:
    lanes = Lanes(ONE_EACH, jitter=lambda: jitter)
    async with slot(lanes, Lane.RELAYS):
        with pytest.raises(NoCapacityError) as refused:
            await lanes.take(Lane.RELAYS)
    assert refused.value.retry_after == seconds
