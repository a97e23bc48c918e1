"""Checks promise P11 on a trace: after an accepted Stop the worker was looked for until it was gone.

And no Stop was kept from Hermes without a reason. Each function yields the violations that a line shows.
"""

from collections.abc import Iterator

from proxy.events.cancels import (
    CancelAbandoned,
    CancelAnswered,
    CancelFailed,
    CancelForwarded,
    CancelJudged,
    CancelRepeated,
    CancelSaid,
    CancelSettled,
)
from proxy.events.guard import WorkersListed, WorkersUnknown
from proxy.verify.known import Known
from proxy.verify.lines import Line, Violation
from proxy.verify.starts import EARLY
from proxy.verify.stories import CancelStory, StopStory, StreamStory
from proxy.verify.workers import is_sent_after

_PACE = 3.0
"""Longest allowed time between two looks for a worker, in seconds: from one's end to the next one's beginning."""

_UNDER_WAY = 4.0
"""Seconds that are added where a look may be under way: a cancel once more, and `/health`."""

_ABSORBED = 3.0
"""Longest that a cancel may wait for another one's answer, in seconds; the guard waits for 2, and 1 is for delay."""

_LOOKS = (WorkersListed, WorkersUnknown, CancelRepeated, CancelSaid)
_OF_A_WAIT = (CancelAnswered, CancelJudged, CancelForwarded, CancelFailed, CancelAbandoned)
"""What may end a cancel's waiting for the answer to another one."""


def stop_means_stopped(line: Line, known: Known) -> Iterator[Violation]:
    """P11: an accepted cancel is gone on with until its worker is seen gone, for `stop_timeout` at most.

    Checked: no worker that was believed to be gone is in a later answer, which counts from when its question was asked.
    A cancel counts as settled only after an answer that leaves no worker. Until then the worker is looked for at least
    every `_PACE` seconds, and given up only after `stop_timeout`, or when the session's next turn began. Not checked:
    workers that nobody asked about, or that `/health` lists without a name.
    """
    yield from _ran_on(line, known)
    if line.kind in _LOOKS:
        yield from _late_look(line, known)
    elif line.kind is CancelSettled:
        stream = known.streams.get(line.text("stream"))
        if stream is not None and stream.is_settling:
            yield from _settled(line, stream, known)


def _ran_on(line: Line, known: Known) -> Iterator[Violation]:
    if line.kind is WorkersListed:
        found = list(known.workers.ran_on(line))
    elif line.value("cancelled") is True and line.kind in (CancelSaid, CancelRepeated):
        found = list(_answered_for(line, known))
    else:
        return
    for stream in found:
        if stream.believed is not None:
            said = f"the worker of {stream.stream_id} was taken for gone, and ran on"
            yield Violation("P11", said, (stream.believed.number, line.number))


def _answered_for(line: Line, known: Known) -> Iterator[StreamStory]:
    stream = known.streams.get(line.text("stream"))
    if stream is None or stream.believed is None:
        return
    cancel = known.cancels.get(line.maybe("cancel") or "")
    is_later = line.asked >= stream.believed.t if cancel is None else is_sent_after(cancel, stream.believed)
    if is_later:
        yield stream


def _late_look(line: Line, known: Known) -> Iterator[Violation]:
    for stream in list(known.workers.pursued()):
        is_of_all = line.kind in (WorkersListed, WorkersUnknown)
        if stream.stop is not None and (is_of_all or stream.stream_id == line.text("stream")):
            yield from _unlooked(stream, stream.stop.looked, line, line.asked, _PACE)


def _settled(line: Line, stream: StreamStory, known: Known) -> Iterator[Violation]:
    missing = line.texts("missing") if line.value("missing") else []
    if stream.stop is None or stream.failed_open is not None:
        return
    if "slot_free" in missing:
        yield from _given_up(line, stream, stream.stop, known)
    elif stream.gone is None:
        said = f"the cancel of {stream.stream_id} settled, though nothing showed that its worker was gone"
        yield Violation("P11", said, (stream.stop.accepted.number, line.number))


def _given_up(line: Line, stream: StreamStory, stop: StopStory, known: Known) -> Iterator[Violation]:
    if not stream.is_pursued:
        return
    yield from _unlooked(stream, stop.looked, line, line.t, _PACE + _UNDER_WAY)
    pursued = line.t - stop.accepted.t
    if stop.followed is None and pursued < known.limits.stop_timeout - EARLY:
        said = f"the cancel of {stream.stream_id} was given up after {pursued:.3f}s of {known.limits.stop_timeout:g}s"
        yield Violation("P11", said, (stop.accepted.number, line.number))


