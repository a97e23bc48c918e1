"""What becomes of event streams: of upstreams (connections to Hermes), and of relays (browsers' subscriptions)."""

from dataclasses import dataclass

from proxy.core.records import Ending
from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class _Upstream(Event):
    upstream: str
    stream: str | None
    """Of its turn; None if it is not a turn's."""


@dataclass(frozen=True, slots=True)
class UpstreamOpened(_Upstream):
    """Hermes' event stream has begun."""

    call: str
    """What it was asked for by, as `proxy.hermes.contract` calls it."""


@dataclass(frozen=True, slots=True)
class UpstreamHeard(_Upstream):
    """Events of a turn came; words that need no look are told together, once a second."""

    events: tuple[str, ...]
    """The names of those that were looked at or added, in their order."""
    count: int
    """Of all since it was told last."""


@dataclass(frozen=True, slots=True)
class UpstreamKept(_Upstream):
    """Its last browser has left, and may come back: the connection stays open for a while."""

    seconds: float
    """How long at most."""


@dataclass(frozen=True, slots=True)
class UpstreamClosed(_Upstream):
    """The connection to Hermes was closed."""

    why: str | None
    """As `proxy.relay.ends.Over` has it; None if no browser is there, or after a mistake."""
    overdue: Ending | None
    """The ending that its browsers are given in place of Hermes', if that came too late."""


@dataclass(frozen=True, slots=True)
class _Relay(Event):
    relay: str
    upstream: str
    """Whose events it passes on."""
    stream: str | None
    """Of its turn; None if it is not a turn's."""


@dataclass(frozen=True, slots=True)
class RelayOpened(_Relay):
    """A browser is sent an event stream from now on."""

    call: str
    """What it was asked for by, as `proxy.hermes.contract` calls it."""
    joined: str
    """How: it `opened` the upstream, joined at what comes `now`, or, by a `cursor`, behind the last event it has."""
    behind: int
    """Bytes of its turn's log that it is sent at once."""


@dataclass(frozen=True, slots=True)
class RelayWrote(_Relay):
    """Events of a turn were sent to the browser; words that need no look are told together, once a second."""

    events: tuple[str, ...]
    """The names of those that were looked at or added, in their order."""
    count: int
    """Of all since it was told last."""


@dataclass(frozen=True, slots=True)
class BrowserLeft(_Relay):
    """The browser of a relay left before its stream had ended."""


@dataclass(frozen=True, slots=True)
class RelayEnded(_Relay):
    """A relay is over: its browser has all of it, or left."""

    why: str
    """As `proxy.relay.ends.Over` has it."""
