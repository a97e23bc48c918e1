"""The life of a cancel: sent, answered, repeated, until its worker is gone and everybody has been told.

Each function but the last two is a step of `proxy.core.transitions`: `(record, stream, observation) -> Transition`.
"""

from dataclasses import replace

from proxy.core import observations as seen
from proxy.core.effects import EndRelays, PursueStop, Settled, Transition, TransitionError
from proxy.core.records import Cancel, Ending, SessionRecord, Slot, SlotFreedBy, StreamRecord, StreamState

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


def send_cancel(record: SessionRecord, stream: StreamRecord | None, sent: seen.CancelSent) -> Transition:
    """A caller's cancel goes to the backend. That proves nothing: the evidence is as old as before."""
    known = stream or StreamRecord(sent.stream_id, RUNNING, sent.at, proven=False, began=sent.at)
    cancel = Cancel(sent.cancel_id, sent.credentials, sent.at)
    return Transition(record.put(replace(known, state=CANCEL_SENT, sent=(*known.sent, cancel))))


def overdue(record: SessionRecord, stream: StreamRecord, overdue: seen.CancelOverdue) -> Transition:
    """Nobody else waits for that cancel."""
    late = (replace(c, overdue=True) if c.cancel_id == overdue.cancel_id else c for c in stream.sent)
    return Transition(record.put(replace(stream, sent=tuple(late))))


def accept(record: SessionRecord, stream: StreamRecord, accepted: seen.CancelAccepted) -> Transition:
    """The backend took it: the stream settles from now on, unless nobody knows of that cancel."""
    sent = next((cancel for cancel in stream.sent if cancel.cancel_id == accepted.cancel_id), None)
    if sent is None:
        return Transition(record)
    overtaken_by = None if stream.ending is Ending.CANCELLED else stream.ending
    cancel = replace(sent, acked_at=accepted.at, overtaken_by=overtaken_by)
    left = _without(stream, accepted)
    settling = replace(left, state=SETTLING, since=accepted.at, cancel=cancel, proven=True, gone=False)
    effects = (PursueStop(stream.stream_id, cancel), EndRelays(stream.stream_id))
    return Transition(record.put(settling), effects)


def accept_ended(record: SessionRecord, stream: StreamRecord, accepted: seen.CancelAccepted) -> Transition:
    """A late answer: it says that a worker is there, unless that one was seen gone since."""
    if not stream.is_worker_gone:
        return accept(record, stream, accepted)
    return forget_sent(record, stream, accepted)


def refuse(record: SessionRecord, stream: StreamRecord, refused: seen.CancelRefused) -> Transition:
    """Without proof that no worker is there, the cancel changed nothing (F20); with it, the stream has ended."""
    if not (refused.gone and stream.proven):
        return withdraw(record, stream, refused)
    cancel = stream.cancel.freed(refused.at, SlotFreedBy.CANCEL) if stream.cancel else None
    ended = replace(_without(stream, refused), cancel=cancel, gone=True).ended(refused.at, Ending.UNKNOWN)
    return Transition(record.put(ended), (EndRelays(stream.stream_id),))


def withdraw(
    record: SessionRecord, stream: StreamRecord, answered: seen.CancelFailed | seen.CancelRefused
) -> Transition:
    """The cancel said nothing about the stream: what was believed before it holds again."""
    left = _without(stream, answered)
    if left.sent:
        return Transition(record.put(left))
    if not left.proven:
        return Transition(record.drop(stream.stream_id))
    if left.ending is not None:
        return Transition(record.put(left.ended(answered.at, left.ending)), (EndRelays(stream.stream_id),))
    return Transition(record.put(left.running(answered.at)))


def forget_sent(
    record: SessionRecord, stream: StreamRecord, answered: seen.CancelAccepted | seen.CancelFailed | seen.CancelRefused
) -> Transition:
    """The answer comes too late to change anything."""
    return Transition(record.put(_without(stream, answered)))


def refuse_settling(record: SessionRecord, stream: StreamRecord, refused: seen.CancelRefused) -> Transition:
    """Another caller's cancel was refused, behind one that was accepted."""
    left = _without(stream, refused)
    cancel = _cancel(left)
    gone = cancel.freed(refused.at, SlotFreedBy.CANCEL) if refused.gone else cancel
    return _settle(record, left, gone, refused.at)


def _without(
    stream: StreamRecord, answered: seen.CancelAccepted | seen.CancelFailed | seen.CancelRefused
) -> StreamRecord:
    return replace(stream, sent=tuple(cancel for cancel in stream.sent if cancel.cancel_id != answered.cancel_id))


# -- settling -------------------------------------------------------------------------------------


def relays_ended(record: SessionRecord, stream: StreamRecord, ended: seen.RelaysEnded) -> Transition:
    """Every browser has been told."""
    return _settle(record, stream, replace(_cancel(stream), terminal_at=ended.at), ended.at)


def answered(record: SessionRecord, stream: StreamRecord, answered: seen.CancelAnswered) -> Transition:
    """Whoever cancelled has been told."""
    return _settle(record, stream, replace(_cancel(stream), answered_at=answered.at), answered.at)


def slot_seen(record: SessionRecord, stream: StreamRecord, slot: seen.SlotSeen) -> Transition:
    """What was seen of its worker; one that was seen gone does not come back, whatever is answered late."""
    cancel = _cancel(stream)
    if cancel.slot is Slot.FREE:
        return Transition(record)
    free = slot.slot is Slot.FREE
    seen_so = cancel.freed(slot.at, slot.by) if free else replace(cancel, slot=slot.slot)
    return _settle(record, stream, seen_so, slot.at)


def slot_seen_late(record: SessionRecord, stream: StreamRecord, slot: seen.SlotSeen) -> Transition:
    """A worker that was not seen gone in time has gone after all: a further Stop of it is stale."""
    if stream.cancel is None or not stream.may_have_worker or slot.slot is not Slot.FREE:
        return Transition(record)
    return Transition(record.put(replace(stream, cancel=stream.cancel.freed(slot.at, slot.by))))


def repeated(record: SessionRecord, stream: StreamRecord, _again: seen.CancelRepeated) -> Transition:
    """It was sent once more."""
    cancel = _cancel(stream)
    return Transition(record.put(replace(stream, cancel=replace(cancel, repeats=cancel.repeats + 1))))


def _settle(record: SessionRecord, stream: StreamRecord, cancel: Cancel, at: float) -> Transition:
    settling = replace(stream, cancel=cancel)
    is_news = cancel.slot is Slot.FREE and _cancel(stream).slot is not Slot.FREE
    limits = (EndRelays(stream.stream_id),) if is_news else ()  # a worker that is gone says nothing more
    if cancel.missing:
        return Transition(record.put(settling), limits)
    ended = settling.ended(at, Ending.CANCELLED)
    return Transition(record.put(ended), (*limits, settled(ended)))


def time_out(record: SessionRecord, stream: StreamRecord, timeout: seen.StopTimedOut) -> Transition:
    """Its limit has passed; a further cancel is judged as if it were the first (P11)."""
    ended = stream.ended(timeout.at, Ending.CANCELLED)
    return Transition(record.put(ended), (EndRelays(stream.stream_id), settled(ended)))


def settled(stream: StreamRecord) -> Settled:
    """The effect for a cancel that is over."""
    return Settled(stream.stream_id, _cancel(stream), stream.ending or Ending.CANCELLED)


def _cancel(stream: StreamRecord) -> Cancel:
    if stream.cancel is None:
        raise TransitionError(f"{stream.stream_id} is {stream.state.value} without a cancel")
    return stream.cancel
