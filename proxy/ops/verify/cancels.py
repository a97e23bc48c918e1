"""The promises about cancels: P1, P2, P8, P9 and P10."""

from collections.abc import Iterator

from proxy.ops.verify.known import Known
from proxy.ops.verify.lines import Line, Violation

PROMPT = 0.5
"""Seconds in which what follows at once has followed, on however busy a machine."""

_OK = 200
_SHARED = ("coalesced", "replayed")


def no_stale_forward(line: Line, known: Known) -> Iterator[Violation]:
    """P1: a cancel for an ended or superseded stream never reaches the backend.

    Shown: forwards against what the guard itself had observed when it judged; also, that none follows while another
    is under way. Not shown: an end that the guard overlooked.
    """
    if line.event != "cancel_forwarded":
        return
    story = known.cancels.get(line.text("cancel"))
    if story is None or story.judged is None:
        return  # P10's
    stream = line.text("stream")
    if story.judged.text("verdict") != "forward":
        said = f"a cancel of {stream} was judged {story.judged.text('verdict')}, and forwarded"
        yield Violation("P1", said, (story.judged.number, line.number))
    elif story.stale_by is not None:
        lines = (story.stale_by.number, story.judged.number, line.number)
        yield Violation("P1", f"a cancel of {stream} was forwarded, though that had ended", lines)
    elif story.under_way is not None:
        lines = (story.under_way.number, story.judged.number, line.number)
        yield Violation("P1", f"a cancel of {stream} was forwarded while another one was under way", lines)


def honest_answer(line: Line, known: Known) -> Iterator[Violation]:
    """P2: `cancelled: true` is answered only for a cancel of the owner that the backend accepted, until it settled.

    Shown: every true answer against the acceptance, the ends that were observed, and the settling.
    """
    if line.event != "cancel_answered" or line.fields.get("cancelled") is not True:
        return
    stream_id = line.text("stream")
    stream, story = known.streams.get(stream_id), known.cancels.get(line.text("cancel"))
    if known.streams.is_forgotten(stream_id) or (stream is not None and stream.failed_open is not None):
        return  # by P8 the backend's own answer passed
    if stream is None or stream.accepted is None:
        first = known.cancels.get(line.maybe("first") or "")
        if known.whole or (first is not None and first.forwarded is not None):
            said = f"a cancel of {stream_id} was answered true, though the backend accepted none"
            yield Violation("P2", said, (line.number,))
    elif stream.overtaken is not None:
        said = f"a cancel of {stream_id} was answered true, though that had ended before the backend accepted it"
        yield Violation("P2", said, (stream.overtaken.number, stream.accepted.number, line.number))
    elif story is not None and story.late_by is not None and story.late_by is stream.settled:
        said = f"a cancel of {stream_id} that came after its settling was answered true"
        yield Violation("P2", said, (story.late_by.number, line.number))


def transparent_when_unsure(line: Line, known: Known) -> Iterator[Violation]:
    """P8: with no evidence, or on an internal error, the request and its answer pass unchanged.

    Shown: a stale verdict has something that the guard was told behind it, and after an internal error a cancel is
    never answered by a verdict. Not shown: that what passes is unchanged, and errors that are not reported.
    """
    if line.event != "cancel_answered":
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
    """P8, at the end: after an internal error a cancel and a start go on."""
    for kind, stories in (("cancel", known.cancels), ("start", known.starts)):
        for story in stories.values():
            error = story.failed_open
            if error is not None and story.forwarded is None and known.last.t - error.t > PROMPT:
                said = f"{kind} {story.story_id} did not go on after an internal error"
                yield Violation("P8", said, (error.number,))


def no_authority_of_its_own(line: Line, known: Known) -> Iterator[Violation]:
    """P9: a verdict is answered only to a caller to whom the backend would answer.

    Shown: the backend's 200 to the caller's own credentials comes before a stale answer, and before the answer of a
    first cancel by somebody else; any other status is passed on. Not shown: whose credentials they were; `shared` is
    the guard's own word.
    """
    if line.event != "cancel_answered":
        return
    story = known.cancels.get(line.text("cancel"))
    if story is None or story.judged is None:
        return
    stream, verdict = line.text("stream"), line.maybe("verdict")
    needs = verdict == "stale" or (verdict in _SHARED and story.judged.fields.get("shared") is False)
    if needs and story.confirmed is None:
        said = f"a cancel of {stream} was answered {verdict} without asking the backend for this caller"
        yield Violation("P9", said, (story.judged.number, line.number))
    elif story.confirmed is not None and not _is_faithful(story.confirmed, line):
        said = f"a cancel of {stream} was not given the backend's refusal of this caller"
        yield Violation("P9", said, (story.confirmed.number, line.number))


def _is_faithful(confirmed: Line, answered: Line) -> bool:
    status = confirmed.fields.get("status")
    return status == _OK or (answered.maybe("verdict") is None and answered.fields.get("status") == status)


def disconnect_is_not_cancel(line: Line, known: Known) -> Iterator[Violation]:
    """P10: a browser that goes away ends its relay, never the turn.

    Shown: every cancel that reaches the backend is one that a caller asked for, once. Starts whose browser has left
    are P7's: they go on all the same. Not shown: that a caller really asked.
    """
    if line.event != "cancel_forwarded":
        return
    story = known.cancels.get(line.text("cancel"))
    if story is not None and story.forwarded is not None:
        said = f"cancel {story.story_id} reached the backend twice"
        yield Violation("P10", said, (story.forwarded.number, line.number))
    elif (story is None or story.judged is None) and known.saw_begin(line, PROMPT):
        lines = (*_left(line.text("stream"), known), line.number)
        yield Violation("P10", f"a cancel of {line.text('stream')} was forwarded that nobody had asked for", lines)


def _left(stream_id: str, known: Known) -> tuple[int, ...]:
    """A browser of the stream that has just gone away: the likely cause."""
    relays = (relay for relay in known.relays.values() if relay.stream_id == stream_id)
    return tuple(relay.left.number for relay in relays if relay.left is not None)[-1:]
