"""Owned background tasks."""

import asyncio
import gc
from typing import Any

import pytest

from proxy.http.account import Account
from proxy.http.room import Room
from proxy.tasks import Tasks
from tests.support.virtual_time import in_virtual_time


async def answer(seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return "answer"


async def fail() -> None:
    await asyncio.sleep(0)
    raise RuntimeError("its own fault")


@in_virtual_time
async def test_a_task_can_be_awaited() -> None:
    async with Tasks() as tasks:
        task = tasks.spawn(answer(1), "asking")

        assert task.get_name() == "asking"
        assert await task == "answer"


@in_virtual_time
async def test_whoever_stops_waiting_does_not_break_it_off() -> None:
    """P10: shielded, the work goes on without its browser."""
    async with Tasks() as tasks:
        task = tasks.spawn(answer(2), "asking")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(task)

        assert await task == "answer"


@in_virtual_time
async def test_what_still_runs_is_cancelled_and_awaited_at_the_end() -> None:
    ended = []

    async def run_on() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            ended.append(asyncio.get_running_loop().time())

    async with Tasks() as tasks:
        running = tasks.spawn(run_on(), "running on")
        await asyncio.sleep(1)

    assert running.cancelled()
    assert ended == [2]


@in_virtual_time
async def test_a_task_that_fails_at_the_end_does_not_hide_what_ended_it() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise RuntimeError("while it was cancelled")

    async def break_off() -> None:
        async with Tasks() as tasks:
            tasks.spawn(fail_when_cancelled(), "failing")
            await asyncio.sleep(1)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await break_off()


@in_virtual_time
async def test_an_error_belongs_to_whoever_awaits_the_task() -> None:
    async with Tasks() as tasks:
        with pytest.raises(RuntimeError, match="its own fault"):
            await tasks.spawn(fail(), "failing")


@in_virtual_time
async def test_an_error_that_nobody_awaits_is_no_complaint() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async with Tasks() as tasks:
        tasks.spawn(fail(), "failing")
        await asyncio.sleep(1)
    gc.collect()

    assert complaints == []


@in_virtual_time
async def test_the_body_of_a_request_counts_until_the_last_of_its_tasks_has_ended() -> None:
    """P7, P10: a browser that leaves gives no memory back that its start still needs."""
    room = Room()
    account = Account(asyncio.get_running_loop().time)

    async def carry_out(tasks: Tasks) -> None:
        account.make_current()
        account.held = room.held(lambda _error: None)
        account.held.grow(1000)
        tasks.spawn(answer(2), "a start")
        account.close()

    async with Tasks() as tasks:
        await asyncio.create_task(carry_out(tasks))
        await asyncio.sleep(1)
        assert room.used == 1000
        await asyncio.sleep(2)
        assert room.used == 0


@in_virtual_time
async def test_what_has_ended_is_not_kept() -> None:
    """P7: only what runs is owned."""
    async with Tasks() as tasks:
        for _ in range(3):
            await tasks.spawn(answer(), "asking")

        assert not tasks._running
