"""What is seen of a session's turns: their begin, their end, and what the backend says of them.

Each function is a step of `proxy.core.transitions`: `(record, stream, observation) -> Transition`.
"""

from dataclasses import replace

from proxy.core import observations as seen
from proxy.core.effects import Effect, EndRelays, MoveStreams, Transition
from proxy.core.records import Ending, SessionRecord, SlotFreedBy, StreamRecord, StreamState
from proxy.core.stops import settled

RUNNING, CANCEL_SENT, _, ENDED = StreamState


def begin(record: SessionRecord, _none: None, started: seen.TurnStarted) -> Transition:
    """A turn begins."""
    stream = StreamRecord(started.stream_id, RUNNING, started.at, started_at=started.at, began=started.at)
    return _own(record, replace(stream, hosted=started.hosted, stamp=started.stamp, took=started.took))


def begin_named(record: SessionRecord, _none: None, conflict: seen.StartConflicted) -> Transition:
    """A 409 names a turn that runs."""
    return _own(record, StreamRecord(conflict.stream_id, RUNNING, conflict.at, began=conflict.at))


def prove(record: SessionRecord, stream: StreamRecord, _named: seen.StartConflicted) -> Transition:
    """A stream that was known only from a caller's cancel turns out to be the session's."""
    return Transition(record) if stream.proven else _own(record, replace(stream, proven=True))


def complete(record: SessionRecord, stream: StreamRecord, started: seen.TurnStarted) -> Transition:
    """The start of a stream that is known already tells more of it."""
    known = replace(
        stream,
        started_at=_first(stream.started_at, started.at),
        hosted=stream.hosted if stream.hosted is not None else started.hosted,
        stamp=_first(stream.stamp, started.stamp),
        took=_first(stream.took, started.took),
        proven=True,
    )
    return Transition(record.put(known)) if stream.proven else _own(record, known)


def _first(known: float | None, told: float | None) -> float | None:
    return told if known is None else known


def _own(record: SessionRecord, stream: StreamRecord) -> Transition:
    """`stream` owns the session from now on; a previous owner that has not ended is superseded.

    Where a runner runs the turns, one begins beside the other, and neither ends by that (F20).
    """
    effects: list[Effect] = []
    for other in record.streams if stream.hosted is not False else ():
        if other.state is not ENDED and other.proven and other.stream_id != stream.stream_id:
            superseded, more = _supersede(other, stream.since)
            record = record.put(superseded)
            effects += more
    record = replace(record.drop(stream.stream_id), moved_to=None).put(stream)
    return Transition(record, tuple(effects))


def _supersede(stream: StreamRecord, at: float) -> tuple[StreamRecord, tuple[Effect, ...]]:
    end_relays = EndRelays(stream.stream_id)
    if stream.state is CANCEL_SENT:
        return stream.hearing_of(Ending.SUPERSEDED, at), (end_relays,)
    if stream.cancel is None:
        return replace(stream, state=ENDED, since=at, ending=Ending.SUPERSEDED), (end_relays,)
    if stream.since > at:  # the new turn began before the cancel was accepted, and proves nothing about this worker
        return stream.hearing_of(Ending.SUPERSEDED, at), (end_relays,)
    ended = stream.ended(at, Ending.CANCELLED)  # the Stop is closed here, though its worker may still run
    return ended, (end_relays, settled(ended))


def lose_running(record: SessionRecord, restarted: seen.BackendRestarted) -> Transition:
    """What the backend ran is lost; what a runner runs is not (F20).

    Of what had ended before, only that no worker is there is noted. A cancel that is not answered yet notes the end,
    and waits for its answer.
    """
    effects: list[Effect] = []
    for stream in record.streams:
        if stream.hosted is False or stream.since > restarted.at:
            continue
        if stream.state is ENDED:
            record = record.put(replace(stream, gone=stream.gone or stream.may_have_worker))
            continue
        if stream.state is CANCEL_SENT:
            record = record.put(replace(stream.hearing_of(Ending.LOST, restarted.at), gone=True))
            continue
        lost, more = _lose(stream, restarted.at)
        record = record.put(lost)
        effects += more
    return Transition(record, tuple(effects))


def _lose(stream: StreamRecord, at: float) -> tuple[StreamRecord, tuple[Effect, ...]]:
    end_relays = EndRelays(stream.stream_id)
    if stream.cancel is None:
        return stream.ended(at, Ending.LOST), (end_relays,)
    cancel = stream.cancel.freed(at, SlotFreedBy.RESTART)
    ended = replace(stream, cancel=cancel).ended(at, Ending.CANCELLED)
    return ended, (end_relays, settled(ended))


def rotate(record: SessionRecord, new_session_id: str) -> Transition:
    """The conversation goes on under another id."""
    told_before = record.moved_to == new_session_id and not record.streams
    if new_session_id == record.session_id or told_before:
        return Transition(record)
    moved = SessionRecord(record.session_id, moved_to=new_session_id)
    return Transition(moved, (MoveStreams(new_session_id, record.streams),))


