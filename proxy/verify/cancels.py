"""The promises about cancels: P1, P2, P8, P9 and P10."""

from collections.abc import Iterator

from proxy.events.cancels import CancelAnswered, CancelForwarded, CancelRepeated
from proxy.events.relays import UpstreamHeard
from proxy.verify.feeds import speaks_since
from proxy.verify.known import DOUBTFUL, Known
from proxy.verify.lines import Line, Violation
from proxy.verify.stories import CancelStory, StreamStory
from proxy.verify.workers import is_after

PROMPT = 0.5
"""Seconds in which what follows at once has followed, on however busy a machine."""

_OK = 200
_SHARED = ("coalesced", "replayed")


def no_stale_forward(line: Line, known: Known) -> Iterator[Violation]:
    """P1: a cancel for a stream that has ended never reaches the backend.

    Shown: forwards, and the guard's own repetitions, against what the backend had said by then: an end of the stream's
    own, or that its worker was gone. While a cancel of it is under way, or has been given up, a further one is right
    (P11). Not shown: an end that the guard overlooked.
    """
    if line.kind is CancelRepeated:
        yield from _repeated_too_late(line, known)
    if line.kind is not CancelForwarded:
        return
    story = known.cancels.get(line.text("cancel"))
    if story is None or story.judged is None:
        return  # P10's
    stream = line.text("stream")
    if story.verdict == "coalesce":
        said = f"a cancel of {stream} was judged coalesce, and forwarded"
        yield Violation("P1", said, (story.judged.number, line.number))
    elif story.stale_by is not None:
        lines = (story.stale_by.number, story.judged.number, line.number)
        yield Violation("P1", f"a cancel of {stream} was forwarded, though that had ended", lines)


def _repeated_too_late(line: Line, known: Known) -> Iterator[Violation]:
    stream = known.streams.get(line.text("stream"))
    if stream is not None and stream.gone is not None and is_after(line, stream.believed):
        lines = (stream.gone.number, line.number)
        said = f"a cancel of {stream.stream_id} was repeated, though its worker had been seen gone"
        yield Violation("P1", said, lines)


def honest_answer(line: Line, known: Known) -> Iterator[Violation]:
    """P2: `cancelled: true` is answered only for a cancel of the owner that the backend accepted, until it settled.

    Shown: every answer against what the backend said to that cancel, or to the one whose answer it is given, the ends
    that were observed, and the settling; also, that a stream that is called over says nothing more.
    """
    if line.kind is UpstreamHeard:
        yield from _called_over(line, known)
    if line.kind is not CancelAnswered:
        return
    stream = known.streams.get(line.text("stream"))
    story = known.cancels.get(line.text("cancel"))
    first = known.cancels.get(line.maybe("first") or "")
    yield from _spoke_before(line, stream)
    if known.streams.is_forgotten(line.text("stream")) or (stream is not None and stream.failed_open is not None):
        return  # by P8 the backend's own answer passed
    if line.value("cancelled") is True:
        yield from _not_true(line, stream, story, first, known)
    elif line.value("cancelled") is False and stream is not None and story is not None:
        yield from _not_false(line, stream, story)


def _not_true(
    line: Line, stream: StreamStory | None, story: CancelStory | None, first: CancelStory | None, known: Known
) -> Iterator[Violation]:
    of = line.text("stream")
    if first is None or not first.is_accepted:
        if known.has_every_cancel or (first is not None and first.forwarded is not None):
            said = f"a cancel of {of} was answered true, though the backend accepted none"
            yield Violation("P2", said, (line.number,))
    elif stream is None or story is None or first.said is None:
        return
    elif stream.overtaken is not None and stream.stop is not None:
        said = f"a cancel of {of} was answered true, though that had ended before the backend accepted it"
        yield Violation("P2", said, (stream.overtaken.number, first.said.number, line.number))
    elif story.late_by is not None and story.late_by is stream.settled and not story.is_accepted:
        said = f"a cancel of {of} that came after its settling was answered true"
        yield Violation("P2", said, (story.late_by.number, line.number))


def _not_false(line: Line, stream: StreamStory, story: CancelStory) -> Iterator[Violation]:
    """The backend's `true` is passed on, unless something told that the turn was over before."""
    if story.said is not None and story.is_accepted and not (stream.overtaken or stream.hinted):
        said = f"a cancel of {stream.stream_id} was answered false, though the backend accepted it"
        yield Violation("P2", said, (story.said.number, line.number))


def _spoke_before(line: Line, stream: StreamStory | None) -> Iterator[Violation]:
    reason = line.maybe("reason")
    if stream is not None and stream.doubted is not None and stream.spoke is not None and reason in DOUBTFUL:
        said = f"{stream.stream_id} was called {reason}, though it had gone on since it was taken for that"
        yield Violation("P2", said, (stream.doubted.number, stream.spoke.number, line.number))


def _called_over(line: Line, known: Known) -> Iterator[Violation]:
    upstream = known.relays.upstream(line.text("upstream"))
    stream = known.streams.get(line.maybe("stream"))
    if upstream is None or stream is None or stream.called is None or not speaks_since(upstream, line, stream.called):
        return
    said = f"{stream.stream_id} was called {stream.called.text('reason')}, and went on"
    yield Violation("P2", said, (stream.called.number, line.number))


