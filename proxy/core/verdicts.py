"""What to do with a cancel, a start or a relay, given what is believed. Pure judgements; nothing changes here."""

from dataclasses import dataclass
from enum import Enum

from proxy.core.records import Cancel, Ending, SessionRecord, StreamRecord, StreamState


@dataclass(frozen=True, slots=True)
class Forward:
    """The cancel goes to the backend, once."""


@dataclass(frozen=True, slots=True)
class Coalesce:
    """One cancel of this stream is on its way: wait for, and give, the same answer.

    `shared` is False for a caller with other credentials, who is confirmed first (P9: no authority of its own).
    """

    shared: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """The stream is being cancelled: the first answer again (F4: duplicate Stops)."""

    shared: bool
    cancel_id: str
    overtaken_by: Ending | None


@dataclass(frozen=True, slots=True)
class Stale:
    """The stream does not own its session any more; confirm with the caller's credentials, then `cancelled: false`."""

    reason: Ending
    active_stream_id: str | None = None


CancelVerdict = Forward | Coalesce | Replay | Stale


def judge_cancel(record: SessionRecord, stream_id: str, credentials: str) -> CancelVerdict:
    """What to do with a cancel of `stream_id` by a caller with this fingerprint of credentials (P1, P2)."""
    stream = record.stream(stream_id)
    if stream is None:
        return Forward()
    if stream.state is StreamState.ENDED:
        return _stale(record, stream.ending or Ending.UNKNOWN)
    if stream.cancel is not None:
        return _under_way(stream, stream.cancel, credentials)
    if stream != record.owner:
        return _stale(record, Ending.SUPERSEDED)
    return Forward()


def _under_way(stream: StreamRecord, cancel: Cancel, credentials: str) -> Coalesce | Replay:
    shared = cancel.credentials == credentials
    if stream.state is StreamState.CANCEL_SENT:
        return Coalesce(shared)
    return Replay(shared, cancel.cancel_id, cancel.overtaken_by)


def _stale(record: SessionRecord, reason: Ending) -> Stale:
    owner = record.owner
    if reason is not Ending.SUPERSEDED or owner is None:
        return Stale(reason)
    return Stale(reason, owner.stream_id)


class StartVerdict(Enum):
    """Whether a start may go to the backend now."""

    HOLD = "hold"
    FORWARD = "forward"


def judge_start(record: SessionRecord) -> StartVerdict:
    """HOLD while the session has a cancelled stream that has not settled as far as a start is concerned (P3)."""
    held = any(
        s.state is not StreamState.ENDED and s.cancel is not None and s.cancel.holds_starts for s in record.streams
    )
    return StartVerdict.HOLD if held else StartVerdict.FORWARD


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


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a relay may stay open without its terminal event, in seconds."""

    settle_timeout: float
    orphan_grace: float
    linger: float


@dataclass(frozen=True, slots=True)
class RelayLimit:
    """A relay without a terminal event is given `ending` `within` seconds of `since`, or of its opening if later.

    Where `quiet` is set, every event starts the span anew: the stream may be telling its past.
    """

    ending: Ending
    since: float
    within: float
    quiet: bool


def judge_relay(stream: StreamRecord | None, patience: Patience) -> RelayLimit | None:
    """When a relay of this stream is given a synthesized ending (P5, P6); None while the stream runs."""
    if stream is None or stream.state is StreamState.RUNNING:
        return None
    if stream.ending is Ending.SUPERSEDED:
        return RelayLimit(Ending.SUPERSEDED, stream.since, patience.orphan_grace, quiet=False)
    if stream.cancel is not None and stream.cancel.acked_at is not None:
        return RelayLimit(Ending.CANCELLED, stream.cancel.acked_at, patience.settle_timeout, quiet=False)
    if stream.state is StreamState.CANCEL_SENT:
        return None
    ending = stream.ending or Ending.UNKNOWN
    return RelayLimit(ending, stream.since, patience.linger, quiet=True)