def _unlooked(stream: StreamStory, since: Line, line: Line, until: float, limit: float) -> Iterator[Violation]:
    if until - since.t > limit:
        said = f"nobody looked for the worker of {stream.stream_id} for {until - since.t:.3f}s"
        yield Violation("P11", said, (since.number, line.number))


def the_pursuit_goes_on(known: Known) -> Iterator[Violation]:
    """P11, at the end: the workers that were not seen gone are still looked for."""
    for stream in known.workers.pursued():
        if stream.stop is not None:
            yield from _unlooked(stream, stream.stop.looked, known.last, known.last.t, _PACE + _UNDER_WAY)


# -- a Stop that reaches nobody -------------------------------------------------------------------


def no_stop_is_swallowed(line: Line, known: Known) -> Iterator[Violation]:
    """P11: a Stop of a stream that may have a worker reaches the backend.

    Checked: a Stop that was not forwarded is answered only for a reason that the backend had given: the stream had
    ended, its worker was gone, or another accepted cancel of it is being followed. And it waits for `_ABSORBED` at
    most. Not checked: whether the other cancel came from the same caller.
    """
    if line.kind not in _OF_A_WAIT:
        return
    story = known.cancels.get(line.text("cancel"))
    if story is None or story.judged is None or story.failed_open is not None:
        return
    yield from _absorbed(story, line)
    if line.kind is CancelAnswered:
        yield from _answer(line, story, known)


def _answer(line: Line, story: CancelStory, known: Known) -> Iterator[Violation]:
    match line.maybe("verdict"):
        case "forwarded" if story.forwarded is None and story.judged is not None:
            said = f"a cancel of {line.text('stream')} was answered as if it had been forwarded"
            yield Violation("P11", said, (story.judged.number, line.number))
        case "stale":
            yield from _unfounded(line, story, known)
        case "coalesced" | "replayed":
            yield from _misled(line, story, known)


def _unfounded(line: Line, story: CancelStory, known: Known) -> Iterator[Violation]:
    stream = known.streams.get(line.text("stream"))
    if stream is None or story.judged is None or not (known.whole or stream.began is not None):
        return
    is_superseded = stream.doubted is not None and stream.journal is not None
    is_gone = known.workers.shows_none(stream, story.judged)
    told = stream.ended or stream.gone or stream.lost or _own_end(stream.journal)
    if not (told or is_superseded or is_gone):
        said = f"a cancel of {stream.stream_id} was answered stale, though its worker may be there"
        yield Violation("P11", said, (story.judged.number, line.number))


def _own_end(journal: Line | None) -> Line | None:
    return journal if journal is not None and journal.maybe("ending") in ("finished", "failed") else None


def _misled(line: Line, story: CancelStory, known: Known) -> Iterator[Violation]:
    """What is given again is the answer to a cancel that the backend accepted, and that was not given up since."""
    verdict, first = line.text("verdict"), known.cancels.get(line.maybe("first") or "")
    if first is None or story.judged is None or not (known.has_every_cancel or first.judged is not None):
        return
    said = f"a cancel of {line.text('stream')} was answered {verdict} with that of {first.story_id}"
    if not first.is_accepted:
        lines = (*([first.said.number] if first.said else []), story.judged.number, line.number)
        yield Violation("P11", f"{said}, which the backend had not accepted", tuple(sorted(lines)))
    elif story.late_for is not None and not is_sent_after(first, story.late_for):
        lines = (story.late_for.number, story.judged.number, line.number)
        yield Violation("P11", f"{said}, which had been given up", lines)


def _absorbed(story: CancelStory, line: Line) -> Iterator[Violation]:
    first = story.waits_for
    if story.verdict != "coalesce" or story.judged is None or first is None or first.forwarded is None:
        return
    until = first.said.t if first.said is not None else line.t
    waited = until - max(story.judged.t, first.forwarded.t)
    if waited > _ABSORBED:
        said = f"cancel {story.story_id} waited {waited:.3f}s for an answer to {first.story_id}"
        yield Violation("P11", said, (first.forwarded.number, story.judged.number, line.number))


def nothing_is_swallowed(known: Known) -> Iterator[Violation]:
    """P11, at the end of a trace: no cancel still waits for another one's answer for longer than `_ABSORBED`."""
    for story in known.cancels.values():
        if story.over is None and story.forwarded is None:
            yield from _absorbed(story, known.last)