def transparent_when_unsure(line: Line, known: Known) -> Iterator[Violation]:
    """P8: with no evidence, or on an internal error, the request and its answer pass unchanged.

    Shown: a stale verdict has something that the guard was told behind it, and after an internal error a cancel is
    never answered by a verdict. Not shown: that what passes is unchanged, and errors that are not reported.
    """
    if line.kind is not CancelAnswered:
        return
    stream_id, story = line.text("stream"), known.cancels.get(line.text("cancel"))
    verdict = line.maybe("verdict")
    if story is not None and story.failed_open is not None and verdict in ("stale", *_SHARED):
        lines = (story.failed_open.number, line.number)
        yield Violation("P8", f"a cancel of {stream_id} was answered {verdict} after an internal error", lines)
    stream = known.streams.get(stream_id)
    is_unfounded = not known.streams.is_forgotten(stream_id) and (stream is None or not stream.hinted)
    if verdict == "stale" and known.whole and is_unfounded:
        yield Violation("P8", f"a cancel of {stream_id} was refused with no evidence of its end", (line.number,))


def errors_fail_open(known: Known) -> Iterator[Violation]:
    """P8, at the end: after an internal error a cancel, a start and a change go on."""
    for kind, stories in (("cancel", known.cancels), ("start", known.starts), ("change", known.changes)):
        for story in stories.values():
            error = story.failed_open
            if error is not None and story.forwarded is None and known.last.t - error.t > PROMPT:
                said = f"{kind} {story.story_id} did not go on after an internal error"
                yield Violation("P8", said, (error.number,))


def no_authority_of_its_own(line: Line, known: Known) -> Iterator[Violation]:
    """P9: a verdict is answered only to a caller to whom the backend would answer.

    Shown: the backend's 200 to the caller's own credentials comes before a stale answer, and before the answer of a
    first cancel that is given again later, or to somebody else; any other status is passed on. Not shown: whose
    credentials they were; `shared` is the guard's own word.
    """
    if line.kind is not CancelAnswered:
        return
    story = known.cancels.get(line.text("cancel"))
    if story is None or story.judged is None:
        return
    stream, verdict = line.text("stream"), line.maybe("verdict")
    is_strange = verdict == "coalesced" and story.judged.value("shared") is False
    needs = verdict in ("stale", "replayed") or is_strange
    if needs and story.confirmed is None and not _is_known(story):
        said = f"a cancel of {stream} was answered {verdict} without asking the backend for this caller"
        yield Violation("P9", said, (story.judged.number, line.number))
    elif story.confirmed is not None and not _is_faithful(story.confirmed, line):
        said = f"a cancel of {stream} was not given the backend's refusal of this caller"
        yield Violation("P9", said, (story.confirmed.number, line.number))


def _is_known(story: CancelStory) -> bool:
    """Whether the backend answered a cancel with the caller's credentials."""
    return story.said is not None and story.said.value("status") == _OK


def _is_faithful(confirmed: Line, answered: Line) -> bool:
    status = confirmed.value("status")
    return status == _OK or (answered.maybe("verdict") is None and answered.value("status") == status)


def disconnect_is_not_cancel(line: Line, known: Known) -> Iterator[Violation]:
    """P10: a browser that goes away ends its relay, never the turn.

    Shown: every cancel that reaches the backend is one that a caller asked for, once, or repeats one that the backend
    accepted, until its worker was gone or it was given up. Starts whose browser has left are P7's: they go on all the
    same. Not shown: that a caller really asked.
    """
    if line.kind is CancelRepeated:
        yield from _repeated_for_nobody(line, known)
    if line.kind is not CancelForwarded:
        return
    story = known.cancels.get(line.text("cancel"))
    if story is not None and story.forwarded is not None:
        said = f"cancel {story.story_id} reached the backend twice"
        yield Violation("P10", said, (story.forwarded.number, line.number))
    elif (story is None or story.judged is None) and known.saw_begin(line, PROMPT):
        lines = (*_left(line.text("stream"), known), line.number)
        yield Violation("P10", f"a cancel of {line.text('stream')} was forwarded that nobody had asked for", lines)


def _repeated_for_nobody(line: Line, known: Known) -> Iterator[Violation]:
    stream = known.streams.get(line.text("stream"))
    stop = stream.stop if stream else None
    if stop is None and known.saw_begin(line, 2 * (known.limits.settling + PROMPT)):
        said = f"a cancel of {line.text('stream')} was repeated that the backend had never accepted"
        yield Violation("P10", said, (line.number,))
    elif stop is not None and stop.is_given_up and is_after(line, stop.over):
        lines = (stop.accepted.number, line.number)
        yield Violation("P10", f"a cancel of {line.text('stream')} was repeated after it had been given up", lines)


def _left(stream_id: str, known: Known) -> tuple[int, ...]:
    """A browser of the stream that has just gone away: the likely cause."""
    relays = known.relays.of_stream(stream_id)
    return tuple(relay.left.number for relay in relays if relay.left is not None)[-1:]
