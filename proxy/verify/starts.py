"""The promises about starts and limits: P3 and P7."""

from collections.abc import Iterator
from typing import Literal

from proxy.core import observations
from proxy.events import cancels, guard, starts
from proxy.verify.known import Known
from proxy.verify.lines import Line, Violation
from proxy.verify.stories import StartStory, StreamStory

SLACK = 0.5
"""Seconds by which a timer may be late on a busy machine."""

_LISTENS_WITHIN = 25.0
"""Seconds for which a turn is given to listen, whatever is known of it: 20 for its agent to begin, and 5 to open its
request to the model."""

EARLY = 0.05
"""Seconds by which a timer may be early."""


def settle_before_start(line: Line, known: Known) -> Iterator[Violation]:
    """P3: a session's next turn, and what changes its transcript, is not forwarded while a cancelled one is unsettled.

    Shown: every start that takes a turn, and every change, for at most `settle_timeout`, against what the backend said
    of its session's cancels and their workers, and not against what the guard made of it, through rotations. A fenced
    slot holds no start (F3), and a cancel that was given up holds nothing. Not shown: what is too large to hold, whose
    session is not read; what fenced a slot.
    """
    if line.kind not in (starts.StartForwarded, starts.ChangeForwarded):
        return
    what, start = _what(line), _start(line, known)
    if start.failed_open is not None:
        return  # P8: it goes on
    for stream in known.streams.of_session(line.text("session")):
        holds = stream.holds_starts if what == "start" else stream.holds_changes
        if holds and stream.stop is not None:
            yield from _unsettled(start, stream, stream.stop.accepted, line, known)


def _unsettled(start: StartStory, stream: StreamStory, accepted: Line, line: Line, known: Known) -> Iterator[Violation]:
    what = f"{_what(line)} {start.story_id} was forwarded while {stream.stream_id} was settling"
    if start.expired is None:
        yield Violation("P3", f"{what}, and was not held to its limit", (accepted.number, line.number))
    elif start.received is not None and start.expired.t - start.received.t < known.limits.settle_timeout - EARLY:
        held = start.expired.t - start.received.t
        lines = (accepted.number, start.received.number, start.expired.number, line.number)
        yield Violation("P3", f"{what}, after {held:.3f}s of {known.limits.settle_timeout:g}s", lines)


def bounded(line: Line, known: Known) -> Iterator[Violation]:
    """P7: every wait has a limit; at the limit the request goes on, and it is recorded.

    Shown: how long a start is held and retried, and a change held (`settle_timeout`), a cancel waits for its turn's
    agent to listen (5 s, F13) and its answer for its event (`answer_timeout`), a cancel settles (`stop_timeout`, and
    its answer). Not shown: sizes of buffers, waits for the backend itself.
    """
    limits = known.limits
    match line.kind:
        case starts.StartForwarded | starts.StartConflictSpurious | starts.ChangeForwarded:
            start = _start(line, known)
            said = f"{_what(line)} {start.story_id} waited"
            yield from _late("P7", said, start.received, line, limits.settle_timeout)
        case cancels.CancelForwarded:
            cancel = known.cancels.get(line.text("cancel"))
            if cancel is not None and cancel.verdict == "forward":
                yield from _late("P7", f"cancel {cancel.story_id} waited", cancel.judged, line, _LISTENS_WITHIN)
        case guard.Observed if line.seen is observations.CancelAnswered:
            stream = known.streams.get(line.maybe("stream_id"))
            if stream is not None and stream.stop is not None and stream.is_settling and stream.stop.answered is None:
                said = f"the answer to the accepted cancel of {stream.stream_id} waited"
                yield from _late("P7", said, stream.stop.accepted, line, limits.answering)
        case cancels.CancelSettled:
            stream = known.streams.get(line.text("stream"))
            if stream is not None and stream.stop is not None and stream.is_settling:
                said = f"the cancel of {stream.stream_id} stayed unsettled"
                yield from _late("P7", said, stream.stop.accepted, line, limits.settling)


def nothing_waits(known: Known) -> Iterator[Violation]:
    """P7, at the end: nothing waits that should have gone on."""
    limits, last = known.limits, known.last
    for start in (*known.starts.values(), *known.changes.values()):
        if start.forwarded is None:
            what = _what(start.received) if start.received else "start"
            said = f"{what} {start.story_id} was never forwarded: it waited"
            yield from _late("P7", said, start.received, last, limits.settle_timeout)
    for cancel in known.cancels.values():
        if cancel.verdict == "forward" and cancel.forwarded is None and cancel.over is None:
            said = f"cancel {cancel.story_id} was never forwarded: it waited"
            yield from _late("P7", said, cancel.judged, last, _LISTENS_WITHIN)
    for stream in known.streams.all():
        if stream.stop is None or not stream.is_settling:
            continue
        if stream.stop.answered is None and stream.failed_open is None:
            said = f"the accepted cancel of {stream.stream_id} was never answered: it waited"
            yield from _late("P7", said, stream.stop.accepted, last, limits.answering)
        said = f"the cancel of {stream.stream_id} never settled: it waited"
        yield from _late("P7", said, stream.stop.accepted, last, limits.settling)


def _what(line: Line) -> Literal["start", "change"]:
    return "change" if line.kind in (starts.ChangeReceived, starts.ChangeForwarded) else "start"


def _start(line: Line, known: Known) -> StartStory:
    start_id = line.text(_what(line))
    stories = known.starts if _what(line) == "start" else known.changes
    return stories.get(start_id) or StartStory(start_id)


def _late(promise: str, said: str, since: Line | None, line: Line, limit: float) -> Iterator[Violation]:
    if since is not None and line.t - since.t > limit + SLACK:
        said = f"{said} {line.t - since.t:.3f}s, where {limit:g}s is the limit"
        yield Violation(promise, said, (since.number, line.number))
