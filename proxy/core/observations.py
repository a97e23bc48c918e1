"""What was seen, as data: the only input of a transition.

`at` is when it was seen. `asked`, where there is one, is when the question behind an answer was put: an answer says
nothing about what began after it was asked for.
"""

from dataclasses import dataclass

from proxy.core.records import Ending, Slot, SlotFreedBy, StreamRecord


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A start was answered with this stream, or the session's channel announced it.

    `hosted`, `stamp` and `took` are as in `StreamRecord`.
    """

    at: float
    stream_id: str
    hosted: bool | None = None
    stamp: float | None = None
    took: float | None = None


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
class StreamSpoke:
    """A turn's output was seen on a relay of the stream that was open before the stream was believed to be over."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class StatusSeen:
    """The backend was asked for the stream's status; `ending` if its journal tells one."""

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
class CancelOverdue:
    """The backend has not answered the cancel for so long that nobody else shall wait for it."""

    at: float
    stream_id: str
    cancel_id: str


@dataclass(frozen=True, slots=True)
class CancelAccepted:
    """The backend answered `cancelled: true`."""

    at: float
    stream_id: str
    cancel_id: str


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The backend answered `cancelled: false`; `gone` if that, with what else it says, proves that no worker is there.

    A refusal alone proves nothing (F20: a runner's turn is never cancelled, and goes on).
    """

    at: float
    stream_id: str
    cancel_id: str
    gone: bool


@dataclass(frozen=True, slots=True)
class CancelFailed:
    """The cancel got another answer, or none."""

    at: float
    stream_id: str
    cancel_id: str


@dataclass(frozen=True, slots=True)
class RelaysEnded:
    """Every relay of the stream has been given its ending, or there is none."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """The answer of the forwarded cancel has been given to its browser, which had time to read it."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """The backend was asked whether the cancelled worker is still there, by `by`."""

    at: float
    stream_id: str
    slot: Slot
    by: SlotFreedBy = SlotFreedBy.HEALTH


@dataclass(frozen=True, slots=True)
class CancelRepeated:
    """An accepted cancel was sent once more, since its worker may still be there (P11)."""

    at: float
    stream_id: str


@dataclass(frozen=True, slots=True)
class StopTimedOut:
    """The worker of an accepted cancel was not seen gone in time (P7: at the limit the proxy says so)."""

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
    | StreamSpoke
    | StatusSeen
    | StreamMissing
    | CancelSent
    | CancelOverdue
    | CancelAccepted
    | CancelRefused
    | CancelFailed
    | RelaysEnded
    | CancelAnswered
    | SlotSeen
    | CancelRepeated
    | StopTimedOut
)
SessionObservation = BackendRestarted | SessionRotated | StreamsAdopted
Observation = StreamObservation | SessionObservation
