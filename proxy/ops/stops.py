"""Every Stop and what it was told: those, too, that were stale, and so have no receipt."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from proxy.core.records import Ending
from proxy.events.cancels import CancelAnswered, CancelFailed, CancelJudged, CancelUnguarded
from proxy.events.event import Event

KEPT = 1000
"""Stops kept; the oldest go first (P7: every buffer has a size)."""

_OWN = frozenset({"forward", "stale"})
"""Verdicts that make a cancel a Stop of its own; all others press the one before once more."""


@dataclass(slots=True)
class Stop:
    """One cancel as browsers made it.

    Attributes:
        cancel_id: As in the answer's `Stream-Guard` field.
        stream_id: What was to be stopped.
        at: When it was asked for, in seconds of the clock.
        presses: How many requests asked for it, as long as its worker was not seen gone.
        verdict: As answered; None before that, or if what the backend said was passed on without one; "unguarded" if it
            was after a mistake of the guard's.
        reason: Why nothing was stopped, if nothing was.
        status: Of the answer; None as long as there is none.
        cancelled: What the answer says, if it says so.
        failed: Why there was no answer, as the code of an error.
    """

    cancel_id: str
    stream_id: str
    at: float
    presses: int = 1
    verdict: str | None = None
    reason: Ending | None = None
    status: int | None = None
    cancelled: bool | None = None
    failed: str | None = None

    @property
    def told(self) -> str:
        """What its browser was told, in one word: the outcome, unless there is a receipt that knows more."""
        match self:
            case Stop(failed=str()):
                return "failed"
            case Stop(verdict="stale" | "unguarded" as verdict):
                return verdict
            case Stop(status=None):
                return "unanswered"
            case Stop(status=200):
                return "refused"
        return "passed"


class Stops:
    """Keeps the latest, from what is reported.

    Args:
        clock: Monotonic seconds.
        kept: How many.
    """

    def __init__(self, clock: Callable[[], float], kept: int = KEPT) -> None:
        self._clock = clock
        self._kept = kept
        self._stops: OrderedDict[str, Stop] = OrderedDict()

    def __call__(self, event: Event, /) -> None:
        """See `proxy.reporting.Report`."""
        match event:
            case CancelJudged(cancel=cancel_id, stream=stream_id, verdict=verdict):
                if verdict in _OWN and cancel_id not in self._stops:
                    self._add(Stop(cancel_id, stream_id, self._clock()))
            case CancelAnswered():
                self._answered(event)
            case CancelUnguarded(cancel=cancel_id) if cancel_id in self._stops:
                self._stops[cancel_id].verdict = "unguarded"
            case CancelFailed(cancel=cancel_id, code=code) if cancel_id in self._stops:
                self._stops[cancel_id].failed = code

    def get(self, cancel_id: str) -> Stop | None:
        """The one with that id, if it is still kept."""
        return self._stops.get(cancel_id)

    def latest(self) -> tuple[Stop, ...]:
        """Those kept, newest first."""
        return tuple(reversed(self._stops.values()))

    def _add(self, stop: Stop) -> None:
        self._stops[stop.cancel_id] = stop
        while len(self._stops) > self._kept:
            self._stops.popitem(last=False)

    def _answered(self, event: CancelAnswered) -> None:
        if stop := self._stops.get(event.cancel):
            stop.verdict, stop.reason = event.verdict, event.reason
            stop.status, stop.cancelled = event.status, event.cancelled
        elif event.first and (pressed := self._stops.get(event.first) or self._latest_of(event.stream)):
            pressed.presses += 1

    def _latest_of(self, stream_id: str) -> Stop | None:
        """The one that another caller's Stop of the same stream presses once more (P11)."""
        return next((stop for stop in self.latest() if stop.stream_id == stream_id), None)
