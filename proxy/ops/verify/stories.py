"""What became of one stream, one cancel, one start or one relay, as far as the lines have told."""

from dataclasses import dataclass

from proxy.core.records import Ending, Slot
from proxy.ops.verify.lines import Line

NEVER = float("-inf")

TERMINAL = frozenset({"stream_end", "cancel", "apperror", "error"})
"""Events after which nothing follows on a stream (P4). A list of its own: with the guard's it would share a mistake."""


@dataclass(slots=True)
class StreamStory:
    """One turn's run; each field holds the line that showed it."""

    stream_id: str
    ran: bool = False
    ended: Line | None = None
    """Ended or superseded without doubt: an answer to a question of unknown age does not show that."""
    hinted: bool = False
    """Something may have told the guard of its end."""
    under_way: Line | None = None
    """Its cancel reached the backend, and has no outcome yet."""
    accepted: Line | None = None
    overtaken: Line | None = None
    """Its end by itself, which came before the backend's `true`."""
    relays_ended: bool = False
    answered: Line | None = None
    slot: str = Slot.BUSY.value
    settled: Line | None = None
    leaves_by: float = NEVER
    """When a relay of it that is silent from then on has to be gone."""
    failed_open: Line | None = None

    @property
    def is_settling(self) -> bool:
        """Its cancel was accepted, and it is not over."""
        return self.accepted is not None and self.settled is None

    @property
    def is_over(self) -> bool:
        """It ended, with no cancel under way: the guard may forget it."""
        return self.ended is not None and self.cancel_under_way is None

    @property
    def holds_starts(self) -> bool:
        """As `core.records.Cancel.holds_starts`: a fenced slot holds nobody, as the backend does so itself (F3)."""
        is_free = self.relays_ended and self.answered is not None and self.slot != Slot.BUSY.value
        return self.is_settling and not is_free

    @property
    def cancel_under_way(self) -> Line | None:
        """The line since which another cancel of it is coalesced or replayed, if it is."""
        return self.under_way or (self.accepted if self.is_settling else None)

    @property
    def ended_otherwise(self) -> bool:
        """It ended, and not by being cancelled."""
        return self.ended is not None and self.ended.fields.get("ending") != Ending.CANCELLED.value


@dataclass(slots=True)
class CancelStory:
    """One caller's cancel."""

    story_id: str
    judged: Line | None = None
    """The last verdict on it: a record that turned out to be wrong is corrected, and judged again."""
    stale_by: Line | None = None
    """The stream's end, if it was known when the cancel was judged."""
    late_by: Line | None = None
    """The stream's settling, likewise."""
    under_way: Line | None = None
    """Another cancel of the stream that was under way then."""
    confirmed: Line | None = None
    forwarded: Line | None = None
    failed_open: Line | None = None


@dataclass(slots=True)
class StartStory:
    """One start of a turn."""

    story_id: str
    received: Line | None = None
    expired: Line | None = None
    forwarded: Line | None = None
    failed_open: Line | None = None


@dataclass(slots=True)
class RelayStory:
    """One browser's subscription to a stream."""

    story_id: str
    stream_id: str | None
    opened: Line | None = None
    wrote: Line | None = None
    """The last events that were written."""
    terminal: Line | None = None
    left: Line | None = None
    closed: Line | None = None
    failed_open: Line | None = None
