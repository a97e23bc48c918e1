"""What the proxy believes about one session and its streams.

Records are immutable: a transition returns a new one. Times are seconds on the shell's monotonic clock.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self


class StreamState(Enum):
    """Where one turn's run stands, as far as the evidence goes."""

    RUNNING = "running"
    CANCEL_SENT = "cancel_sent"
    """A cancel was forwarded and not yet answered."""
    SETTLING = "settling"
    """The backend accepted the cancel; see `Cancel.missing` for what is still to come."""
    ENDED = "ended"


class Ending(Enum):
    """How a stream came to its end; all but UNKNOWN are told to browsers as the reason."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    LOST = "lost"
    UNKNOWN = "unknown"


class SlotFreedBy(Enum):
    """What told that a cancelled worker was gone."""

    CANCEL = "cancel"
    """The cancel, asked once more, found no worker (F14)."""
    HEALTH = "health"
    """`/health` did not list its run any more (F3)."""
    RESTART = "restart"


class Slot(Enum):
    """What is known of a cancelled worker's slot in the backend (F3: when the worker has unwound)."""

    BUSY = "busy"
    FENCED = "fenced"
    """Not known to be free, and no reason to hold a start: nothing tells of it, or the backend itself sees to it."""
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Cancel:
    """One forwarded cancel, from its sending until its worker is gone."""

    cancel_id: str
    credentials: str
    """A fingerprint of the caller's credentials, with whom the answer may be shared (P9)."""
    sent_at: float
    overdue: bool = False
    """The backend does not answer it, so the next caller does not wait for it."""
    acked_at: float | None = None
    terminal_at: float | None = None
    """When every relay of the stream had been given its ending."""
    answered_at: float | None = None
    repeats: int = 0
    """How often it was sent again, since its worker was still there (P11)."""
    slot: Slot = Slot.BUSY
    slot_free_at: float | None = None
    slot_freed_by: SlotFreedBy | None = None
    overtaken_by: Ending | None = None
    """How the stream had ended of itself before the backend's `true` came: the answer is then `false` (P2)."""

    def freed(self, at: float, by: SlotFreedBy) -> Self:
        """This cancel with its worker known to be gone."""
        return replace(self, slot=Slot.FREE, slot_free_at=at, slot_freed_by=by)

    @property
    def missing(self) -> tuple[str, ...]:
        """What stands between this cancel and settled, in the words of its receipt."""
        steps = {
            "backend_acked": self.acked_at is not None,
            "terminal_seen": self.terminal_at is not None,
            "answered": self.answered_at is not None,
            "slot_free": self.slot is Slot.FREE,
        }
        return tuple(name for name, done in steps.items() if not done)

    @property
    def holds_starts(self) -> bool:
        """True while the session's next turn must wait for this one (P3: settle before start)."""
        return any(step != "slot_free" or self.slot is Slot.BUSY for step in self.missing)


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One turn's run."""

    stream_id: str
    state: StreamState
    since: float
    """When the evidence for this state was seen; an answer to a question asked earlier cannot undo it."""
    ending: Ending | None = None
    """How it ended; while CANCEL_SENT or SETTLING, what has been seen of its end so far."""
    cancel: Cancel | None = None
    """The cancel that the backend accepted."""
    sent: tuple[Cancel, ...] = ()
    """The cancels on their way to the backend: of several callers, or of one whose last is not answered."""
    started_at: float | None = None
    """When its turn was seen to start, if it was."""
    hosted: bool | None = None
    """Whether the backend runs it itself, so that a cancel reaches it and `/health` lists it; None if nothing told.

    A turn that an external runner runs is not hosted: neither a refused cancel nor a second start ends it (F20).
    """
    stamp: float | None = None
    """The turn's beginning on the backend's own clock, by which `/health` may know it (F15)."""
    took: float | None = None
    """Seconds that the start's answer took: a save of the session that is later than that is not its own (F22)."""
    spoke_at: float | None = None
    """When its first output was seen: its agent listens to a cancel from then on (F13)."""
    proven: bool = True
    """False for a stream known only from a caller's cancel, which proves nothing."""
    told: bool = False
    """Its own end was told after something else had been believed to be its end, and is left as that."""
    gone: bool = False
    """A refused cancel or a restart proved that no worker is there, without an accepted cancel that could say so."""
    began: float = field(default=0.0, compare=False)
    """When it was first known to run; sessions that turn out to be one are merged by it."""

    def ended(self, at: float, ending: Ending) -> Self:
        """This stream at its end; an end that was seen before is kept."""
        return replace(self, state=StreamState.ENDED, since=at, ending=self.ending or ending)

    def running(self, since: float) -> Self:
        """This stream, which runs after all: what was seen of its end is forgotten."""
        return replace(
            self, state=StreamState.RUNNING, since=since, ending=None, cancel=None, told=False, gone=False, proven=True
        )

    def hearing_of(self, ending: Ending, at: float) -> Self:
        """This stream with news of its end, while or after it is believed to end; what was seen first stands."""
        if self.ending is not None:
            return replace(self, told=self.told or (self.ending not in _OWN and ending in _OWN))
        since = at if self.state is StreamState.CANCEL_SENT else self.since
        return replace(self, ending=ending, since=since)

    @property
    def is_settling(self) -> bool:
        """Whether a cancel of it was accepted, and is not over."""
        return self.state is StreamState.SETTLING

    @property
    def is_worker_gone(self) -> bool:
        """Whether it is proven that no worker of it is there."""
        return self.gone or self.told or self._was_seen_gone

    @property
    def may_have_worker(self) -> bool:
        """True unless it ended by itself, or its cancelled worker was seen gone (P11: a Stop is believed by proof)."""
        if self.ending is None:
            return self.state is not StreamState.ENDED
        return self.ending is Ending.CANCELLED and not self.is_worker_gone

    @property
    def is_doubtful(self) -> bool:
        """Whether nothing but circumstances tells of its end: its output would show that it goes on (F20)."""
        return self.ending in _DOUBTFUL and not self.told and not self._was_seen_gone

    @property
    def is_uncertain(self) -> bool:
        """True if it is believed to be over, and an event on it would show that it is not (F20)."""
        return self.state is StreamState.ENDED and self.is_doubtful

    @property
    def _was_seen_gone(self) -> bool:
        return self.cancel is not None and self.cancel.slot is Slot.FREE


