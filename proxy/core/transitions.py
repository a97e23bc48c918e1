"""The one place where a belief changes: `(record, observation) -> (record', effects)`.

`TRANSITIONS` lists what every observation of a stream means in every state of it (None: a stream not known yet). A
pair that is not listed cannot happen while verdicts are asked for first, and raises.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from proxy.core import observations as seen
from proxy.core.effects import Effect, EndRelays, MoveStreams, Settled, WatchSettling
from proxy.core.observations import Observation, StreamObservation
from proxy.core.records import Cancel, Ending, SessionRecord, Slot, SlotFreedBy, StreamRecord, StreamState

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


class TransitionError(Exception):
    """An observation that makes no sense in the stream's state: a fault of the shell, not of a user."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A record after an observation, and what the shell has to do about it."""

    record: SessionRecord
    effects: tuple[Effect, ...] = ()


class Step(Protocol):
    """What one observation means for one stream in one state."""

    def __call__(self, record: SessionRecord, stream: Any, observation: Any, /) -> Transition:
        """The transition; `stream` is None where the table says None."""


def apply(record: SessionRecord, observation: Observation) -> Transition:
    """The record after `observation`, and the effects.

    Raises:
        TransitionError: the pair of state and observation is not in `TRANSITIONS`.
    """
    match observation:
        case seen.BackendRestarted():
            return _lose_running(record, observation)
        case seen.SessionRotated(new_session_id=new):
            return _rotate(record, new)
        case seen.StreamsAdopted(streams=streams):
            return _adopt(record, streams)
        case _:
            return _step(record, observation)


def _step(record: SessionRecord, observation: StreamObservation) -> Transition:
    stream = record.stream(observation.stream_id)
    state = stream.state if stream else None
    step = TRANSITIONS.get((state, type(observation)))
    if step is None:
        raise TransitionError(f"{type(observation).__name__} in state {state} of {observation.stream_id}")
    return step(record, stream, observation)


# -- turns ----------------------------------------------------------------------------------------


def _keep(record: SessionRecord, _stream: StreamRecord | None, _seen: StreamObservation) -> Transition:
    return Transition(record)


def _begin(record: SessionRecord, _none: None, started: seen.TurnStarted | seen.StartConflicted) -> Transition:
    started_at = started.at if isinstance(started, seen.TurnStarted) else None
    return _own(record, StreamRecord(started.stream_id, RUNNING, started.at, started_at=started_at, began=started.at))


def _prove(
    record: SessionRecord, stream: StreamRecord, _started: seen.TurnStarted | seen.StartConflicted
) -> Transition:
    """A stream that was known only from a caller's cancel turns out to be the session's."""
    return Transition(record) if stream.proven else _own(record, replace(stream, proven=True))


def _own(record: SessionRecord, stream: StreamRecord) -> Transition:
    """`stream` owns the session from now on; a previous owner that has not ended is superseded."""
    effects: list[Effect] = []
    for other in record.streams:
        if other.state is not ENDED and other.proven and other.stream_id != stream.stream_id:
            superseded, more = _supersede(other, stream.since)
            record = record.put(superseded)
            effects += more
    record = replace(record.drop(stream.stream_id), moved_to=None).put(stream)
    return Transition(record, tuple(effects))


def _supersede(stream: StreamRecord, at: float) -> tuple[StreamRecord, tuple[Effect, ...]]:
    end_relays = EndRelays(stream.stream_id)
    if stream.state is CANCEL_SENT:
        return replace(stream, ending=stream.ending or Ending.SUPERSEDED), (end_relays,)
    if stream.cancel is None:
        return replace(stream, state=ENDED, since=at, ending=Ending.SUPERSEDED), (end_relays,)
    # The backend would not have accepted the next turn with the slot taken, or cannot be helped any more.
    cancel = stream.cancel.freed(at, SlotFreedBy.NEXT_START)
    ended = _ended(replace(stream, cancel=cancel), at, Ending.CANCELLED)
    return ended, (end_relays, _settled(ended))


