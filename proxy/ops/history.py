"""The last minutes, for charts: events relayed a second, and what became of each cancel."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from proxy.events.cancels import CancelSettled
from proxy.events.event import Event
from proxy.events.relays import RelayWrote

SPAN = 600.0
"""Seconds that are remembered."""

STEP = 2.0
"""Seconds that are one point of a chart."""

_MOST_CANCELS = 500
"""Cancels remembered, however many there were (P7: every buffer has a size)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A cancel that is over.

    Attributes:
        at: When, in seconds of the clock.
        took: Seconds until it had settled; None if it never did.
    """

    at: float
    took: float | None


class History:
    """Remembers what is reported, for `SPAN` seconds.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: deque[int] = deque([0] * int(SPAN / STEP), maxlen=int(SPAN / STEP))
        self._step = self._now()
        self._outcomes: deque[Outcome] = deque(maxlen=_MOST_CANCELS)

    def __call__(self, event: Event, /) -> None:
        """See `proxy.reporting.Report`."""
        match event:
            case RelayWrote(count=count):
                self._advance()
                self._counts[-1] += count
            case CancelSettled(took=took):
                self._outcomes.append(Outcome(self._clock(), took))

    def events(self) -> tuple[int, ...]:
        """Events relayed in each step, oldest first; the last one is not over yet."""
        self._advance()
        return tuple(self._counts)

    def outcomes(self) -> tuple[Outcome, ...]:
        """The cancels of the last `SPAN` seconds, oldest first."""
        earliest = self._clock() - SPAN
        return tuple(outcome for outcome in self._outcomes if outcome.at >= earliest)

    def _now(self) -> int:
        return int(self._clock() // STEP)

    def _advance(self) -> None:
        passed = self._now() - self._step
        self._counts.extend([0] * min(passed, len(self._counts)))
        self._step += passed
