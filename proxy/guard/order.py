"""What begins or changes a session's turns: one at a time, in the order of arrival, and each to its end."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from proxy.guard.spool import Spooled, Whole
from proxy.guard.turns import Turns
from proxy.tasks import Tasks

T = TypeVar("T")


class Order:
    """What the starts and the changes of a session share.

    Args:
        tasks: Owns them, so that they run though their browser has left (P10).

    Attributes:
        turns: One of them at a time in a session, in the order in which they were asked for.
        under_way: How many are counted now.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.turns = Turns()
        self.under_way = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One more is under way, for as long as the context lasts."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def spawn(self, work: Coroutine[Any, Any, T], name: str, whole: Whole) -> asyncio.Task[T]:
        """Starts what its browser cannot break off, and keeps the body that it needs for as long as it lasts."""
        task = self._tasks.spawn(work, name)
        if isinstance(whole, Spooled):
            whole.share()
            task.add_done_callback(lambda _: whole.close())
        return task
