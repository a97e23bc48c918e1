"""Which of Hermes' calls a request is, read as Hermes itself reads it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, urlparse

from proxy.hermes.fields import read_object, text

START_PATH = "/api/chat/start"
CANCEL_PATH = "/api/chat/cancel"
STEER_PATH = "/api/chat/steer"
STREAM_PATH = "/api/chat/stream"
STATUS_PATH = "/api/chat/stream/status"
SESSION_PATH = "/api/session"
SESSION_CHANNEL_PATH = "/api/session/stream"
LIST_CHANNEL_PATH = "/api/sessions/events"
APPROVAL_STREAM_PATH = "/api/approval/stream"
HEALTH_PATH = "/health"
AUTH_STATUS_PATH = "/api/auth/status"
LOCAL_ONLY_PATH = "/api/onboarding/probe"
"""Of the paths that trust the local network (F9), the one that changes nothing: asked with nothing, it says so."""
EVENT_STREAM = "text/event-stream"

GOAL_PATH = "/api/goal"
WHOLE_TURN_PATH = "/api/chat"
TURN_PATHS = frozenset({START_PATH, GOAL_PATH})
SIDE_PATHS = frozenset({"/api/btw", "/api/background"})
CHANGE_PATHS = frozenset(
    {
        *("/api/session/undo", "/api/session/retry", "/api/session/truncate", "/api/session/clear"),
        *("/api/session/delete", "/api/session/compress", "/api/session/compress/start"),
        *("/api/session/handoff-summary", "/api/session/import_cli"),
        *("/api/session/branch", "/api/session/duplicate", "/api/share/create"),  # a copy of half a turn stays half
        WHOLE_TURN_PATH,
    }
)
"""Whatever rewrites or copies the messages of the session that its body names (F17).

Not here: calls that leave messages alone (`session/update`, `rename`, `pin`, `archive`, `move`, `draft`, `toolsets`,
`anchor-scene`, `title/regenerate`, `conversation-rounds`, `worktree/remove`, `share/revoke`, `projects/delete`) or
begin a session with none of another's (`session/new`, `session/import`, `compression-recovery/start`); and calls that
name no session (`sessions/cleanup`, `sessions/cleanup_zero_message`, `recovery/repair-safe`): they go through the files
of all of them, those of running turns included, and no Stop that they waited for would make these still.
"""
_NO_KICKOFF = frozenset({"", "status", "pause", "clear", "stop", "done"})
"""What is said to a goal that begins no turn (F21). `resume` may: that is Hermes' to know."""
EVENT_STREAM_PATHS = frozenset(
    {
        "/api/sessions/gateway/stream",
        APPROVAL_STREAM_PATH,
        "/api/clarify/stream",
        "/api/kanban/events/stream",
        "/api/terminal/output",
    }
)


@dataclass(frozen=True, slots=True)
class Cancel:
    """`GET /api/chat/cancel`; an empty `stream_id` is the backend's to refuse."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class Start:
    """A POST that starts a turn, or may: of its session if it takes a turn, else a side stream's.

    Whether one for a goal starts any is for its body to say.
    """

    takes_turn: bool
    is_goal: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A POST that rewrites or copies its session's messages, or is a whole turn in one call (F17)."""

    path: str

    @property
    def is_turn(self) -> bool:
        """Whether it is a turn, which asks the model and may take minutes."""
        return self.path == WHOLE_TURN_PATH


