"""The promises about relays: P4, P5 and P6."""

from collections.abc import Iterator

from proxy.events.relays import RelayEnded, RelayWrote, UpstreamClosed
from proxy.verify.known import Known
from proxy.verify.lines import Line, Violation
from proxy.verify.starts import EARLY, SLACK
from proxy.verify.stories import NEVER, TERMINAL, RelayStory, StreamStory

_TERMINAL = "terminal event"
_OVERDUE = "no terminal event in time"
_AT_EOF = ("the backend closed it", "the backend broke off")
"""Why an upstream was closed, as the guard says."""

_GUESSED = ("superseded", "lost", "unknown")
"""Endings that no event of the stream's own has told."""

_LEFT = 0.1
"""Seconds by which an upstream may outlive its last browser (P6)."""


def terminal_last(line: Line, known: Known) -> Iterator[Violation]:
    """P4: after a stream's terminal event nothing more of that stream is written to that browser.

    Shown: the names of the events that are written, in their order. Not shown: comments, and events without a name.
    """
    if line.kind is not RelayWrote:
        return
    before = known.relays.get(line.text("relay"))
    terminal = before.terminal if before else None
    for event in line.texts("events"):
        if terminal is not None and event not in TERMINAL:
            lines = tuple(dict.fromkeys((terminal.number, line.number)))
            said = f"relay {line.text('relay')} was given {event} after its terminal event"
            yield Violation("P4", said, lines)
            return
        if event in TERMINAL:
            terminal = line


def exactly_one_ending(line: Line, known: Known) -> Iterator[Violation]:
    """P5: every relay that lives to its stream's end is given exactly one terminal event.

    Shown: the terminal events that are written, those that were due when the upstream was closed, and those that were
    given to a stream that went on. Not shown: whether the browser read it.
    """
    if line.kind is RelayWrote:
        yield from _second_ending(line, known)
    elif line.kind is UpstreamClosed:
        relay = known.relays.get(line.text("relay"))
        if relay is None or relay.opened is None or relay.failed_open is not None:
            return
        yield from _cut(line, relay, known)
        if relay.terminal is not None:
            return
        if _owes_ending(relay, line.maybe("why"), known):
            said = f"relay {relay.story_id} of {relay.stream_id} ended ({line.text('why')}) without a terminal event"
            yield Violation("P5", said, (relay.opened.number, line.number))


def _second_ending(line: Line, known: Known) -> Iterator[Violation]:
    relay = known.relays.get(line.text("relay"))
    before = [relay.terminal] if relay is not None and relay.terminal is not None else []
    endings = before + [line for event in line.texts("events") if event in TERMINAL]
    if len(endings) > max(1, len(before)):
        lines = tuple(dict.fromkeys(ending.number for ending in endings))
        yield Violation("P5", f"relay {line.text('relay')} was given {len(endings)} terminal events", lines)


def _owes_ending(relay: RelayStory, why: str | None, known: Known) -> bool:
    stream = known.streams.get(relay.stream_id)
    if stream is not None and stream.failed_open is not None:
        return False  # P8: what the backend sent passed as it was
    being_cancelled = stream is not None and stream.is_settling
    return why in (_TERMINAL, _OVERDUE) or (why in _AT_EOF and being_cancelled)


def _cut(line: Line, relay: RelayStory, known: Known) -> Iterator[Violation]:
    """A stream that speaks is not over, whatever is believed of it (F20)."""
    stream, ending = known.streams.get(relay.stream_id), line.maybe("overdue")
    if stream is None or ending is None:
        return
    if stream.doubted is not None and stream.spoke is not None and ending in _GUESSED:
        lines = (stream.doubted.number, stream.spoke.number, line.number)
        yield Violation("P5", f"relay {relay.story_id} of {relay.stream_id} was cut, though that went on", lines)
    silent = line.t - relay.silent_since.t if relay.silent_since else None
    span = _span(ending, stream, known)
    if relay.silent_since is not None and silent is not None and silent < span - EARLY:
        said = f"relay {relay.story_id} of {relay.stream_id} was cut {silent:.3f}s after its last event, not {span:g}s"
        yield Violation("P5", said, (relay.silent_since.number, line.number))


def _span(ending: str, stream: StreamStory, known: Known) -> float:
    """Seconds of silence after which a relay is given that ending."""
    if ending == "superseded" or (ending == "cancelled" and stream.believed is not None):
        return known.limits.orphan_grace
    return known.limits.settle_timeout if ending == "cancelled" and stream.stop is not None else known.limits.linger


def no_orphan(line: Line, known: Known) -> Iterator[Violation]:
    """P6: an upstream outlives its last browser by at most 100 ms, and its stream's end by at most `linger`.

    A cancelled stream's has until `settle_timeout`, or `orphan_grace` once its worker is gone; a superseded one's until
    `orphan_grace`; each of silence. Shown: from when the guard noticed that the browser had left, and from the end that
    it observed. Not shown: how long it took to notice.
    """
    if line.kind in (UpstreamClosed, RelayEnded):
        relay = known.relays.get(line.text("relay"))
        if relay is not None:
            yield from _orphan(relay, line, known)


def no_orphan_is_left(known: Known) -> Iterator[Violation]:
    """P6, at the end: no upstream is open that should have been closed."""
    for relay in known.relays.values():
        yield from _orphan(relay, known.last, known)


def _orphan(relay: RelayStory, line: Line, known: Known) -> Iterator[Violation]:
    """What is wrong with a relay whose upstream was open until `line`."""
    if relay.closed is not None:
        return
    if relay.left is not None and line.t - relay.left.t > _LEFT:
        said = f"the upstream of relay {relay.story_id} outlived its browser by {line.t - relay.left.t:.3f}s"
        yield Violation("P6", said, (relay.left.number, line.number))
    stream = known.streams.get(relay.stream_id)
    if stream is None or stream.leaves_since == NEVER or (stream.pending and not stream.is_superseded):
        return
    since = relay.wrote or relay.opened or known.begun
    late = line.t - max(stream.leaves_since, since.t) - stream.leaves_within
    if late > SLACK:
        end = stream.ended or stream.doubted
        lines = (*([end.number] if end else []), since.number, line.number)
        said = f"the upstream of relay {relay.story_id} outlived the end of {relay.stream_id}: {late:.3f}s too long"
        yield Violation("P6", said, tuple(sorted(set(lines))))
