"""What becomes of a Stop: from the request that asks for it until its turn is over."""

from dataclasses import dataclass
from typing import Literal

from proxy.core.records import Ending, Slot, SlotFreedBy
from proxy.events.event import Event


@dataclass(frozen=True, slots=True)
class _Cancel(Event):
    stream: str
    cancel: str


@dataclass(frozen=True, slots=True)
class CancelJudged(_Cancel):
    """The guard decided what to do with a cancel.

    It may be judged again, after what was believed of its stream had to be corrected.
    """

    verdict: Literal["forward", "coalesce", "repeat", "stale"]
    first: str | None = None
    """The earlier cancel of the same stream, whose answer may be given again."""
    shared: bool | None = None
    """Whether that one was the same caller's; None if there was none to repeat."""


@dataclass(frozen=True, slots=True)
class CancelConfirmed(_Cancel):
    """Hermes was asked, with the caller's own credentials, for the stream's status, and answered (P9)."""

    status: int


@dataclass(frozen=True, slots=True)
class CancelForwarded(_Cancel):
    """A cancel is sent to Hermes now."""


@dataclass(frozen=True, slots=True)
class CancelSaid(_Cancel):
    """Hermes answered a cancel."""

    status: int
    cancelled: bool | None
    """What it says of that; None if it does not say."""


@dataclass(frozen=True, slots=True)
class CancelAnswered(_Cancel):
    """Whoever asked for a cancel is given an answer."""

    first: str | None
    """The cancel whose answer it is: the same one, or an earlier one."""
    verdict: str | None
    """As the answer's `Stream-Guard` field has it; None if Hermes' refusal was passed on."""
    reason: Ending | None
    """Why nothing was stopped, if nothing was."""
    status: int
    cancelled: bool | None


@dataclass(frozen=True, slots=True)
class CancelUnguarded(_Cancel):
    """After a mistake of the guard's, a cancel is sent to Hermes as it came (P8)."""


@dataclass(frozen=True, slots=True)
class CancelFailed(Event):
    """Hermes gave no answer to a cancel, and its caller was told so."""

    code: str
    """Of the error."""
    stream: str
    cancel: str


@dataclass(frozen=True, slots=True)
class CancelAbandoned(_Cancel):
    """The browser left before its cancel was answered."""


@dataclass(frozen=True, slots=True)
class CancelRepeated(Event):
    """The guard sent an accepted cancel once more, as its worker was still there (P11)."""

    stream: str
    cancelled: bool | None
    """What Hermes said; None if it said nothing of it, or did not answer."""
    took: float
    """Seconds until then."""


@dataclass(frozen=True, slots=True)
class CancelSettled(Event):
    """A cancel is over: everything that belongs to it has happened, or its time was up.

    The steps are in seconds after its request. Steps that are not known to have happened are left out.
    """

    cancel: str
    stream: str
    ending: Ending | None
    backend_acked: float | None
    terminal_seen: float | None
    answered: float | None
    slot_free: float | None
    slot: Slot | None
    """What was last known of its worker, if that was not seen gone."""
    slot_freed_by: SlotFreedBy | None
    took: float | None
    """Seconds until it had settled."""
    repeats: int
    missing: tuple[str, ...]
    """The steps that had not happened by the end; none if it settled."""

    def fields(self) -> dict[str, object]:
        """The fields, without what is not known."""
        told = Event.fields(self)
        return {name: value for name, value in told.items() if value is not None or name == "ending"}
