"""What was seen, as data: the only input of a transition.

`at` is when it was seen. `asked`, where there is one, is when the question behind an answer was put: an answer says
nothing about what began after it was asked for.
"""

from dataclasses import dataclass

from proxy.core.records import Ending, Slot, StreamRecord


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A start was answered with this stream, or the session's channel announced it."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class StartConflicted:
    """A start was refused with 409, naming the stream that owns the session."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A terminal event, or `done`, was seen on a relay of the stream."""

    at: float
    stream_id: str
    ending: Ending


@dataclass(frozen=True, slots=True)
class StatusSeen:
    """The backend was asked for the stream's status; `ending` if its journal holds a terminal event."""

    at: float
    asked: float
    stream_id: str
    active: bool
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class StreamMissing:
    """Opening the stream was answered 404: the backend never heard of it, or lost it."""

    at: float
    asked: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class CancelSent:
    """A cancel was judged to go to the backend."""

    at: float
    stream_id: str
    cancel_id: str
    credentials: str


@dataclass(frozen=True, slots=True)
class CancelAccepted:
    """The backend answered `cancelled: true`."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The backend answered `cancelled: false`."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class CancelFailed:
    """The cancel got another answer, or none."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class RelaysEnded:
    """Every relay of the stream has been given its ending, or there is none."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """The answer of the forwarded cancel has been given to its browser."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """The backend was asked whether the cancelled worker still holds its slot (F3)."""

    at: float
    stream_id: str
    slot: Slot


@dataclass(frozen=True, slots=True)
class SettleTimedOut:
    """The settle timeout of an accepted cancel has passed (P7: at the limit the request goes on)."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class BackendRestarted:
    """The backend came back as another process: whatever ran before `at` is lost."""

    at: float


@dataclass(frozen=True, slots=True)
class SessionRotated:
    """Compression moved the conversation to another session id."""

    at: float
    new_session_id: str


@dataclass(frozen=True, slots=True)
class StreamsAdopted:
    """Streams of another record turn out to be this session's; they are older than its own."""

    at: float
    streams: tuple[StreamRecord, ...]


StreamObservation = (
    TurnStarted
    | StartConflicted
    | StreamEnded
    | StatusSeen
    | StreamMissing
    | CancelSent
    | CancelAccepted
    | CancelRefused
    | CancelFailed
    | RelaysEnded
    | CancelAnswered
    | SlotSeen
    | SettleTimedOut
)
SessionObservation = BackendRestarted | SessionRotated | StreamsAdopted
Observation = StreamObservation | SessionObservation
