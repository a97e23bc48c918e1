"""The upstream side of a relay: read, watched, published, and ended when it is over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Protocol

from proxy.core.records import Ending
from proxy.guard.broadcast import Broadcast
from proxy.guard.watch import Watch
from proxy.http.errors import BackendError


class Upstream(Protocol):
    """An answer that arrives in chunks."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes from here on; may be called again after a wait for them was broken off.

        Raises:
            BackendError: the answer broke off.
        """

    def abort(self) -> None:
        """Closes its connection at once."""


class Over(Enum):
    """Why a relay ended, other than by its browser."""

    TERMINAL = "terminal event"
    OVERDUE = "no terminal event in time"
    EOF = "the backend closed it"
    BROKEN = "the backend broke off"
    IDLE = "silence"
    DRAINED = "the proxy ends"


class Source:
    """Reads one upstream until it is over, and closes it then (P6: no orphan).

    Args:
        upstream: What to read.
        broadcast: Where the bytes go.
        watch: What looks at them.
        clock: The event loop's.
        idle_timeout: Longest silence, in seconds; a heartbeat breaks it.
        closed: Told why as soon as the upstream is closed, None if its run was broken off; and for what ending an
            overdue one was given up.
    """

    def __init__(  # noqa: PLR0913 - its two ends, its judgement, and the means to carry it out
        self,
        upstream: Upstream,
        broadcast: Broadcast,
        watch: Watch,
        *,
        clock: Callable[[], float],
        idle_timeout: float,
        closed: Callable[[Over | None, Ending | None], None],
    ) -> None:
        self._upstream = upstream
        self._broadcast = broadcast
        self._watch = watch
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._closed = closed
        self._heard = self._resumed = clock()
        self._overdue: Ending | None = None
        self._timer: asyncio.Timeout | None = None
        self._is_drained = False

    async def run(self) -> Over:
        """Passes the upstream on until it is over, and says why it is."""
        last, error, why = b"", None, None
        try:
            why, last = await self._until_over()
        except BackendError as broken:
            why, last = Over.BROKEN, await self._watch.ending(None)
            error = None if last else broken
        finally:
            self._upstream.abort()
            self._closed(why, self._overdue)
            self._broadcast.close(last, error)
        return why

    def revise(self) -> None:
        """Look at what is due again, now; while no timer runs it is about to be looked at anyway."""
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(self._clock())

    def drain(self) -> None:
        """Ends it as if the backend had closed it: its page comes back to whoever is there then."""
        self._is_drained = True
        self.revise()

    async def _until_over(self) -> tuple[Over, bytes]:
        chunks = self._upstream.chunks()
        while True:
            try:
                async with asyncio.timeout(None) as self._timer:
                    if over := await self._is_over(self._timer):
                        return over
                    chunk = await anext(chunks, None)
            except TimeoutError:  # something is due, or was revised
                chunks = self._upstream.chunks()
                continue
            finally:
                self._timer = None
            if chunk is None:
                return Over.EOF, await self._watch.ending(None)
            end = await self._watch.see(chunk)
            if end is not None:
                return Over.TERMINAL, chunk[:end]
            await self._pass_on(chunk)

    async def _is_over(self, timer: asyncio.Timeout) -> tuple[Over, bytes] | None:
        """Why and with which last bytes the relay ends now; if it does not, the timer is set."""
        if self._is_drained:
            return Over.DRAINED, await self._watch.ending(None)
        now = self._clock()
        due = await self._watch.due(self._resumed)
        if due is not None and now >= due.at:
            self._overdue = due.ending
            return Over.OVERDUE, await self._watch.ending(due)
        idle_at = self._heard + self._idle_timeout
        if now >= idle_at:
            return Over.IDLE, b""
        timer.reschedule(min(idle_at, due.at) if due else idle_at)
        return None

    async def _pass_on(self, chunk: bytes) -> None:
        """Time in which a slow browser keeps the upstream from being read is not the upstream's silence."""
        waited = await self._broadcast.publish(chunk)
        self._heard = self._clock()
        if waited:
            self._resumed = self._heard
