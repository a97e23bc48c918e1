"""What a transition asks the shell to do, as data."""

from dataclasses import dataclass

from proxy.core.records import Cancel, Ending, SessionRecord, StreamRecord


@dataclass(frozen=True, slots=True)
class PursueStop:
    """Go on with an accepted cancel until its worker is seen gone, or its timeout has passed (P11)."""

    stream_id: str
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class EndRelays:
    """The stream's relays that are still open shall be ended, as `verdicts.judge_relay` says by now."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A cancel is over: settled if nothing is missing, else unsettled at its limit, or at the next turn."""

    stream_id: str
    cancel: Cancel
    ending: Ending


@dataclass(frozen=True, slots=True)
class MoveStreams:
    """These streams belong to another session's record now: hand them over."""

    session_id: str
    streams: tuple[StreamRecord, ...]


ShellEffect = PursueStop | EndRelays | Settled
"""What the shell does; streams are moved by whoever keeps the records."""

Effect = ShellEffect | MoveStreams


@dataclass(frozen=True, slots=True)
class Transition:
    """A record after an observation, and what the shell has to do about it."""

    record: SessionRecord
    effects: tuple[Effect, ...] = ()


class TransitionError(Exception):
    """An observation that makes no sense in the stream's state: a fault of the shell, not of a user."""