def _lose_running(record: SessionRecord, restarted: seen.BackendRestarted) -> Transition:
    effects: list[Effect] = []
    for stream in record.streams:
        if stream.state is ENDED or stream.since > restarted.at:
            continue
        if stream.state is CANCEL_SENT:
            record = record.put(replace(stream, ending=stream.ending or Ending.LOST))
            continue
        lost, more = _lose(stream, restarted.at)
        record = record.put(lost)
        effects += more
    return Transition(record, tuple(effects))


def _lose(stream: StreamRecord, at: float) -> tuple[StreamRecord, tuple[Effect, ...]]:
    end_relays = EndRelays(stream.stream_id)
    if stream.cancel is None:
        return _ended(stream, at, Ending.LOST), (end_relays,)
    cancel = stream.cancel.freed(at, SlotFreedBy.RESTART)
    ended = _ended(replace(stream, cancel=cancel), at, Ending.CANCELLED)
    return ended, (end_relays, _settled(ended))


def _rotate(record: SessionRecord, new_session_id: str) -> Transition:
    told_before = record.moved_to == new_session_id and not record.streams
    if new_session_id == record.session_id or told_before:
        return Transition(record)
    moved = SessionRecord(record.session_id, moved_to=new_session_id)
    return Transition(moved, (MoveStreams(new_session_id, record.streams),))


def _adopt(record: SessionRecord, adopted: tuple[StreamRecord, ...]) -> Transition:
    """The streams of both in the order in which they began; the last that lives supersedes the others."""
    theirs = {stream.stream_id for stream in adopted}
    own = (stream for stream in record.streams if stream.stream_id not in theirs)
    merged = SessionRecord(record.session_id)
    for stream in sorted((*adopted, *own), key=lambda stream: stream.began):
        merged = merged.put(stream)
    return _own(merged, merged.owner) if merged.owner else Transition(merged)


# -- ends -----------------------------------------------------------------------------------------


def _ended(stream: StreamRecord, at: float, ending: Ending) -> StreamRecord:
    return replace(stream, state=ENDED, since=at, ending=stream.ending or ending)


def _end(record: SessionRecord, stream: StreamRecord, end: seen.StreamEnded) -> Transition:
    return Transition(record.put(_ended(stream, end.at, end.ending)), (EndRelays(stream.stream_id),))


def _end_unknown(record: SessionRecord, _none: None, end: seen.StreamEnded) -> Transition:
    ended = StreamRecord(end.stream_id, ENDED, end.at, end.ending, began=end.at)
    return Transition(record.put(ended), (EndRelays(end.stream_id),))


def _note_end(record: SessionRecord, stream: StreamRecord, end: seen.StreamEnded) -> Transition:
    """While a cancel is under way the stream's end is noted; the cancel's own end decides."""
    return Transition(record.put(replace(stream, ending=stream.ending or end.ending, proven=True)))


def _refine(record: SessionRecord, stream: StreamRecord, end: seen.StreamEnded) -> Transition:
    if stream.ending in (Ending.UNKNOWN, Ending.LOST):
        record = record.put(replace(stream, ending=end.ending))
    return Transition(record)


def _miss(record: SessionRecord, stream: StreamRecord, missing: seen.StreamMissing) -> Transition:
    if missing.asked < stream.since:
        return Transition(record)
    return _end(record, stream, seen.StreamEnded(missing.at, stream.stream_id, Ending.LOST))


# -- status ---------------------------------------------------------------------------------------


def _status_of_unknown(record: SessionRecord, _none: None, status: seen.StatusSeen) -> Transition:
    if status.active:
        return _run(record, status)
    if status.ending is None:
        return Transition(record)
    ended = StreamRecord(status.stream_id, ENDED, status.at, status.ending, began=status.asked)
    return Transition(record.put(ended), (EndRelays(status.stream_id),))


def _run(record: SessionRecord, status: seen.StatusSeen) -> Transition:
    """The stream runs, unless another came to own the session after the question."""
    if record.owner and record.owner.since > status.asked:
        return Transition(record)
    return _own(record, StreamRecord(status.stream_id, RUNNING, status.asked, began=status.asked))


