"""Waiting for several things at once, and for something to be so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_LOOK = 0.002
"""Seconds between two looks whether something is so."""


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What the works give. The first error ends all of them, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def share_out(count: int, workers: Sequence[S], work: Callable[[S], Awaitable[object]]) -> None:
    """Have the work done so many times, by all workers at once and by each one time after another."""
    left = iter(range(count))

    async def go_on(worker: S) -> None:
        for _ in left:
            await work(worker)

    await together(go_on(worker) for worker in workers)


async def happens(condition: Callable[[], bool], within: float) -> bool:
    """Wait until something is so; whether it was in so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_LOOK)
    return True
