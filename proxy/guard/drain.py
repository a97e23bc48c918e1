"""Draining: what runs comes to its end and nothing new begins, before the proxy ends or Hermes is restarted."""

import asyncio
from typing import Literal

from proxy.backend.backend import Backend
from proxy.core.records import StreamRecord, StreamState
from proxy.events.process import DrainBegan, DrainResumed, DrainSettled, DrainTimedOut
from proxy.guard.start import StartGuard
from proxy.hermes.health import Runs, read_runs
from proxy.http.errors import BackendUnreachableError, ProxyError
from proxy.ownership.ownership import Ownership
from proxy.relay.relays import Relays
from proxy.reporting import Report, failing_open
from proxy.tasks import Tasks

State = Literal["serving", "draining", "settled"]

INTERVAL = 0.5
"""Seconds between two questions whether a turn runs in Hermes, while draining."""

_LOOK_AGAIN = 0.1
"""Seconds between two looks at what is under way here, while the proxy waits for its end."""

_OPENING = 2.0
"""Seconds in which a page opens the stream of the turn that it has just started."""

_PATIENCE = 2.0
"""Seconds to wait for an answer from `/health`."""

_NOBODY = Runs()


class Drain:
    """Refuses new turns, and knows when those that run are over.

    Streams that stay open as long as their page does (session lists, approvals) are no turns, and not waited for.

    Args:
        backend: Asked what runs.
        ownership: Asked what is believed to run.
        relays: The chat relays that are open.
        starts: Closed while draining.
        tasks: Owns the asking.
        timeout: Longest that the end of the proxy waits, in seconds.
        report: Told what becomes of it, and of internal errors.

    Attributes:
        timeout: As above; a change holds for an end that is asked for later.
    """

    def __init__(  # noqa: PLR0913 - what it asks, what it closes, and how long it waits
        self,
        backend: Backend,
        ownership: Ownership,
        relays: Relays,
        starts: StartGuard,
        tasks: Tasks,
        *,
        timeout: float,
        report: Report,
    ) -> None:
        self.timeout = timeout
        self._backend = backend
        self._ownership = ownership
        self._relays = relays
        self._starts = starts
        self._tasks = tasks
        self._report = report
        self._settled = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._is_final = False

    @property
    def state(self) -> State:
        """`settled` once no turn runs, here or in Hermes; a turn that Hermes starts by itself makes it `draining`."""
        if self._following is None:
            return "serving"
        return "settled" if self._settled.is_set() else "draining"

    def begin(self) -> None:
        """Refuses starts from now on; the others go on, those that were let in before as well."""
        if self._following is not None:
            return
        self._starts.is_closed = True
        self._report(DrainBegan(self._relays.total, self._starts.under_way))
        self._following = self._tasks.spawn(self._follow(), "draining")

    def resume(self) -> bool:
        """Undoes `begin`. False if it cannot be undone, since the proxy ends."""
        if self._is_final:
            return False
        if self._following is not None:
            self._following.cancel()
            self._following = None
            self._starts.is_closed = False
            self._settled.clear()
            self._report(DrainResumed())
        return True

    async def settled(self) -> None:
        """Waits until `state` is `settled`; the caller bounds the wait."""
        await self._settled.wait()

    async def finish(self) -> None:
        """Begins for good, and waits until the proxy may end, for `timeout` seconds at most (P7).

        It may end when every turn that somebody watches was relayed to its end, and nothing is under way that it alone
        knows of. A turn that nobody watches goes on in Hermes (P10), and the next proxy learns of it.
        """
        self._is_final = True
        self.begin()
        try:
            async with asyncio.timeout(self.timeout):
                while not await self._is_quiet():  # noqa: ASYNC110 - of many things, each in its own place
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            self._report(DrainTimedOut(self._relays.total, self._starts.under_way))

    async def _follow(self) -> None:
        while True:
            with failing_open(self._report, "draining"):
                if not await self._is_quiet() or await self._runs_a_turn():
                    self._settled.clear()
                elif not self._settled.is_set():
                    self._settled.set()
                    self._report(DrainSettled())
            await asyncio.sleep(INTERVAL)

    async def _is_quiet(self) -> bool:
        """Whether no turn is watched or about to be, and no start or cancel is under way."""
        if self._relays.total or self._starts.under_way:
            return False
        now = self._ownership.clock()
        return not any(_is_under_way(stream, now) for stream in await self._ownership.live_streams())

    async def _runs_a_turn(self) -> bool:
        """Whether one runs in Hermes: as it says itself, or else as is believed."""
        runs = await self._ask()
        return bool(await self._ownership.live_streams()) if runs is None else not runs.is_empty

    async def _ask(self) -> Runs | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._backend.ask_health()
        except BackendUnreachableError:
            return _NOBODY
        except (ProxyError, TimeoutError):
            return None
        return read_runs(answer.status, answer.body)


def _is_under_way(stream: StreamRecord, now: float) -> bool:
    """Whether it is being cancelled, or so young that its page has yet to open it."""
    if stream.state is not StreamState.RUNNING:
        return True
    return stream.started_at is not None and now < stream.started_at + _OPENING
