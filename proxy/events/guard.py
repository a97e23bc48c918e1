"""What the guard learned of Hermes, what it made of it, and its own mistakes."""

from dataclasses import dataclass, fields
from enum import Enum
from typing import TypedDict

from proxy.core.observations import Observation
from proxy.events.event import Event

_UNSAID = frozenset({"at", "asked", "credentials", "streams"})
"""Of an observation: its times are the guard's own, and the rest is a secret or a whole record."""

_NUMBERED = frozenset({"relay", "upstream", "start", "change"})
"""What has a number of its own: an internal error tells that before its step."""


@dataclass(frozen=True, slots=True)
class Observed(Event):
    """The record of a session took in what was seen; told as `what`, with the observation's own fields."""

    session: str
    seen: Observation

    def fields(self) -> dict[str, object]:
        """The session, the observation's class, and what it says."""
        seen = {field.name: getattr(self.seen, field.name) for field in fields(self.seen) if field.name not in _UNSAID}
        said = {name: value.value if isinstance(value, Enum) else value for name, value in seen.items()}
        return {"session": self.session, "what": type(self.seen).__name__, **said}


@dataclass(frozen=True, slots=True)
class WorkersListed(Event):
    """Hermes' `/health` told which workers run (F3)."""

    streams: tuple[str, ...]
    """The turns of those that it names."""
    unnamed: int
    """How many others there are."""
    began: tuple[float | None, ...]
    """When each of those began, by Hermes' clock."""
    cancelled: tuple[bool | None, ...]
    """Whether each of those is marked as cancelled."""
    took: float
    """Seconds from the question to its answer."""


@dataclass(frozen=True, slots=True)
class WorkersUnknown(Event):
    """Hermes' `/health` did not tell which workers run, or did not answer."""

    took: float


class Subject(TypedDict, total=False):
    """What something was about, as far as it is known."""

    relay: str
    upstream: str
    start: str
    change: str
    session: str | None
    stream: str | None
    cancel: str


@dataclass(frozen=True, slots=True)
class InternalError(Event):
    """The guard made a mistake, and the request went on without it (P8)."""

    step: str
    """What it was doing, as in "judging a cancel"."""
    about: Subject

    def fields(self) -> dict[str, object]:
        """The step, and what it was about."""
        if _NUMBERED.isdisjoint(self.about):
            return {"step": self.step, **self.about}
        return {**self.about, "step": self.step}
