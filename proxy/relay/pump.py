"""A relay's bytes, from one upstream to one browser.

What nobody has to look at goes on in the call that it arrives in. Everything else, and everything behind it, waits for
the pump's one task, which also minds the clock and a browser that is slow.
"""

import asyncio
from collections.abc import Callable

from proxy.core.records import Ending
from proxy.http.settling import settle
from proxy.relay.alarms import NEAR, FarAlarms
from proxy.relay.ends import Downstream, Over, Piece, Upstream
from proxy.relay.watch import Due, Watch


class Pump:
    """Passes one upstream on until it is over, and closes it then (P6: no orphan).

    Args:
        upstream: What to read.
        browser: Where it goes.
        watch: What looks at it.
        clock: The event loop's.
        alarms: Shared by all.
        idle_timeout: Longest silence, in seconds; a heartbeat breaks it.
        buffer: Bytes that wait for the browser before the upstream is held back (P7).
        closed: Told why as soon as the upstream is closed, and for what ending an overdue one was given up.
    """

    __slots__ = (
        "_alarm",
        "_alarms",
        "_at_rest",
        "_browser",
        "_buffer",
        "_clock",
        "_closed",
        "_draining",
        "_ended",
        "_error",
        "_heard",
        "_held_back",
        "_idle_timeout",
        "_is_woken",
        "_over",
        "_overdue",
        "_resumed",
        "_sleeper",
        "_unseen",
        "_unsent",
        "_upstream",
        "_waiting",
        "_watch",
    )

    def __init__(  # noqa: PLR0913 - its two ends, its judgement, and the means to carry it out
        self,
        upstream: Upstream,
        browser: Downstream,
        watch: Watch,
        *,
        clock: Callable[[], float],
        alarms: FarAlarms,
        idle_timeout: float,
        buffer: int,
        closed: Callable[[Over, Ending | None], None],
    ) -> None:
        self._upstream = upstream
        self._browser = browser
        self._watch = watch
        self._clock = clock
        self._alarms = alarms
        self._idle_timeout = idle_timeout
        self._buffer = buffer
        self._closed = closed
        self._unseen: list[bytes] = []
        self._unsent: list[Piece] = []
        self._waiting = 0  # bytes of both
        self._held_back = False
        self._at_rest = False  # nothing waits, so that what arrives may go on at once
        self._is_woken = False
        self._sleeper: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._draining: asyncio.Task[None] | None = None
        self._heard = self._resumed = clock()
        self._ended: Over | None = None  # by the backend, or with the proxy
        self._over: Over | None = None
        self._overdue: Ending | None = None
        self._error: Exception | None = None

    @property
    def over(self) -> Over:
        """Why it ended, once it has."""
        return self._over or Over.FAILED

    @property
    def heard(self) -> float:
        """When the upstream last said something, or could be read again."""
        return self._heard

    async def run(self, tell: Callable[[], None]) -> None:
        """Passes the upstream on until it is over and the browser has been sent all of it.

        Args:
            tell: Called when the browser has been sent the event that ends its turn.

        Raises:
            BackendError: the backend broke off, and what the browser has must not look whole.
            ConnectionError: the browser is gone.
        """
        try:
            self._upstream.follow(self)
            while not await self._is_done(tell):
                await self._rest(await self._next_limit())
                self._at_rest = self._is_woken = False
        except (asyncio.CancelledError, ConnectionError):
            self._finish(Over.LEFT)
            raise
        finally:
            self._finish(Over.FAILED)
            self._wake()  # nobody sleeps here any more
            if self._draining is not None:
                await settle(self._draining)
        if self._error is not None:
            raise self._error

    def revise(self) -> None:
        """What is believed about the stream has changed: look at its limit again."""
        self._wake()

    def drain(self) -> None:
        """Ends it as if the backend had closed it: its page comes back to whoever is there then."""
        self._ended = self._ended or Over.DRAINED
        self._wake()

    def leave(self) -> None:
        """Ends it at once: nobody reads it any more (P6)."""
        self._finish(Over.LEFT)
        self._wake()

    # -- what the upstream calls ------------------------------------------------------------------

    def data(self, chunk: bytes) -> None:
        """See `Sink`."""
        self._heard = now = self._clock()
        if self._at_rest and self._watch.passes(chunk, now):
            try:
                self._at_rest = self._browser.send(chunk)
            except ConnectionError:
                return  # the browser is gone, and this run is about to be broken off for it
            if not self._at_rest:
                self._wake()
            return
        self._at_rest = False
        self._unseen.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= self._buffer:
            self._held_back = True
            self._upstream.pause()
        self._wake()

    def ended(self, error: Exception | None) -> None:
        """See `Sink`."""
        self._ended, self._error = Over.BROKEN if error else Over.EOF, error
        self._wake()

    # -- what the task does -----------------------------------------------------------------------

    async def _is_done(self, tell: Callable[[], None]) -> bool:
        """Sees and sends what waits; whether there is nothing more to do."""
        while self._unseen and self._over is None:
            chunk = self._unseen.pop(0)
            end = await self._watch.see(chunk)
            self._unsent += self._watch.amend(chunk[:end])
            if end is not None:
                self._finish(Over.TERMINAL)
        if self._over is None:
            await self._look()
        self._send()
        if not self._unsent and self._watch.told:
            tell()
        return self._over is not None and not self._unsent

    async def _look(self) -> None:
        """Whether it ends now, without a terminal event of its own."""
        if self._ended is not None:
            last = await self._watch.ending(None)
            self._error = None if last else self._error
            self._finish(self._ended, last)
            return
        due = await self._due()
        if due is not None and self._clock() >= due.at:
            self._overdue = due.ending
            self._finish(Over.OVERDUE, await self._watch.ending(due))
        elif self._idle_at is not None and self._clock() >= self._idle_at:
            self._finish(Over.IDLE)

    async def _due(self) -> Due | None:
        """When it ends without a terminal event. A slow browser's stream has more to say, and is not cut."""
        return None if self._held_back else await self._watch.due(self._resumed)

    @property
    def _idle_at(self) -> float | None:
        """Time in which a slow browser keeps the upstream from being read is not the upstream's silence."""
        return None if self._held_back else self._heard + self._idle_timeout

    def _finish(self, over: Over, last: tuple[Piece, ...] = ()) -> None:
        """Closes the upstream, unless that was done before."""
        if self._over is not None:
            return
        self._over = over
        self._unseen.clear()
        self._unsent += last
        self._upstream.abort()
        self._closed(over, self._overdue)

    def _send(self) -> None:
        if self._draining is not None and self._draining.done():
            self._draining.result()
            self._draining = None
        if self._unsent and not self._browser.is_full:
            for piece in self._unsent:
                self._browser.give(piece)
            self._unsent.clear()
        if self._browser.is_full:
            self._await_room()
        elif not self._unsent:
            self._let_come()

    def _await_room(self) -> None:
        if self._draining is None:
            self._draining = asyncio.create_task(self._browser.drain())
            self._draining.add_done_callback(lambda _: self._wake())

    def _let_come(self) -> None:
        """Everything that was seen has been taken."""
        self._waiting = sum(map(len, self._unseen))
        if self._held_back and self._over is None:
            self._held_back = False
            self._heard = self._resumed = self._clock()
            self._upstream.resume()

    async def _next_limit(self) -> float | None:
        """When it has to look again if nothing happens, if ever."""
        if self._over is not None:
            return None
        due = await self._due()
        limits = (self._idle_at, due.at if due else None)
        return min((limit for limit in limits if limit is not None), default=None)

    def _rest(self, until: float | None) -> asyncio.Future[None]:
        """What is done once something waits, something was revised, or the time has come."""
        loop = asyncio.get_running_loop()
        self._at_rest = self._over is None and not (self._unseen or self._unsent or self._draining)
        self._sleeper = loop.create_future()
        if self._is_woken:
            self._sleeper.set_result(None)
        elif until is not None and until > loop.time() + NEAR:
            self._alarms.set(self, until, self._wake)
        elif until is not None:
            self._alarm = loop.call_at(until, self._wake)
        return self._sleeper

    def _wake(self) -> None:
        self._is_woken = True
        self._alarms.cancel(self)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)