@dataclass(frozen=True, slots=True)
class Steer:
    """`POST /api/chat/steer`: a text for the agent of the turn that runs."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """`GET /api/chat/stream`: one browser's subscription to one turn."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class Status:
    """`GET /api/chat/stream/status`."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class SessionChannel:
    """`GET /api/session/stream`: announces turns that no browser started."""

    session_id: str


@dataclass(frozen=True, slots=True)
class ListChannel:
    """`GET /api/sessions/events`: says that the list of sessions has changed, and nothing else, to all the same."""


@dataclass(frozen=True, slots=True)
class Health:
    """`GET /health`, which needs no login."""


@dataclass(frozen=True, slots=True)
class EventStream:
    """Any other long-lived event stream."""


@dataclass(frozen=True, slots=True)
class Other:
    """A call that says nothing about streams."""


Call = (
    Cancel | Start | Change | Steer | OpenStream | Status | SessionChannel | ListChannel | Health | EventStream | Other
)


def classify(method: str, target: str, accept: str = "") -> Call:
    """The call that Hermes makes of this request line.

    Args:
        method: As sent; Hermes compares it with its case.
        target: The request target as sent, in any of the forms of RFC 9112 section 3.2.
        accept: The request's Accept header. Browsers' EventSource asks for an event stream by it.
    """
    try:
        path, query = split(target)
    except ValueError:
        return Other()
    if method == "POST":
        return _classify_post(path)
    if method != "GET":
        return Other()
    return _classify_get(path, query, accept)


_SHORT = 512
"""Characters of the targets that are remembered: each request's is split more than once."""


def split(target: str) -> tuple[str, dict[str, list[str]]]:
    """Path and query of a request target.

    Hermes collapses leading slashes and takes the two apart with `urlparse` and `parse_qs`; so does this, so that no
    spelling of a guarded call slips by.

    Raises:
        ValueError: it cannot be taken apart, and Hermes answers 500.
    """
    return _split_short(target) if len(target) <= _SHORT else _split(target)


def _split(target: str) -> tuple[str, dict[str, list[str]]]:
    url = urlparse("/" + target.lstrip("/") if target.startswith("//") else target)
    return url.path, parse_qs(url.query)


_split_short = lru_cache(maxsize=64)(_split)


def _classify_post(path: str) -> Call:
    if path in TURN_PATHS:
        return Start(takes_turn=True, is_goal=path == GOAL_PATH)
    if path in CHANGE_PATHS:
        return Change(path)
    if path == STEER_PATH:
        return Steer()
    return Start(takes_turn=False) if path in SIDE_PATHS else Other()


def _classify_get(path: str, query: dict[str, list[str]], accept: str) -> Call:
    read = _GETS.get(path)
    if read is not None:
        return read(query)
    if path in EVENT_STREAM_PATHS or EVENT_STREAM in accept.lower():
        return EventStream()
    return Other()


def _first(query: dict[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0]


_GETS: dict[str, Callable[[dict[str, list[str]]], Call]] = {
    CANCEL_PATH: lambda query: Cancel(_first(query, "stream_id")),
    STREAM_PATH: lambda query: OpenStream(_first(query, "stream_id")),
    SESSION_CHANNEL_PATH: lambda query: SessionChannel(_first(query, "session_id")),
    LIST_CHANNEL_PATH: lambda _query: ListChannel(),
    STATUS_PATH: lambda query: Status(_first(query, "stream_id")),
    HEALTH_PATH: lambda _query: Health(),
}


def session_of_start(body: bytes) -> str | None:
    """The session that a start's JSON body names, or None where Hermes would find none."""
    return text(read_object(body), "session_id")


def kicks_off(body: bytes) -> bool:
    """Whether the JSON body of a call for a goal may start a turn, its words compared as Hermes compares them (F21)."""
    fields = read_object(body)
    words = str(fields.get("args") or fields.get("text") or "")
    return words.strip().lower() not in _NO_KICKOFF


@dataclass(frozen=True, slots=True)
class Steering:
    """What a steer's body says: a session, and a text, without the space around it, which the agent drops."""

    session_id: str
    text: str


def read_steering(body: bytes) -> Steering | None:
    """A steer's JSON body, or None where Hermes would refuse it, or read something else than a text."""
    fields = read_object(body)
    session_id, said = (text(fields, "session_id") or "").strip(), (text(fields, "text") or "").strip()
    return Steering(session_id, said) if session_id and said else None


def steer_without_text(session_id: str) -> bytes:
    """The body of a steer that steers nothing: Hermes refuses it, though only to those whom it knows (P9)."""
    return json.dumps({"session_id": session_id, "text": ""}).encode()
