"""What `/health` tells: which workers run, whether the backend is another process, and whether its cancel repeats."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from proxy.backend.backend import Backend
from proxy.events.guard import WorkersListed, WorkersUnknown
from proxy.hermes.health import Runs, ServerStart, read_runs, read_server_start
from proxy.hermes.releases import repeats_cancels
from proxy.http.errors import ProxyError
from proxy.http.headers import values
from proxy.http.message import Answer
from proxy.reporting import Report, failing_open
from proxy.tasks import Tasks

INTERVAL = 0.025
"""Seconds between two questions, however many wait for their answers."""

_PATIENCE = 2.0
"""Seconds to wait for an answer; a busy machine takes part of one, and its workers as long to unwind."""

_MOST = 4
"""Questions under way at once: each holds a connection of the lane that Stops run in."""


class Health:
    """Asks for `/health` while anybody waits, and otherwise only to see whether the backend is another process.

    Args:
        backend: Whom to ask.
        tasks: Owns the questions, which are shared.
        clock: Monotonic seconds.
        lose_running: Told when the backend is another process than before, and since when: what it ran is lost.
        report: Told what it said of its workers, and of internal errors.

    Attributes:
        heard: When the backend last answered anything.
        repeats: Whether its cancel can be repeated (F14); None if nothing told so far.
        is_in_doubt: Whether it may be another process than the one that was asked last.
        marks: Whether it was seen to mark the workers that were cancelled (F15).
    """

    def __init__(
        self,
        backend: Backend,
        tasks: Tasks,
        clock: Callable[[], float],
        lose_running: Callable[[float], Awaitable[None]],
        *,
        report: Report,
    ) -> None:
        self.heard = -math.inf
        self.repeats: bool | None = None
        self.marks = False
        self._backend = backend
        self._tasks = tasks
        self._clock = clock
        self._lose_running = lose_running
        self._report = report
        self._start: ServerStart | None = None
        self.is_in_doubt = True
        self._doubted = -math.inf
        self._asked = clock() - INTERVAL
        self._next: asyncio.Task[Runs | None] | None = None
        self._room = asyncio.Semaphore(_MOST)

    async def reading(self) -> Runs | None:
        """The running workers, by an answer to a question that has not been asked yet; None if it cannot be read."""
        if self._next is None:
            self._next = self._tasks.spawn(self._ask(), "asking for the running workers")
        return await asyncio.shield(self._next)

    def doubt(self) -> None:
        """It took no connection, or broke one. That proves nothing, but when it answers it may be another process."""
        self.is_in_doubt = True

    def answered(self) -> None:
        """It answered something: ask whether it is the same process as before, if that is in doubt."""
        self.heard = now = self._clock()
        if self.is_in_doubt and self._next is None and now >= self._doubted + _PATIENCE:
            self._doubted = now
            self._next = self._tasks.spawn(self._ask(), "asking whether the backend is the same")

    async def learn(self, answer: Answer, asked: float) -> Runs | None:
        """Learns from a `/health` that was asked for at `asked`; the workers that it lists."""
        self.heard = now = self._clock()
        start = read_server_start(answer.status, answer.body, asked, now)
        if start is not None:
            await self._compare(start)
        if self.repeats is None:
            server = b"".join(values(answer.headers, b"server")[:1]).decode("latin-1")
            self.repeats = repeats_cancels(server, tells_start=start is not None and start.stamp is not None)
        return read_runs(answer.status, answer.body)

    async def _compare(self, start: ServerStart) -> None:
        before, self._start = self._start, start
        if before is not None and start.is_later_than(before):
            self.repeats, self.marks = None, False
            await self._lose_running(start.at)  # until then, whoever asks in the meantime is in doubt, too
        self.is_in_doubt = False

    async def _ask(self) -> Runs | None:
        async with self._room:
            await asyncio.sleep(self._asked + INTERVAL - self._clock())
            self._next, self._asked = None, self._clock()
            asked = self._asked
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await self._backend.ask_health()
            except (ProxyError, TimeoutError):
                return self._told(None, asked)
            with failing_open(self._report, "reading the running workers"):
                return self._told(await self.learn(answer, asked), asked)
            return None

    def _told(self, runs: Runs | None, asked: float) -> Runs | None:
        took = round(self._clock() - asked, 6)
        if runs is None:
            self._report(WorkersUnknown(took))
            return None
        unnamed = [run for run in runs.runs if run.stream_id is None]
        self._report(
            WorkersListed(
                streams=tuple(run.stream_id for run in runs.runs if run.stream_id is not None),
                unnamed=len(unnamed),
                began=tuple(run.began for run in unnamed),
                cancelled=tuple(run.is_cancelled for run in unnamed),
                took=took,
            )
        )
        self.marks = self.marks or runs.marks_cancelled
        return runs
