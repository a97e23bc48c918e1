"""What becomes of requests, of whatever kind. Never a query's value, a header's, or a body."""

from dataclasses import dataclass
from typing import Literal

from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class _Request(Event):
    method: str | None
    path: str | None
    """Shortened where it holds an id; None, as the method, if the request could not be read."""
    call: str
    status: int | None
    ended_by: Literal["proxy", "backend", "browser"] | None
    error: str | None
    """The code of what went wrong, if anything did."""
    verdict: str | None
    cancel: str | None
    received: int
    sent: int
    """Bytes of the two bodies."""
    seconds: float
    backend: float
    """Seconds of those in which Hermes was waited for."""
    client: str


@dataclass(frozen=True, slots=True)
class RequestEnded(_Request):
    """A request has ended, whoever ended it."""


@dataclass(frozen=True, slots=True)
class RequestSlow(_Request):
    """A request takes long, and has not ended yet."""


@dataclass(frozen=True, slots=True)
class RequestRefused(Event):
    """The gate refused a request, before Hermes heard of it."""

    code: str
    path: str
    client: str
