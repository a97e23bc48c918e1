"""Draining: what runs comes to its end and nothing new begins, before the proxy ends or Hermes is restarted.

What would begin a turn is refused; or it is held, until Hermes is back after its restart.
"""

import asyncio
from http import HTTPStatus
from typing import Literal

from proxy.backend.backend import Backend
from proxy.backend.health import Health
from proxy.backend.restart import RestartWatch
from proxy.core.records import StreamRecord, StreamState
from proxy.events.process import DrainBegan, DrainResumed, DrainSettled, DrainTimedOut
from proxy.guard.start import StartGuard
from proxy.hermes.health import Runs, read_server_start
from proxy.http.errors import BackendUnreachableError, ProxyError
from proxy.http.message import Answer
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
    """Refuses or holds new turns, and knows when those that run are over.

    Streams that stay open as long as their page does (session lists, approvals) are no turns, and not waited for.

    Args:
        backend: Asked what runs.
        health: Learns from its answers; of a restart it hears before anything held goes on.
        ownership: Asked what is believed to run.
        relays: The chat relays that are open.
        starts: Closed while draining.
        tasks: Owns the asking.
        timeout: Longest that the end of the proxy waits, in seconds.
        hold: Longest that a start is held, in seconds.
        report: Told what becomes of it, and of internal errors.

    Attributes:
        timeout: As above; a change holds for an end that is asked for later.
        hold: As above; a change holds for a drain that is asked for later.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it asks, what it closes, and how long it waits
        self,
        backend: Backend,
        health: Health,
        ownership: Ownership,
        relays: Relays,
        starts: StartGuard,
        tasks: Tasks,
        *,
        timeout: float,
        hold: float,
        report: Report,
    ) -> None:
        self.timeout = timeout
        self.hold = hold
        self._backend = backend
        self._health = health
        self._ownership = ownership
        self._relays = relays
        self._starts = starts
        self._tasks = tasks
        self._report = report
        self._settled = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._is_final = False
        self._restart: RestartWatch | None = None
        self._runs: Runs | None = None

    @property
    def state(self) -> State:
        """`settled` once no turn runs, here or in Hermes; a turn that Hermes starts by itself makes it `draining`."""
        if self._following is None:
            return "serving"
        return "settled" if self._settled.is_set() else "draining"

    @property
    def is_holding(self) -> bool:
        """Whether starts are held, in place of being refused."""
        return self._restart is not None

    @property
    def held(self) -> int:
        """How many are held."""
        return self._starts.admission.held

    @property
    def under_way(self) -> int:
        """How many starts and changes were let in, and are not answered yet."""
        return self._starts.under_way

    @property
    def in_hermes(self) -> int | None:
        """How many turns run in Hermes, as it said last; None if it has not said, or nothing drains."""
        return None if self._runs is None else len(self._runs.runs)

    def begin(self, *, hold: bool = False) -> None:
        """Refuses starts from now on; those that were let in before go on. Asked again, what is asked last counts.

        Args:
            hold: Starts are held in place of that, each for `hold` seconds at most. They go on, and nothing is drained
                any more, as soon as Hermes is back after a restart.
        """
        if not self._is_final:
            self._begin(hold=hold)

    def _begin(self, *, hold: bool) -> None:
        if self._following is not None and hold == self.is_holding:
            return
        if hold:
            self._restart = RestartWatch()
            self._starts.admission.hold(self.hold)
        else:
            self._restart = None
            self._starts.admission.refuse()
        self._report(DrainBegan(self._relays.total, self._starts.under_way, self.is_holding))
        if self._following is None:
            self._following = self._tasks.spawn(self._follow(), "draining")

    def resume(self) -> bool:
        """Undoes `begin`, and lets in what is held. False if it cannot be undone, since the proxy ends."""
        if self._is_final:
            return False
        if self._following is not None:
            self._following.cancel()
            self._end("asked")
        return True

    async def settled(self) -> None:
        """Waits until `state` is `settled`; the caller bounds the wait."""
        await self._settled.wait()

    async def finish(self) -> None:
        """Begins for good, and waits until the proxy may end, for `timeout` seconds at most (P7).

        What is held is refused, as this proxy cannot carry it out any more.

        It may end when every turn that somebody watches was relayed to its end, and nothing is under way that it alone
        knows of. A turn that nobody watches goes on in Hermes (P10), and the next proxy learns of it.
        """
        self._is_final = True
        self._begin(hold=False)
        try:
            async with asyncio.timeout(self.timeout):
                while not await self._is_quiet():  # noqa: ASYNC110 - of many things, each in its own place
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            self._report(DrainTimedOut(self._relays.total, self._starts.under_way))

    async def _follow(self) -> None:
        while True:
            with failing_open(self._report, "draining"):
                if await self._look():
                    return self._end("restarted")
                if not await self._is_quiet() or await self._runs_a_turn():
                    self._settled.clear()
                elif not self._settled.is_set():
                    self._settled.set()
                    self._report(DrainSettled())
            await asyncio.sleep(INTERVAL)

    def _end(self, why: Literal["asked", "restarted"]) -> None:
        self._following = self._restart = self._runs = None
        self._settled.clear()
        self._report(DrainResumed(why, self.held))
        self._starts.admission.let_in()

    async def _is_quiet(self) -> bool:
        """Whether no turn is watched or about to be, and no start or cancel is under way."""
        if self._relays.total or self._starts.under_way:
            return False
        now = self._ownership.clock()
        return not any(_is_under_way(stream, now) for stream in await self._ownership.live_streams())

    async def _runs_a_turn(self) -> bool:
        """Whether one runs in Hermes: as it says itself, or else as is believed."""
        if self._runs is None:
            return bool(await self._ownership.live_streams())
        return not self._runs.is_empty

    async def _look(self) -> bool:
        """Asks what runs in Hermes; whether it is back after the restart that is waited for, if one is."""
        asked = self._ownership.clock()
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._backend.ask_health()
        except BackendUnreachableError:
            self._runs = _NOBODY
            if self._restart is not None:
                self._restart.lost()
            return False
        except (ProxyError, TimeoutError):
            self._runs = None
            return False
        self._runs = await self._health.learn(answer, asked)
        return self._restart is not None and self._is_back(self._restart, answer, asked)

    def _is_back(self, restart: RestartWatch, answer: Answer, asked: float) -> bool:
        start = read_server_start(answer.status, answer.body, asked, self._ownership.clock())
        return answer.status == HTTPStatus.OK and restart.answered(start)


def _is_under_way(stream: StreamRecord, now: float) -> bool:
    """Whether it is being cancelled, or so young that its page has yet to open it."""
    if stream.state is not StreamState.RUNNING:
        return True
    return stream.started_at is not None and now < stream.started_at + _OPENING
