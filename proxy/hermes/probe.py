"""Asking a backend whether it speaks the contract: harmless questions, and what their answers show.

Each is about a stream or a session that does not exist, so that nothing is started, stopped or changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy.hermes.answers import is_missing, read_cancel, read_login, read_status
from proxy.hermes.contract import (
    APPROVAL_STREAM_PATH,
    AUTH_STATUS_PATH,
    CANCEL_PATH,
    HEALTH_PATH,
    LOCAL_ONLY_PATH,
    SESSION_CHANNEL_PATH,
    START_PATH,
    STATUS_PATH,
    STREAM_PATH,
)
from proxy.hermes.health import read_runs, read_server_start

_OK = 200
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: in whole, or the first bytes of an event stream."""

    status: int
    is_stream: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and the answer that Hermes gives to it.

    Attributes:
        call: Which call of the contract it tries, as `proxy.hermes.contract` names it.
        method: The method.
        target: The target.
        expected: The answer that is expected, in words.
        fits: Whether an answer is that.
        body: JSON to send with it.
        opens_stream: Whether the answer is an event stream, where the release has it.
    """

    call: str
    method: str
    target: str
    expected: str
    fits: Callable[[Heard], bool]
    body: bytes | None = None
    opens_stream: bool = False


def _is_health(heard: Heard) -> bool:
    start = read_server_start(heard.status, heard.body, asked=0.0, answered=0.0)
    return start is not None and read_runs(heard.status, heard.body) is not None


HEALTH: Final = Question(
    "Health",
    "GET",
    HEALTH_PATH,
    "200 with runs and uptime_seconds",
    _is_health,
)


def questions(nobody: str) -> tuple[Question, ...]:
    """A question for every other guarded call; `nobody` is the id of no session and no stream."""
    stream, session = f"?stream_id={nobody}", f"?session_id={nobody}"
    return (
        Question("Start", "POST", START_PATH, "400, as it names no session", _refuses, b"{}"),
        Question("Cancel", "GET", CANCEL_PATH + stream, "200 with cancelled: false", _cancels_nothing),
        Question("Status", "GET", STATUS_PATH + stream, "200 with active: false", _knows_of_nothing),
        Question("OpenStream", "GET", STREAM_PATH + stream, "404 with error: stream not found", _finds_nothing),
        Question(
            "SessionChannel",
            "GET",
            SESSION_CHANNEL_PATH + session,
            "an event stream, or 404 from a release without it",
            lambda heard: heard.is_stream or heard.status == _NOT_FOUND,
            opens_stream=True,
        ),
        Question(
            "EventStream",
            "GET",
            APPROVAL_STREAM_PATH + session,
            "an event stream that speaks at once",
            lambda heard: heard.is_stream and bool(heard.body),
            opens_stream=True,
        ),
    )


def _refuses(heard: Heard) -> bool:
    return heard.status == 400  # noqa: PLR2004 - as the question's text says


def _cancels_nothing(heard: Heard) -> bool:
    return read_cancel(heard.status, heard.body) is False


def _knows_of_nothing(heard: Heard) -> bool:
    status = read_status(heard.status, heard.body)
    return status is not None and not status.active


def _finds_nothing(heard: Heard) -> bool:
    return is_missing(heard.status, heard.body)


class Forwarded(Enum):
    """What becomes of `X-Forwarded-For` where Hermes decides who is local (F9)."""

    BELIEVED = "believed"
    """Whoever it names is who asks."""
    IGNORED = "ignored"
    """Everybody is as local as the proxy is."""
    REFUSED = "refused"
    """Nobody who comes through a proxy is local."""


FAR: Final = "8.8.8.8"
NEAR: Final = "10.0.0.1"
"""An address of the internet and one of a local network; those reserved for examples count as local ones."""


LOCAL_ONLY: Final = Question(
    "Other", "POST", LOCAL_ONLY_PATH, "200 to whoever is local", lambda heard: heard.status == _OK, b"{}"
)
"""What only those who are local may ask; with nothing to look for, it is answered that it cannot be done."""

LOGIN: Final = Question(
    "Other",
    "GET",
    AUTH_STATUS_PATH,
    "200 with auth_enabled",
    lambda heard: read_login(heard.status, heard.body) is not None,
)

PREFLIGHT: Final = Question("Other", "OPTIONS", HEALTH_PATH, "200", lambda heard: heard.status == _OK)


def read_forwarded(from_far: int, from_near: int) -> Forwarded | None:
    """What the statuses say of those answers that `FAR` and `NEAR` got, as `X-Forwarded-For` named them."""
    match from_far, from_near:
        case (403, 200):
            return Forwarded.BELIEVED
        case (200, 200):
            return Forwarded.IGNORED
        case (403, 403):
            return Forwarded.REFUSED
    return None
