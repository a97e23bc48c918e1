"""Asking the backend when a cancelled worker has released its slot (F3)."""

import asyncio
from collections.abc import AsyncIterator, Callable

from proxy.core.records import Slot
from proxy.guard.backend import Backend
from proxy.guard.limits import Live
from proxy.guard.tasks import Tasks
from proxy.hermes.answers import Runs, read_runs
from proxy.http.errors import ProxyError

INTERVAL = 0.025
"""Seconds between two questions, however many streams wait for their answers."""

_PATIENCE = 2.0
"""Seconds to wait for an answer; a busy machine takes part of one, and its workers as long to unwind."""

_MOST = 4
"""Questions under way at once: each holds a connection of the lane that Stops run in."""


class Slots:
    """Polls `/health` while anybody waits, and only then.

    Args:
        backend: Whom to ask.
        tasks: Owns the questions, which are shared.
        clock: Monotonic seconds.
        live: Says how long a worker is given where `/health` cannot be read.
    """

    def __init__(self, backend: Backend, tasks: Tasks, clock: Callable[[], float], live: Live) -> None:
        self._backend = backend
        self._tasks = tasks
        self._clock = clock
        self._live = live
        self._asked = clock() - INTERVAL
        self._next: asyncio.Task[Runs | None] | None = None
        self._room = asyncio.Semaphore(_MOST)

    async def follow(self, stream_id: str) -> AsyncIterator[Slot]:
        """FENCED once that is known, FREE once that is known, then nothing more; the caller bounds the wait."""
        began, fenced = self._clock(), False
        while True:
            slot = self._slot(await self._reading(), stream_id, began)
            if slot is Slot.FREE or (slot is Slot.FENCED and not fenced):
                yield slot
            if slot is Slot.FREE:
                return
            fenced = fenced or slot is Slot.FENCED

    def _slot(self, runs: Runs | None, stream_id: str, began: float) -> Slot:
        if runs is not None:
            return runs.slot(stream_id)
        return Slot.FENCED if self._clock() >= began + self._live.now.release_grace else Slot.BUSY

    async def _reading(self) -> Runs | None:
        """An answer to a question that has not been asked yet: an older one knows nothing of this cancel."""
        if self._next is None:
            self._next = self._tasks.spawn(self._ask(), "asking for the running workers")
        return await asyncio.shield(self._next)

    async def _ask(self) -> Runs | None:
        async with self._room:
            await asyncio.sleep(self._asked + INTERVAL - self._clock())
            self._next, self._asked = None, self._clock()
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await self._backend.ask_health()
            except (ProxyError, TimeoutError):
                return None
        return read_runs(answer.status, answer.body)
