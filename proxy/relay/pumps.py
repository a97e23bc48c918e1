"""Making pumps by the current limits, and knowing which are at work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proxy.core.records import Ending
from proxy.ownership.limits import Live
from proxy.relay.alarms import FarAlarms
from proxy.relay.ends import Downstream, Over, Upstream
from proxy.relay.pump import Pump
from proxy.relay.watch import Watch

Closed = Callable[[Over, Ending | None], None]
"""Told why an upstream was closed, and for what ending an overdue one was given up."""


class Pumps:
    """The pumps of all event streams.

    Args:
        live: Their limits.
        clock: The event loop's.
    """

    def __init__(self, live: Live, clock: Callable[[], float]) -> None:
        self._live = live
        self._clock = clock
        self._alarms = FarAlarms()
        self._working: set[Pump] = set()

    def make(self, upstream: Upstream, browser: Downstream, watch: Watch, closed: Closed) -> Pump:
        """One from `upstream` to `browser`."""
        limits = self._live.now
        return Pump(
            upstream,
            browser,
            watch,
            clock=self._clock,
            alarms=self._alarms,
            idle_timeout=limits.idle_timeout,
            buffer=limits.buffer,
            closed=closed,
        )

    @contextmanager
    def working(self, pump: Pump) -> Iterator[None]:
        """Counts a pump as at work for as long as the context lasts."""
        self._working.add(pump)
        try:
            yield
        finally:
            self._working.discard(pump)

    def drain(self) -> None:
        """Ends all that are at work."""
        for pump in tuple(self._working):
            pump.drain()
