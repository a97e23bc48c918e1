"""Owned background tasks: what a browser set going and must not be able to break off (P10)."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Self, TypeVar

from proxy.http.account import asker
from proxy.http.room import Held

T = TypeVar("T")


class Tasks:
    """An owner of tasks: whatever still runs when the context is left is cancelled and awaited."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Starts `work`. Its errors belong to whoever awaits the task; with nobody left they are dropped."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        if (account := asker()) is not None and account.held is not None:
            account.held.share()  # as it may go on with the body of a request that has ended
            task.add_done_callback(partial(_close, account.held))
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that a browser that left causes no "never retrieved"


def _close(held: Held, _task: asyncio.Task[Any]) -> None:
    held.close()
