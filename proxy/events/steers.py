"""What becomes of texts that are steered into a running turn (F18). Only their counts and lengths are told."""

from dataclasses import dataclass
from typing import Literal

from proxy.core.records import Ending
from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class SteerAccepted(Event):
    """Hermes accepted a text, and the guard keeps it until it is seen what becomes of it."""

    stream: str
    length: int


@dataclass(frozen=True, slots=True)
class SteerUnremembered(Event):
    """Hermes accepted a text that the guard does not keep: there is no room, or no turn is known for it."""

    stream: str | None
    length: int


@dataclass(frozen=True, slots=True)
class SteerRefused(Event):
    """A text came too late for its turn, and the page was told to send it as the next message."""

    session: str
    length: int
    reason: Ending
    """How that turn ends."""


@dataclass(frozen=True, slots=True)
class SteerPassedLarge(Event):
    """A steer is too large to be held, so it passes without being kept (P7)."""


@dataclass(frozen=True, slots=True)
class _Seen(Event):
    upstream: str
    stream: str
    count: int
    length: int
    """Of all these texts together."""


@dataclass(frozen=True, slots=True)
class SteerReached(_Seen):
    """Texts have reached the model, with the result of a tool."""


@dataclass(frozen=True, slots=True)
class SteerHandedBack(_Seen):
    """Hermes itself gave texts back to the page."""


@dataclass(frozen=True, slots=True)
class SteerReturned(_Seen):
    """The guard gave texts back to the page."""


@dataclass(frozen=True, slots=True)
class SteerLost(Event):
    """Texts are dropped: their turn was stopped, or no browser came back for them."""

    upstream: str | None
    """Where it was seen; None, and left out, if no browser came back."""
    stream: str
    count: int
    length: int | None
    why: Literal["cancelled", "nobody came back"]

    def fields(self) -> dict[str, object]:
        """The fields, without what is not known."""
        return {name: value for name, value in Event.fields(self).items() if value is not None}
