"""Whether the backend can be reached and what it works on, for probes and people who ask."""

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.backend.backend import Backend
from proxy.backend.health import Health
from proxy.core.records import StreamRecord
from proxy.http.errors import BackendUnreachableError, ProxyError
from proxy.http.message import Answer
from proxy.tasks import Tasks

if TYPE_CHECKING:
    from proxy.hermes.health import Runs

FRESH = 2.0
"""Seconds for which an answer, or the lack of one, says how things are."""

GLANCE = 0.5
"""Seconds in which it nearly always has; whoever looks on waits no longer."""

_PATIENCE = 2.0
"""Seconds in which a backend that is well has told its health."""


class Reach:
    """Knows it from what passes through, or asks for `/health`: seldom, and only while somebody wants to know.

    Args:
        backend: Whom to ask.
        health: Knows when it last answered, and is told like any other what the asking showed.
        tasks: Owns the questions, which are shared.
        clock: Monotonic seconds.
    """

    def __init__(self, backend: Backend, health: Health, tasks: Tasks, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._health = health
        self._tasks = tasks
        self._clock = clock
        self._asked = self._told = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self._away_since: float | None = None
        self._runs: Runs | None = None

    async def away_since(self) -> float | None:
        """When it was first found not to answer; None while it does."""
        if self._is_heard():
            self._away_since = None
        else:
            await self._ask(within=None if self._away_since is None else GLANCE)
        return self._away_since

    async def waiting_since(self) -> float | None:
        """When it was asked what it should have answered by now; None once it has, or was found away."""
        if self._is_heard():
            return None
        await self._ask(within=GLANCE)
        return self._asked if self._is_asking() and self._away_since is None else None

    async def is_running(self, stream: StreamRecord) -> bool | None:
        """Whether the backend works on that stream, as it says itself; None if it does not.

        What it was asked before the stream had time to begin says nothing about it.
        """
        await self._ask(within=GLANCE)
        if self._runs is None or self._asked < stream.began + FRESH:
            return None
        return self._runs.includes(stream.stream_id)

    def _is_heard(self) -> bool:
        return self._clock() - self._health.heard < FRESH

    def _is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    async def _ask(self, *, within: float | None) -> None:
        """One question at a time, however many want to know, and none while the last answer is fresh.

        Args:
            within: Seconds from the question in which an answer is waited for; None waits until it is given up.
        """
        if self._clock() - self._told < FRESH:
            return
        if self._asking is None or self._asking.done():
            self._asked, self._runs = self._clock(), None
            self._asking = self._tasks.spawn(self._ask_health(), "asking whether the backend is there")
        asking = self._asking
        left = None if within is None else max(self._asked + within - self._clock(), 0)
        await asyncio.wait({asking}, timeout=left)
        if asking.done():
            asking.result()

    async def _ask_health(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._backend.ask_health()
        except (ProxyError, TimeoutError) as error:
            if isinstance(error, BackendUnreachableError):
                self._health.doubt()
            if self._away_since is None:
                self._away_since = self._clock()
        else:
            await self._learn(answer)
        self._told = self._clock()

    async def _learn(self, answer: Answer) -> None:
        self._away_since = None
        self._runs = await self._health.learn(answer, self._asked)
