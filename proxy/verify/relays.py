"""The promises about relays: P4, P5 and P6."""

from collections.abc import Iterator

from proxy.events.relays import RelayEnded, RelayWrote, UpstreamClosed
from proxy.verify.feeds import ENDED
from proxy.verify.known import Known
from proxy.verify.lines import Line, Violation
from proxy.verify.starts import EARLY, SLACK
from proxy.verify.stories import NEVER, TERMINAL, StreamStory, UpstreamStory

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

    Shown: the terminal events that are sent to each browser, those that were due when its upstream was closed, and
    those that were given to a stream that went on. Not shown: whether the browser read it.
    """
    if line.kind is RelayWrote:
        yield from _second_ending(line, known)
    elif line.kind is UpstreamClosed:
        yield from _cut(line, known)
    elif line.kind is RelayEnded:
        yield from _no_ending(line, known)


def _no_ending(line: Line, known: Known) -> Iterator[Violation]:
    relay, why = known.relays.get(line.text("relay")), line.text("why")
    if relay is None or relay.opened is None or relay.failed_open is not None:
        return
    if relay.terminal is not None or relay.left is not None:
        return
    if relay.owed is not None or why in ENDED:
        said = f"relay {relay.story_id} of {relay.stream_id} ended ({why}) without a terminal event"
        yield Violation("P5", said, (relay.opened.number, line.number))


def _second_ending(line: Line, known: Known) -> Iterator[Violation]:
    relay = known.relays.get(line.text("relay"))
    before = [relay.terminal] if relay is not None and relay.terminal is not None else []
    endings = before + [line for event in line.texts("events") if event in TERMINAL]
    if len(endings) > max(1, len(before)):
        lines = tuple(dict.fromkeys(ending.number for ending in endings))
        yield Violation("P5", f"relay {line.text('relay')} was given {len(endings)} terminal events", lines)


def _cut(line: Line, known: Known) -> Iterator[Violation]:
    """A stream that speaks is not over, whatever is believed of it (F20)."""
    upstream, ending = known.relays.upstream(line.text("upstream")), line.maybe("overdue")
    stream = known.streams.get(upstream.stream_id) if upstream else None
    if upstream is None or stream is None or ending is None:
        return
    what = f"upstream {upstream.story_id} of {upstream.stream_id} was cut"
    if stream.doubted is not None and stream.spoke is not None and ending in _GUESSED:
        lines = (stream.doubted.number, stream.spoke.number, line.number)
        yield Violation("P5", f"{what}, though that went on", lines)
    silent = line.t - upstream.silent_since.t if upstream.silent_since else None
    span = _span(ending, stream, known)
    if upstream.silent_since is not None and silent is not None and silent < span - EARLY:
        said = f"{what} {silent:.3f}s after its last event, not {span:g}s"
        yield Violation("P5", said, (upstream.silent_since.number, line.number))


def _span(ending: str, stream: StreamStory, known: Known) -> float:
    """Seconds of silence after which a relay is given that ending."""
    if ending == "superseded" or (ending == "cancelled" and stream.believed is not None):
        return known.limits.orphan_grace
    return known.limits.settle_timeout if ending == "cancelled" and stream.stop is not None else known.limits.linger


def no_orphan(line: Line, known: Known) -> Iterator[Violation]:
    """P6: an upstream outlives its last browser by at most 100 ms, and its stream's end by at most `linger`.

    One that is kept for a browser to come back has so long besides. A cancelled stream's has until `settle_timeout`,
    or 2 s once its worker is gone; a superseded one's 2 s; each of silence. Shown: from
    when the guard noticed that the browser had left, and from the end that it observed. Not shown: how long it took to
    notice.
    """
    if line.kind is UpstreamClosed:
        upstream = known.relays.upstream(line.text("upstream"))
        if upstream is not None:
            yield from _orphan(upstream, line, known)


def no_orphan_is_left(known: Known) -> Iterator[Violation]:
    """P6, at the end: no upstream is open that should have been closed."""
    for upstream in known.relays.upstreams():
        yield from _orphan(upstream, known.last, known)


def _orphan(upstream: UpstreamStory, line: Line, known: Known) -> Iterator[Violation]:
    """What is wrong with an upstream that was open until `line`."""
    if upstream.left is not None and line.t - upstream.left.t > _LEFT + upstream.kept:
        said = f"upstream {upstream.story_id} outlived its last browser by {line.t - upstream.left.t:.3f}s"
        yield Violation("P6", said, (upstream.left.number, line.number))
    stream = known.streams.get(upstream.stream_id)
    if stream is None or stream.leaves_since == NEVER or (stream.pending and not stream.is_superseded):
        return
    since = upstream.heard or upstream.opened
    late = line.t - max(stream.leaves_since, since.t) - stream.leaves_within
    if late > SLACK:
        end = stream.ended or stream.doubted
        lines = (*([end.number] if end else []), since.number, line.number)
        said = f"upstream {upstream.story_id} outlived the end of {upstream.stream_id}: {late:.3f}s too long"
        yield Violation("P6", said, tuple(sorted(set(lines))))
