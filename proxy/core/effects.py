"""What a transition asks the shell to do, as data."""

from dataclasses import dataclass

from proxy.core.records import Cancel, Ending, StreamRecord


@dataclass(frozen=True, slots=True)
class WatchSettling:
    """Follow an accepted cancel until it has settled or its timeout has passed."""

    stream_id: str
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class EndRelays:
    """The stream's relays that are still open shall be ended, as `verdicts.judge_relay` says by now."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A cancel is over: settled if nothing is missing, else unsettled at its limit or at the next turn."""

    stream_id: str
    cancel: Cancel
    ending: Ending


@dataclass(frozen=True, slots=True)
class MoveStreams:
    """These streams belong to another session's record now: hand them over."""

    session_id: str
    streams: tuple[StreamRecord, ...]


Effect = WatchSettling | EndRelays | Settled | MoveStreams
