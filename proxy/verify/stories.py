"""What became of one stream, one cancel, one start or one relay, as far as the lines have told."""

from dataclasses import dataclass, field

from proxy.core.observations import TurnStarted
from proxy.core.records import Slot
from proxy.verify.lines import Line

NEVER = float("-inf")

TERMINAL = frozenset({"stream_end", "cancel", "apperror", "error"})
"""Events after which nothing follows on a stream (P4). A list of its own: with the guard's it would share a mistake."""

SAYS_NOTHING = TERMINAL | {"pending_steer_leftover"}
"""Events that the guard may write of its own accord."""

OUTPUT = frozenset({"token", "reasoning", "tool", "tool_complete", "interim_assistant"})
"""Events that only a turn at work sends; a list of its own likewise."""


@dataclass(slots=True)
class StopStory:
    """A cancel that the backend accepted, until the guard is done with it; each field holds the line that showed it."""

    accepted: Line
    looked: Line
    """The last look for its worker: what it may have seen is in `StreamStory.gone`."""
    relays_ended: bool = False
    answered: Line | None = None
    slot: str = Slot.BUSY.value
    over: Line | None = None
    followed: Line | None = None
    """The session's next turn: to repeat the cancel from then on would stop that one (F23)."""
    is_observed: bool = False
    """The guard has taken note of it."""
    is_given_up: bool = False
    """It is over with something missing: nothing is promised of it any more."""

    @property
    def is_told(self) -> bool:
        """Everybody was told of it."""
        return self.relays_ended and self.answered is not None


@dataclass(slots=True)
class StreamStory:
    """One turn's run; each field holds the line that showed it."""

    stream_id: str
    began: Line | None = None
    """Its start's answer, since which all that was said of it is in the trace."""
    ran: bool = False
    ended: Line | None = None
    """It came to an end of its own: no Stop is owed to it."""
    journal: Line | None = None
    """The backend's journal tells an end of it; when that was asked for, the trace does not tell."""
    lost: Line | None = None
    """The backend was started anew, or did not know it."""
    doubted: Line | None = None
    """What had the guard take it for over, without proof."""
    spoke: Line | None = None
    """Its output since then."""
    called: Line | None = None
    """A Stop's answer that said so."""
    cancelled: bool = False
    """Its own `cancel` event was seen: it is over for certain, whatever becomes of its worker."""
    hinted: bool = False
    """Something may have told the guard of its end."""
    pending: dict[str, Line] = field(default_factory=dict)
    """Its cancels that have no outcome yet, by their ids."""
    stop: StopStory | None = None
    overtaken: Line | None = None
    """Its end by itself, which came before the backend's `true`."""
    gone: Line | None = None
    """What the backend said that leaves no room for a worker of it (P11)."""
    named: Line | None = None
    """The last `/health` that listed its worker by name."""
    believed: Line | None = None
    """Where the guard took its worker for gone."""
    leaves_since: float = NEVER
    leaves_within: float = 0.0
    """Seconds of silence, from then on at the earliest, after which a relay of it has to be gone."""
    failed_open: Line | None = None

    @property
    def is_superseded(self) -> bool:
        """Another turn of its session has begun since."""
        return self.doubted is not None and self.doubted.seen is TurnStarted

    @property
    def is_settling(self) -> bool:
        """Its cancel was accepted, and it is not over."""
        return self.stop is not None and self.stop.over is None

    @property
    def settled(self) -> Line | None:
        """The end of its cancel, if nothing was missing."""
        return None if self.stop is None or self.stop.is_given_up else self.stop.over

    @property
    def is_pursued(self) -> bool:
        """Its worker has to be looked for: nothing was seen or said of its end."""
        return self.is_settling and self.gone is None and self.believed is None and self.failed_open is None

    @property
    def is_over(self) -> bool:
        """It ended as far as the guard knows, with no cancel under way: the guard may forget it."""
        ended = self.ended or self.doubted or self.believed or (self.stop and self.stop.over)
        return ended is not None and not self.is_settling and not self.pending

    @property
    def holds_changes(self) -> bool:
        """Its cancel was accepted, and has not settled: as the backend told, whatever the guard believes."""
        if self.stop is None or self.stop.is_given_up:
            return False
        return not (self.stop.is_told and self.gone is not None)

    @property
    def holds_starts(self) -> bool:
        """The same of a start, for which a fenced slot is as good as free: the backend does the rest itself (F3)."""
        is_fenced = self.is_settling and self.stop is not None and self.stop.slot == Slot.FENCED.value
        return self.holds_changes and not (is_fenced and self.stop is not None and self.stop.is_told)

    @property
    def stale_by(self) -> Line | None:
        """What has shown that a Stop of it has nothing to stop; while one is under way, no end of its own does."""
        if self.gone is not None and self.believed is not None:
            return self.believed
        return None if self.pending or self.is_settling else self.ended

    def doubt(self, line: Line) -> None:
        """The guard has a reason to take it for over, and no proof."""
        if self.ended is None and not self.cancelled:
            self.doubted = self.doubted or line

    def revive(self) -> None:
        """It runs after all."""
        self.ended = self.doubted = self.spoke = self.lost = self.gone = self.believed = None
        self.cancelled = False
        self.leaves_since = NEVER


@dataclass(slots=True)
class CancelStory:
    """One caller's cancel."""

    story_id: str
    judged: Line | None = None
    """The last verdict on it: a record that turned out to be wrong is corrected, and judged again."""
    stale_by: Line | None = None
    """What had shown by then that there is nothing to stop."""
    late_by: Line | None = None
    """The stream's settling, likewise."""
    late_for: Line | None = None
    """The line that gave an earlier cancel of it up, likewise."""
    waits_for: "CancelStory | None" = None
    """The one on its way whose answer it waits for."""
    confirmed: Line | None = None
    forwarded: Line | None = None
    said: Line | None = None
    """The backend's answer to it."""
    over: Line | None = None
    """Its caller was answered, was told that there is no answer, or left."""
    failed_open: Line | None = None

    @property
    def verdict(self) -> str | None:
        """The last verdict on it."""
        return self.judged.maybe("verdict") if self.judged else None

    @property
    def is_accepted(self) -> bool:
        """The backend said `true` to it."""
        return self.said is not None and self.said.value("cancelled") is True


@dataclass(slots=True)
class StartStory:
    """One start of a turn, or one change of a session."""

    story_id: str
    received: Line | None = None
    expired: Line | None = None
    forwarded: Line | None = None
    failed_open: Line | None = None


@dataclass(slots=True)
class UpstreamStory:
    """One connection to Hermes for an event stream."""

    story_id: str
    stream_id: str | None
    opened: Line
    heard: Line | None = None
    """The last events that came."""
    silent_since: Line | None = None
    """The last of them but for its ending."""
    browsers: set[str] = field(default_factory=set)
    """The relays that it feeds, by their ids."""
    left: Line | None = None
    """Where the last of their browsers left."""
    kept: float = 0.0
    """Seconds for which it then stays open on purpose."""
    failed_open: Line | None = None


@dataclass(slots=True)
class RelayStory:
    """One browser's subscription to an event stream."""

    story_id: str
    stream_id: str | None
    upstream: str | None
    opened: Line | None = None
    terminal: Line | None = None
    left: Line | None = None
    owed: Line | None = None
    """Where its upstream was closed in a way that makes an ending due."""
    failed_open: Line | None = None
