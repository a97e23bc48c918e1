"""What to do with a cancel, a start or a relay, given what is believed. Pure judgements; nothing changes here."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy.core.records import Cancel, Ending, SessionRecord, StreamRecord, StreamState


@dataclass(frozen=True, slots=True)
class Forward:
    """The cancel goes to the backend."""


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The same caller's cancel is on its way: wait for its answer, and give the same if it is accepted."""

    first: str
    """The id of that cancel."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The stream is being cancelled, and its worker may still be there: send it once more (P11).

    A `shared` caller is the one whose cancel was accepted, and is given that answer again (F4: duplicate Stops); any
    other gets what the backend says to the repetition (P9: no authority of its own).
    """

    shared: bool
    first: str
    """The id of the accepted cancel."""
    is_worker_gone: bool = False
    """Whether there is nothing left to be sent once more."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The stream does not own its session any more; confirm with the caller's credentials, then `cancelled: false`.

    Where it is not `proven`, the backend's journal has to tell an end of the stream; if it does not, forward (F20).
    """

    reason: Ending
    active_stream_id: str | None = None
    proven: bool = True


CancelVerdict = Forward | Coalesce | Repeat | Stale


def judge_cancel(record: SessionRecord, stream_id: str, credentials: str) -> CancelVerdict:
    """What to do with a cancel of `stream_id` by a caller with this fingerprint of credentials (P1, P2, P11)."""
    stream = record.stream(stream_id)
    if stream is None:
        return Forward()
    if stream.is_settling and stream.cancel is not None:
        return _judge_settling(stream, stream.cancel, credentials)
    own = (cancel for cancel in stream.sent if cancel.credentials == credentials and not cancel.overdue)
    first = next(own, None)
    if first is not None and (stream.may_have_worker or stream.state is StreamState.CANCEL_SENT):
        return Coalesce(first.cancel_id)
    return Forward() if stream.may_have_worker or not stream.proven else _stale(record, stream)


def _judge_settling(stream: StreamRecord, cancel: Cancel, credentials: str) -> Repeat | Stale:
    shared = cancel.credentials == credentials
    if stream.is_worker_gone and not shared:
        return Stale(stream.ending or Ending.CANCELLED)
    return Repeat(shared, cancel.cancel_id, is_worker_gone=stream.is_worker_gone)


def _stale(record: SessionRecord, stream: StreamRecord) -> Stale:
    if stream.ending is not Ending.SUPERSEDED:
        return Stale(stream.ending or Ending.UNKNOWN)
    owner = record.owner
    return Stale(stream.ending, owner.stream_id if owner else None, proven=stream.is_worker_gone)


class StartVerdict(Enum):
    """Whether a start, or a change of the session, may go to the backend now."""

    HOLD = "hold"
    FORWARD = "forward"


def judge_start(record: SessionRecord) -> StartVerdict:
    """HOLD while the session has a cancelled stream that has not settled as far as a start is concerned (P3)."""
    held = any(cancel.holds_starts for cancel in _cancels_under_way(record))
    return StartVerdict.HOLD if held else StartVerdict.FORWARD


def judge_change(record: SessionRecord) -> StartVerdict:
    """HOLD a change of the transcript while a cancelled worker may still undo it (F17: it writes late)."""
    held = any(cancel.missing for cancel in _cancels_under_way(record))
    return StartVerdict.HOLD if held else StartVerdict.FORWARD


def _cancels_under_way(record: SessionRecord) -> tuple[Cancel, ...]:
    """The cancels that were sent, or accepted, and are not over."""
    sent = [cancel for s in record.streams if s.state is StreamState.CANCEL_SENT for cancel in s.sent]
    settling = [s.cancel for s in record.streams if s.is_settling and s.cancel is not None]
    return (*sent, *settling)


class ConflictVerdict(Enum):
    """Whether a start's 409 is a conflict."""

    RETRY = "retry"
    REAL = "real"


def judge_conflict(record: SessionRecord, active_stream_id: str) -> ConflictVerdict:
    """RETRY if the 409 names a stream that has ended or is being cancelled (F2: a spurious 409); else it is real."""
    named = record.stream(active_stream_id)
    if named is None or named.state is StreamState.RUNNING:
        return ConflictVerdict.REAL
    return ConflictVerdict.RETRY


def judge_steer(stream: StreamRecord | None) -> Ending | None:
    """Why a text that is steered into this turn now would be lost (F18): it is over, or being cancelled; else None."""
    if stream is None or stream.is_uncertain:
        return None
    return stream.ending if stream.state is StreamState.ENDED else _stopping(stream)


def _stopping(stream: StreamRecord) -> Ending | None:
    return None if stream.state is StreamState.RUNNING else Ending.CANCELLED


def judge_leftover(stream: StreamRecord | None, ending: Ending) -> bool:
    """Whether what was steered too late is given back before an event that ends its turn like this (F18).

    A page sends it as its next message at once, which nobody wants who has just pressed Stop. So not where a cancel was
    accepted before the turn came to its end.
    """
    if ending is Ending.CANCELLED:
        return False
    cancel = stream.cancel if stream else None
    return cancel is None or cancel.overtaken_by is not None


ORPHAN_GRACE: Final = 2.0
"""Seconds. Hermes writes a stream's terminal event before its worker ends, so one that is not here by then will not
come; a busy machine is given time to deliver it."""


def orphan_grace(linger: float) -> float:
    """Seconds that a silent stream may stay open once its worker is gone: no longer than one whose turn is done."""
    return min(ORPHAN_GRACE, linger)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a relay may stay open in silence without its terminal event, in seconds."""

    settle_timeout: float
    linger: float

    @property
    def orphan_grace(self) -> float:
        """The same for one whose worker is known to be gone."""
        return orphan_grace(self.linger)


@dataclass(frozen=True, slots=True)
class RelayLimit:
    """A relay is given `ending` once it was silent for `within` seconds, counted from `since` at the earliest.

    Every event starts the span anew: a stream that speaks is not over, whatever is believed of it (F20).
    """

    ending: Ending
    since: float
    within: float


def judge_relay(stream: StreamRecord | None, patience: Patience) -> RelayLimit | None:
    """When a relay of this stream is given a synthesized ending (P5, P6); None while the stream runs.

    A superseded one does not wait for the answer to its cancel, which may never come.
    """
    if stream is None or stream.state is StreamState.RUNNING:
        return None
    if stream.ending is Ending.SUPERSEDED:
        return RelayLimit(Ending.SUPERSEDED, stream.since, patience.orphan_grace)
    if stream.state is StreamState.CANCEL_SENT:
        return None
    if stream.cancel is not None and stream.cancel.slot_free_at is not None:
        return RelayLimit(Ending.CANCELLED, stream.cancel.slot_free_at, patience.orphan_grace)
    if stream.cancel is not None and stream.cancel.acked_at is not None:
        return RelayLimit(Ending.CANCELLED, stream.cancel.acked_at, patience.settle_timeout)
    return RelayLimit(stream.ending or Ending.UNKNOWN, stream.since, patience.linger)