def adopt(record: SessionRecord, adopted: tuple[StreamRecord, ...]) -> Transition:
    """Merges two sessions that turned out to be one. The newest stream that runs supersedes the others.

    Of two that began at the same time, which a real clock hardly shows, the adopted one counts as the newer.
    """
    if not adopted:
        return Transition(replace(record, moved_to=None))
    theirs = {stream.stream_id for stream in adopted}
    own = (stream for stream in record.streams if stream.stream_id not in theirs)
    merged = SessionRecord(record.session_id)
    for stream in sorted((*own, *adopted), key=lambda stream: stream.began):
        merged = merged.put(stream)
    return _own(merged, merged.owner) if merged.owner else Transition(merged)


# -- ends -----------------------------------------------------------------------------------------


def end(record: SessionRecord, stream: StreamRecord, seen_end: seen.StreamEnded) -> Transition:
    """The stream has ended."""
    return Transition(record.put(stream.ended(seen_end.at, seen_end.ending)), (EndRelays(stream.stream_id),))


def end_unknown(record: SessionRecord, _none: None, end: seen.StreamEnded) -> Transition:
    """A stream that nobody knew has ended."""
    ended = StreamRecord(end.stream_id, ENDED, end.at, end.ending, began=end.at)
    return Transition(record.put(ended), (EndRelays(end.stream_id),))


def note_end(record: SessionRecord, stream: StreamRecord, end: seen.StreamEnded) -> Transition:
    """An end during a cancel is only noted: the stream has ended once the cancel is answered or settled."""
    return Transition(record.put(replace(stream.hearing_of(end.ending, end.at), proven=True)))


def refine(record: SessionRecord, stream: StreamRecord, end: seen.StreamEnded) -> Transition:
    """The stream was known to be over; now it is learned how it ended."""
    if stream.ending in (Ending.UNKNOWN, Ending.LOST):
        return Transition(record.put(replace(stream, ending=end.ending, gone=True)))
    return Transition(record.put(stream.hearing_of(end.ending, end.at)))


def miss(record: SessionRecord, stream: StreamRecord, missing: seen.StreamMissing) -> Transition:
    """The backend does not know the stream: it is lost."""
    if missing.asked < stream.since:
        return Transition(record)
    return end(record, stream, seen.StreamEnded(missing.at, stream.stream_id, Ending.LOST))


def hear(record: SessionRecord, stream: StreamRecord, spoke: seen.StreamSpoke) -> Transition:
    """Notes the first output: the agent listens from now on (F13).

    Any output shows that the turn still runs, so that a doubtful ending (superseded, lost, unknown) is taken back.
    """
    first = stream.spoke_at if stream.spoke_at is not None else spoke.at
    if stream.is_doubtful:
        stream = replace(stream, ending=None, gone=False)
    return Transition(record.put(replace(stream, spoke_at=first)))


def revive(record: SessionRecord, stream: StreamRecord, spoke: seen.StreamSpoke) -> Transition:
    """It was believed to be over without proof, and says something: it runs (F20)."""
    if not stream.is_uncertain:
        return Transition(record)
    return hear(record, stream.running(spoke.at), spoke)


# -- status ---------------------------------------------------------------------------------------


def status_of_unknown(record: SessionRecord, _none: None, status: seen.StatusSeen) -> Transition:
    """What the backend says of a stream that nobody knew."""
    if status.active:
        return _run(record, StreamRecord(status.stream_id, RUNNING, status.asked, began=status.asked), status)
    if status.ending is None:
        return Transition(record)
    ended = StreamRecord(status.stream_id, ENDED, status.at, status.ending, began=status.asked)
    return Transition(record.put(ended), (EndRelays(status.stream_id),))


def _run(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """The stream runs, unless another came to own the session after the question."""
    if record.owner and record.owner.since > status.asked:
        return Transition(record)
    return _own(record, stream.running(status.asked))


def status_under_cancel(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """An end that the journal holds is noted; `active: false` says nothing (F3), `active: true` that it has not ended.

    It says nothing of the cancel, which may be lost (F13).
    """
    if status.active and status.asked >= stream.since and stream.ending is not Ending.CANCELLED:
        return Transition(record.put(replace(stream, ending=None, told=False, gone=False)))
    return status_of_settling(record, stream, status)


def status_of_settling(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """An end that the journal holds is noted; `active` either way says nothing (F3)."""
    if status.active or status.ending is None:
        return Transition(record)
    return note_end(record, stream, seen.StreamEnded(status.at, stream.stream_id, status.ending))


def status_of_running(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """`active: false` alone proves nothing (F3); only a terminal event in the journal does."""
    if status.active or status.ending is None or status.asked < stream.since:
        return Transition(record)
    return end(record, stream, seen.StreamEnded(status.at, stream.stream_id, status.ending))


def status_of_ended(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """An answer to a question that was asked since it ended: it runs after all, or its journal tells how it ended."""
    if status.asked < stream.since:
        return Transition(record)
    if status.active:
        return _run(record, stream, status)
    if status.ending is None:
        return Transition(record)
    return refine(record, stream, seen.StreamEnded(status.at, stream.stream_id, status.ending))
