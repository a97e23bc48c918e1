"""What becomes of relays: each is one browser's event stream, with its own connection to Hermes."""

from dataclasses import dataclass

from proxy.core.records import Ending
from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class _Relay(Event):
    relay: str
    stream: str | None
    """Of its turn; None if it is not a turn's."""


@dataclass(frozen=True, slots=True)
class RelayOpened(_Relay):
    """Hermes' event stream has begun, and is passed on."""

    call: str
    """What it was asked for by, as `proxy.hermes.contract` calls it."""


@dataclass(frozen=True, slots=True)
class RelayWrote(_Relay):
    """Events were passed on; words that need no look are told together, once a second."""

    events: tuple[str, ...]
    """The names of those that were looked at or added, in their order."""
    count: int
    """Of all since it was told last."""


@dataclass(frozen=True, slots=True)
class BrowserLeft(_Relay):
    """The browser of a relay left before its stream had ended."""


@dataclass(frozen=True, slots=True)
class UpstreamClosed(_Relay):
    """A relay's connection to Hermes was closed."""

    why: str | None
    """As `proxy.relay.ends.Over` has it; None if the browser left, or after a mistake."""
    overdue: Ending | None
    """The ending that its browser was given in place of Hermes', if that came too late."""


@dataclass(frozen=True, slots=True)
class RelayEnded(_Relay):
    """A relay is over: its browser has all of it, or left."""

    why: str
    """As `proxy.relay.ends.Over` has it."""
