"""What becomes of starts, which begin turns, and of changes, which edit what was said before (such as undo)."""

from dataclasses import dataclass
from typing import Literal

from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class _Start(Event):
    start: str
    session: str


@dataclass(frozen=True, slots=True)
class StartReceived(_Start):
    """A start has arrived whole."""


@dataclass(frozen=True, slots=True)
class StartUnordered(_Start):
    """A start did not get its turn in time, and does not wait for those before it any more (P7)."""


@dataclass(frozen=True, slots=True)
class StartHeld(_Start):
    """A start has to wait, as a stopped turn of its session has not settled (P3)."""


@dataclass(frozen=True, slots=True)
class StartHoldExpired(_Start):
    """A start was held for as long as may be, and goes on (P7)."""


@dataclass(frozen=True, slots=True)
class StartForwarded(_Start):
    """A start is sent to Hermes now."""

    held: bool
    """Whether it had to wait before."""


@dataclass(frozen=True, slots=True)
class StartConflictSpurious(_Start):
    """Hermes refused a start for a turn that is over, so it is tried again (F2)."""

    tries: int
    """How often it was sent so far."""


@dataclass(frozen=True, slots=True)
class StartAnswered(_Start):
    """Whoever asked for a start is given Hermes' answer."""

    status: int
    tries: int
    held: bool
    waited: float
    """Seconds until it was sent for the last time."""


@dataclass(frozen=True, slots=True)
class StartPassedLarge(Event):
    """There was no room for a start's body, so it goes on at once, without being held (P7)."""


@dataclass(frozen=True, slots=True)
class StartReplayed(Event):
    """A start that was asked for before is given that one's answer, and does not go to Hermes."""

    stream: str
    """The turn that has begun."""
    why: Literal["idempotency_key", "connection_lost"]
    """Both have the same key; or the browser of the first has left without its answer."""


@dataclass(frozen=True, slots=True)
class TurnHeld(Event):
    """What begins a turn waits while the proxy drains, until Hermes is back after its restart."""

    session: str | None


@dataclass(frozen=True, slots=True)
class HoldEnded(Event):
    """What waited for Hermes' restart does so no longer."""

    session: str | None
    outcome: Literal["let_in", "expired", "refused"]
    """It goes on; it waited as long as may be (P7); or the proxy ends, or drains without holding. The last two are
    answered 503."""
    waited: float


@dataclass(frozen=True, slots=True)
class HoldRefused(Event):
    """What begins a turn is answered 503, as too many wait for Hermes' restart already (P7)."""

    session: str | None


@dataclass(frozen=True, slots=True)
class _Change(Event):
    change: str
    session: str


@dataclass(frozen=True, slots=True)
class ChangeReceived(_Change):
    """A change has arrived whole."""

    call: str
    """The path that it is asked for by."""


@dataclass(frozen=True, slots=True)
class ChangeUnordered(_Change):
    """A change did not get its turn in time, and does not wait for those before it any more (P7)."""


@dataclass(frozen=True, slots=True)
class ChangeHeld(_Change):
    """A change has to wait, as a stopped turn of its session may still undo it (F17)."""


@dataclass(frozen=True, slots=True)
class ChangeHoldExpired(_Change):
    """A change was held for as long as may be, and goes on (P7)."""


@dataclass(frozen=True, slots=True)
class ChangeForwarded(_Change):
    """A change is sent to Hermes now."""

    held: bool
    waited: float
    """Seconds since it had arrived."""


@dataclass(frozen=True, slots=True)
class ChangeAnswered(_Change):
    """Hermes has begun to answer a change."""

    status: int
    held: bool


@dataclass(frozen=True, slots=True)
class ChangePassedLarge(Event):
    """There was no room for a change's body, so it goes on at once, without being held (P7)."""


@dataclass(frozen=True, slots=True)
class BodyNotKept(Event):
    """A body is too large to be held in memory, and could not be kept on disk either."""

    why: Literal["length", "room", "disk"]
    """It is too long, or of unknown length; too much is kept already; or the disk refused it."""
    length: int | None
