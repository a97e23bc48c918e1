"""The lines of a trace through the checkers of all promises."""

from collections.abc import Callable, Iterable, Iterator

from proxy.events.process import TraceBegun, TraceGap
from proxy.verify.cancels import (
    disconnect_is_not_cancel,
    errors_fail_open,
    honest_answer,
    no_authority_of_its_own,
    no_stale_forward,
    transparent_when_unsure,
)
from proxy.verify.known import Known
from proxy.verify.lines import Limits, Line, Place, TraceError, Violation
from proxy.verify.pursuit import no_stop_is_swallowed, nothing_is_swallowed, stop_means_stopped, the_pursuit_goes_on
from proxy.verify.relays import exactly_one_ending, no_orphan, no_orphan_is_left, terminal_last
from proxy.verify.starts import bounded, nothing_waits, settle_before_start

AT_LINE: tuple[Callable[[Line, Known], Iterator[Violation]], ...] = (
    no_stale_forward,
    honest_answer,
    settle_before_start,
    terminal_last,
    exactly_one_ending,
    no_orphan,
    bounded,
    transparent_when_unsure,
    no_authority_of_its_own,
    disconnect_is_not_cancel,
    stop_means_stopped,
    no_stop_is_swallowed,
)
"""P1 to P11: each looks at one line, with what the lines before it have shown."""

AT_END: tuple[Callable[[Known], Iterator[Violation]], ...] = (
    no_orphan_is_left,
    nothing_waits,
    errors_fail_open,
    the_pursuit_goes_on,
    nothing_is_swallowed,
)
"""P6, P7, P8 and P11: each looks at what a trace leaves open."""


def verify(lines: Iterable[str]) -> list[Violation]:
    """Every violation of a promise that a trace shows, in the order of its lines.

    Args:
        lines: Of one file, or of the files of a rotation, oldest first. A process that follows another, a file that is
            missing in between, a `trace_gap` and other limits each begin anew.

    Raises:
        TraceError: a line is none of a trace's.
    """
    audit = _Audit()
    for number, text in enumerate(lines, 1):
        audit.see(Line.parse(number, text))
    return audit.end()


class _Audit:
    def __init__(self) -> None:
        self._known: Known | None = None
        self._place: Place | None = None
        self._found: list[Violation] = []

    def see(self, line: Line) -> None:
        if line.kind is TraceBegun:
            self._begin(line)
            return
        if self._known is None:
            raise TraceError(line.number, "is not trace_begun, which every file begins with")
        if line.kind is TraceGap:
            self._close()
            self._known = Known(self._known.limits, line, whole=False)
            return
        for check in AT_LINE:
            self._found += check(line, self._known)
        self._known.learn(line)

    def end(self) -> list[Violation]:
        self._close()
        return sorted(self._found, key=lambda violation: violation.lines)

    def _begin(self, line: Line) -> None:
        limits, place = Limits.of(line), Place.of(line)
        if self._known is None or limits != self._known.limits or not place.follows(self._place):
            self._close()
            self._known = Known(limits, line, whole=place.part == 1)
        self._place = place

    def _close(self) -> None:
        if self._known is not None:
            for check in AT_END:
                self._found += check(self._known)
