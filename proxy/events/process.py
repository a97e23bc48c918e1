"""What becomes of the proxy as a process: its start, its settings, its end, and its trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The proxy listens."""

    version: str
    loop: str
    """The event loop's package."""
    listen: str
    upstream: str
    reachable: bool
    """Whether Hermes answered."""
    release: str | None
    """Hermes', if it said so."""
    trusted_proxies: tuple[str, ...]
    lanes: Mapping[str, int]
    """Connections to Hermes that are allowed at once, by lane."""
    trace: str | None
    """The path of the trace, if there is one."""
    admin: str | None
    """The address of the status page, if there is one."""


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """The settings were read again, and applied."""

    changed: tuple[str, ...]
    """Those that are in force now."""
    restart: tuple[str, ...]
    """Those that are not before a restart."""


@dataclass(frozen=True, slots=True)
class ReloadRefused(Event):
    """The settings were read again, and are wrong: the old ones stay in force."""

    why: str


@dataclass(frozen=True, slots=True)
class DrainBegan(Event):
    """No new turn is let in from now on."""

    relays: int
    starts: int
    """How many are open, or under way."""
    hold: bool
    """Whether what would begin one is held until Hermes is back after a restart, in place of being refused."""


@dataclass(frozen=True, slots=True)
class DrainSettled(Event):
    """No turn runs any more, so Hermes can be restarted without harm."""


@dataclass(frozen=True, slots=True)
class DrainResumed(Event):
    """New turns are let in again."""

    why: Literal["asked", "restarted"]
    """Somebody asked for it, or Hermes is back after a restart, which turns were held for."""
    held: int
    """How many turns were held, and are let in now."""


@dataclass(frozen=True, slots=True)
class DrainTimedOut(Event):
    """The proxy ends though turns are still watched or begun, as it waited for as long as it may (P7)."""

    relays: int
    starts: int


@dataclass(frozen=True, slots=True)
class OperatorDropped(Event):
    """The admin listener ended a connection by itself."""

    why: Literal["full", "room", "slow"]
    """There was no room for it, others needed its room, or it was too slow."""


@dataclass(frozen=True, slots=True)
class TraceBegun(Event):
    """A file of a trace begins, or a process goes on with one."""

    version: str
    run: str
    """Which process it is."""
    part: int
    """Which part of that process' trace, from 1."""
    time: float
    """Seconds since the epoch."""
    settings: Mapping[str, float]
    """The limits in force, by which `verify` measures."""


@dataclass(frozen=True, slots=True)
class TraceGap(Event):
    """Events are missing in a trace, since they could not be written."""

    dropped: int