def _status_under_cancel(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """An end that the journal holds is noted; `active` either way says nothing (F3)."""
    if status.ending is None:
        return Transition(record)
    return _note_end(record, stream, seen.StreamEnded(status.at, stream.stream_id, status.ending))


def _status_of_running(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    """`active: false` alone proves nothing (F3); only a terminal event in the journal does."""
    if status.active or status.ending is None or status.asked < stream.since:
        return Transition(record)
    return _end(record, stream, seen.StreamEnded(status.at, stream.stream_id, status.ending))


def _status_of_ended(record: SessionRecord, stream: StreamRecord, status: seen.StatusSeen) -> Transition:
    if status.asked < stream.since:
        return Transition(record)
    if status.active:
        return _run(record, status)
    ending = status.ending or Ending.LOST
    return _refine(record, stream, seen.StreamEnded(status.at, stream.stream_id, ending))


# -- cancels --------------------------------------------------------------------------------------


def _send_cancel(record: SessionRecord, stream: StreamRecord | None, sent: seen.CancelSent) -> Transition:
    known = stream or StreamRecord(sent.stream_id, RUNNING, sent.at, proven=False, began=sent.at)
    cancel = Cancel(sent.cancel_id, sent.credentials, sent.at)
    return Transition(record.put(replace(known, state=CANCEL_SENT, since=sent.at, cancel=cancel)))


def _accept(record: SessionRecord, stream: StreamRecord, accepted: seen.CancelAccepted) -> Transition:
    overtaken_by = None if stream.ending is Ending.CANCELLED else stream.ending
    cancel = replace(_cancel(stream), acked_at=accepted.at, overtaken_by=overtaken_by)
    settling = replace(stream, state=SETTLING, since=accepted.at, cancel=cancel, proven=True)
    effects = (WatchSettling(stream.stream_id, cancel), EndRelays(stream.stream_id))
    return Transition(record.put(settling), effects)


def _refuse(record: SessionRecord, stream: StreamRecord, refused: seen.CancelRefused) -> Transition:
    if not stream.proven:
        return Transition(record.drop(stream.stream_id))
    ended = _ended(replace(stream, cancel=None), refused.at, Ending.UNKNOWN)
    return Transition(record.put(ended), (EndRelays(stream.stream_id),))


def _fail(record: SessionRecord, stream: StreamRecord, failed: seen.CancelFailed) -> Transition:
    """The cancel said nothing about the stream: what was believed before it holds again."""
    if not stream.proven:
        return Transition(record.drop(stream.stream_id))
    if stream.ending is not None:
        return _refuse(record, stream, seen.CancelRefused(failed.at, failed.stream_id))
    return Transition(record.put(replace(stream, state=RUNNING, since=failed.at, cancel=None)))


# -- settling -------------------------------------------------------------------------------------


def _relays_ended(record: SessionRecord, stream: StreamRecord, ended: seen.RelaysEnded) -> Transition:
    return _settle(record, stream, replace(_cancel(stream), terminal_at=ended.at), ended.at)


def _answered(record: SessionRecord, stream: StreamRecord, answered: seen.CancelAnswered) -> Transition:
    return _settle(record, stream, replace(_cancel(stream), answered_at=answered.at), answered.at)


def _slot_seen(record: SessionRecord, stream: StreamRecord, slot: seen.SlotSeen) -> Transition:
    cancel = _cancel(stream)
    free = slot.slot is Slot.FREE
    seen_so = cancel.freed(slot.at, SlotFreedBy.HEALTH) if free else replace(cancel, slot=slot.slot)
    return _settle(record, stream, seen_so, slot.at)


def _settle(record: SessionRecord, stream: StreamRecord, cancel: Cancel, at: float) -> Transition:
    settling = replace(stream, cancel=cancel)
    if cancel.missing:
        return Transition(record.put(settling))
    ended = _ended(settling, at, Ending.CANCELLED)
    return Transition(record.put(ended), (_settled(ended),))


def _time_out(record: SessionRecord, stream: StreamRecord, timeout: seen.SettleTimedOut) -> Transition:
    ended = _ended(stream, timeout.at, Ending.CANCELLED)
    return Transition(record.put(ended), (EndRelays(stream.stream_id), _settled(ended)))


def _settled(stream: StreamRecord) -> Settled:
    return Settled(stream.stream_id, _cancel(stream), stream.ending or Ending.CANCELLED)


def _cancel(stream: StreamRecord) -> Cancel:
    if stream.cancel is None:
        raise TransitionError(f"{stream.stream_id} is {stream.state.value} without a cancel")
    return stream.cancel


TRANSITIONS: dict[tuple[StreamState | None, type[StreamObservation]], Step] = {
    (None, seen.TurnStarted): _begin,
    (RUNNING, seen.TurnStarted): _keep,
    (CANCEL_SENT, seen.TurnStarted): _prove,
    (SETTLING, seen.TurnStarted): _keep,
    (ENDED, seen.TurnStarted): _keep,
    (None, seen.StartConflicted): _begin,
    (RUNNING, seen.StartConflicted): _keep,
    (CANCEL_SENT, seen.StartConflicted): _prove,
    (
        SETTLING,
        seen.StartConflicted,
    ): _keep,  # F2: the backend still names the stream it is cancelling
    (ENDED, seen.StartConflicted): _keep,  # F2
    (None, seen.StreamEnded): _end_unknown,
    (RUNNING, seen.StreamEnded): _end,
    (CANCEL_SENT, seen.StreamEnded): _note_end,  # F5: the event may overtake the answer
    (SETTLING, seen.StreamEnded): _note_end,
    (ENDED, seen.StreamEnded): _refine,
    (None, seen.StatusSeen): _status_of_unknown,
    (RUNNING, seen.StatusSeen): _status_of_running,
    (CANCEL_SENT, seen.StatusSeen): _status_under_cancel,
    (SETTLING, seen.StatusSeen): _keep,  # F3: a cancelled stream leaves the backend's table at once
    (ENDED, seen.StatusSeen): _status_of_ended,
    (None, seen.StreamMissing): _keep,
    (RUNNING, seen.StreamMissing): _miss,
    (CANCEL_SENT, seen.StreamMissing): _keep,
    (SETTLING, seen.StreamMissing): _keep,
    (ENDED, seen.StreamMissing): _keep,
    (None, seen.CancelSent): _send_cancel,
    (RUNNING, seen.CancelSent): _send_cancel,
    (CANCEL_SENT, seen.CancelAccepted): _accept,
    (CANCEL_SENT, seen.CancelRefused): _refuse,
    (CANCEL_SENT, seen.CancelFailed): _fail,
    (None, seen.RelaysEnded): _keep,
    (RUNNING, seen.RelaysEnded): _keep,
    (CANCEL_SENT, seen.RelaysEnded): _keep,
    (SETTLING, seen.RelaysEnded): _relays_ended,
    (ENDED, seen.RelaysEnded): _keep,
    (None, seen.CancelAnswered): _keep,
    (RUNNING, seen.CancelAnswered): _keep,
    (CANCEL_SENT, seen.CancelAnswered): _keep,
    (SETTLING, seen.CancelAnswered): _answered,
    (ENDED, seen.CancelAnswered): _keep,
    (None, seen.SlotSeen): _keep,
    (RUNNING, seen.SlotSeen): _keep,
    (CANCEL_SENT, seen.SlotSeen): _keep,
    (SETTLING, seen.SlotSeen): _slot_seen,
    (ENDED, seen.SlotSeen): _keep,
    (None, seen.SettleTimedOut): _keep,
    (RUNNING, seen.SettleTimedOut): _keep,
    (CANCEL_SENT, seen.SettleTimedOut): _keep,
    (SETTLING, seen.SettleTimedOut): _time_out,
    (ENDED, seen.SettleTimedOut): _keep,
}
