"""The backend as a whole: what it is made of, its start and its end."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from proxy.demo.access import Access
from proxy.demo.asides import Asides
from proxy.demo.chat import Chat
from proxy.demo.files import MEBIBYTE, Files
from proxy.demo.goals import Goals
from proxy.demo.habits import RELEASES, CancelOrder, Faults, Mode, Pace
from proxy.demo.history import History
from proxy.demo.ledger import Ledger
from proxy.demo.listener import Listener
from proxy.demo.routes import Routes
from proxy.demo.sse import SseWriter
from proxy.demo.stopping import Stopping
from proxy.demo.turns import Turns
from proxy.demo.world import World

DEFAULT_PACE = Pace()


class Backend:
    """A Hermes stand-in.

    Args:
        release: One of ``RELEASES``.
        password: Switches authentication on.
        slots: Connections served at once; the release's own when ``None`` (F7).
        heartbeat: Seconds between two comments on a silent SSE stream.
        pace: How fast the model and the unwinding worker are.
        order: Which of a cancel's event and answer leaves first (F5).
        seed: Of the generators behind ``CancelOrder.EITHER`` and a turn's own times.
        max_upload: Bytes above which an upload is answered 413.
        idle_timeout: Seconds after which a silent connection is closed.
        clock: Seconds since the epoch: what is reported, and the limit on logins.
        mode: Where turns run: ``local``, ``gateway`` or ``runner`` (F19, F20).

    Attributes:
        ledger: What the backend saw.
        world: Its sessions and turns.
        guarded: The proxy's URL for the page, ``None`` without one.

    Raises:
        ValueError: there is no such release, or no such mode.
    """

    def __init__(  # noqa: PLR0913  each is one knob of a test, and all have defaults
        self,
        release: str = "v0.52.262",
        *,
        password: str | None = None,
        slots: int | None = None,
        heartbeat: float = 5.0,
        pace: Pace = DEFAULT_PACE,
        order: CancelOrder = CancelOrder.EVENT_FIRST,
        seed: int = 0,
        max_upload: int = 20 * MEBIBYTE,
        idle_timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
        mode: str = "local",
    ) -> None:
        if release not in RELEASES:
            raise ValueError(f"unknown release {release!r}: choose one of {', '.join(RELEASES)}")
        habits = RELEASES[release]
        self.ledger = Ledger()
        self.world = World(habits, pace, clock, Mode(mode))
        self.guarded: str | None = None
        self._turns = Turns(self.world, self.ledger, self._spawn, seed)
        self._routes = Routes(
            self,
            access=Access(password, habits, clock),
            chat=Chat(self.world, self._turns),
            asides=Asides(self.world, self._turns),
            goals=Goals(self.world, self._turns),
            history=History(self.world, self.ledger, self._turns),
            stopping=Stopping(self.world, self._spawn, order, seed),
            files=Files(self.world, max_upload),
            sse=SseWriter(self.world, heartbeat),
        )
        self._listener = Listener(
            self.ledger,
            self._routes.answer,
            self._spawn,
            slots=slots or habits.slots,
            idle_timeout=idle_timeout,
        )
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._host, self._port = "127.0.0.1", 0

    @property
    def release(self) -> str:
        """The release that it plays."""
        return self.world.habits.name

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; assign another to change it at any time."""
        return self.world.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.world.faults = faults

    @property
    def port(self) -> int:
        """The port it listens on, 0 before its start."""
        return self._port

    @property
    def url(self) -> str:
        """Its base URL, without a trailing slash."""
        return f"http://{self._host}:{self._port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens.

        Raises:
            OSError: the address cannot be bound.
        """
        self._server = await self._listener.listen(host, port)
        self._host, self._port = host, self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening, drops every connection and ends every worker.

        Raises:
            ExceptionGroup: a worker or a connection had failed.
        """
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.ledger.model_lost()
        await self._server.wait_closed()
        self._server = None
        failures = [end for end in ends if isinstance(end, Exception)]
        if failures:
            raise ExceptionGroup("the stand-in's own tasks failed", failures)

    async def restart(self) -> None:
        """Comes back on its port with sessions and journals, but with nothing running."""
        await self.close()
        self.world.lose_everything_running()
        await self.start(self._host, self._port)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def start_turn(self, session_id: str, message: str) -> str:
        """Starts a turn that no browser asked for; its ``stream_id``.

        Raises:
            KeyError: there is no such session.
            RuntimeError: the session is not free.
        """
        return self._turns.run_unasked(self.world.sessions[session_id], message).stream_id

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        """Keeps a failed task until ``close`` reports it."""
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)