_DOUBTFUL = frozenset({Ending.SUPERSEDED, Ending.LOST, Ending.UNKNOWN})
_OWN = frozenset({Ending.FINISHED, Ending.FAILED})


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One conversation and its streams, in the order in which they came to own it."""

    session_id: str
    streams: tuple[StreamRecord, ...] = ()
    moved_to: str | None = None
    """The session that goes on in this one's place, after the agent compressed the conversation."""

    KEPT_ENDINGS = 32

    def stream(self, stream_id: str) -> StreamRecord | None:
        """The record of that stream, or None."""
        return next((s for s in self.streams if s.stream_id == stream_id), None)

    @property
    def owner(self) -> StreamRecord | None:
        """The stream that runs, or is being cancelled, now."""
        live = (s for s in reversed(self.streams) if s.proven and s.state is not StreamState.ENDED)
        return next((s for s in live if s.ending is not Ending.SUPERSEDED), None)

    @property
    def busy(self) -> bool:
        """True while a stream runs or settles; such a record is never forgotten."""
        return any(s.state is not StreamState.ENDED for s in self.streams)

    def put(self, stream: StreamRecord) -> Self:
        """This record with `stream` replaced in its place or added last; those that ended first go over the bound."""
        if self.stream(stream.stream_id) is None:
            streams = (*self.streams, stream)
        else:
            streams = tuple(stream if s.stream_id == stream.stream_id else s for s in self.streams)
        return replace(self, streams=_bounded(streams, self.KEPT_ENDINGS))

    def drop(self, stream_id: str) -> Self:
        """This record without that stream."""
        kept = tuple(s for s in self.streams if s.stream_id != stream_id)
        return replace(self, streams=kept)


def _bounded(streams: tuple[StreamRecord, ...], keep: int) -> tuple[StreamRecord, ...]:
    ended = sorted((s for s in streams if s.state is StreamState.ENDED), key=lambda stream: stream.since)
    forgotten = ended[:-keep]
    return tuple(s for s in streams if s not in forgotten) if forgotten else streams
