"""Reading and writing Hermes' JSON answers.

A reader returns None for an answer of any other shape: it teaches nothing (P8: transparent when unsure).
"""

import json
from dataclasses import dataclass
from typing import Any

from proxy.core.records import Ending
from proxy.hermes.fields import number, read_object, text

_OK = 200
_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_CONFLICT = 409
_NOT_FOUND = 404

_ENDINGS = {
    "completed": Ending.FINISHED,
    "tool_limit_reached": Ending.FINISHED,
    "interrupted-by-user": Ending.CANCELLED,
    "interrupted-by-crash": Ending.FAILED,
    "errored": Ending.FAILED,
}


@dataclass(frozen=True, slots=True)
class Started:
    """A start was accepted; the stream may live in a session of its own (side streams).

    `stamp` is when the turn began on Hermes' clock, in seconds since the epoch.
    """

    session_id: str
    stream_id: str
    stamp: float | None = None

    @property
    def is_hosted(self) -> bool:
        """Whether Hermes itself runs this turn; a runner's has no stamp, and no cancel reaches it (F20).

        Not for a side stream, whose answer has none either way.
        """
        return self.stamp is not None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A start was refused, since this stream owns the session."""

    stream_id: str


def stream_begun(status: int, body: bytes) -> str | None:
    """The stream that a start's answer says has begun; None for any other answer."""
    return text(read_object(body), "stream_id") if status == _OK else None


def read_start(status: int, body: bytes, asked_session: str | None) -> Started | Conflict | None:
    """What a start's answer says; `asked_session` stands in where the answer names no session."""
    fields = read_object(body)
    if stream_id := stream_begun(status, body):
        session_id = text(fields, "session_id") or asked_session
        return Started(session_id, stream_id, number(fields, "pending_started_at")) if session_id else None
    if status == _CONFLICT and (stream_id := text(fields, "active_stream_id")):
        return Conflict(stream_id)
    return None


def read_cancel(status: int, body: bytes) -> bool | None:
    """`cancelled` of a 200; None for any other answer, which passes untouched."""
    cancelled = read_object(body).get("cancelled") if status == _OK else None
    return cancelled if isinstance(cancelled, bool) else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A steer was accepted, for this stream if the answer names one; whether it reaches the model is not said (F18)."""

    stream_id: str | None


def read_steer(status: int, body: bytes) -> Accepted | None:
    """What a steer's answer says; None unless it was accepted."""
    fields = read_object(body) if status == _OK else {}
    return Accepted(text(fields, "stream_id")) if fields.get("accepted") is True else None


def is_known_to_steer(status: int) -> bool:
    """Whether this answers `contract.steer_without_text` to a caller whom Hermes knows: it misses the text."""
    return status in (_OK, _BAD_REQUEST)


def refused_steer() -> bytes:
    """The body of a steer's answer, as Hermes words it where no turn runs: a page gives the text back to its person."""
    return _dump({"accepted": False, "fallback": "not_running", "stream_id": None})


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """A stream's status: `ending` if its journal holds a terminal event, `session_id` if it names one.

    `is_open` says that there is a journal without a terminal event, and nobody to subscribe to: the worker still
    unwinds (F3), or was lost.
    """

    active: bool
    ending: Ending | None
    session_id: str | None
    is_open: bool = False


def read_status(status: int, body: bytes) -> StatusAnswer | None:
    """What `stream/status` says. `active: false` alone proves no end (F3: the worker may still run)."""
    fields = read_object(body) if status == _OK else {}
    active = fields.get("active")
    if not isinstance(active, bool):
        return None
    journal = fields.get("journal")
    journal = journal if isinstance(journal, dict) else {}
    ending = _ending(journal)
    return StatusAnswer(active, ending, text(journal, "session_id"), bool(journal) and not active and ending is None)


def _ending(journal: dict[str, Any]) -> Ending | None:
    if journal.get("terminal") is not True:
        return None
    return _ENDINGS.get(str(journal.get("terminal_state")), Ending.UNKNOWN)


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """A session; `updated_at` is when it was last saved, on Hermes' clock in seconds since the epoch."""

    updated_at: float | None


def read_session(status: int, body: bytes) -> SessionAnswer | None:
    """What `/api/session` says."""
    session = read_object(body).get("session") if status == _OK else None
    return SessionAnswer(number(session, "updated_at")) if isinstance(session, dict) else None


def is_missing(status: int, body: bytes) -> bool:
    """Whether opening a stream was answered that there is none; a session hidden from the caller is another 404."""
    return status == _NOT_FOUND and read_object(body).get("error") == "stream not found"


@dataclass(frozen=True, slots=True)
class Login:
    """What Hermes says of logins.

    Attributes:
        needed: Whether one is needed.
        done: Whether the caller has one.
        knows_oidc: Whether the release knows of OIDC.
        goes_by_header: Whether it was told to believe a header that says who is logged in.
    """

    needed: bool
    done: bool
    knows_oidc: bool
    goes_by_header: bool = False


def read_login(status: int, body: bytes) -> Login | None:
    """What `auth/status` says to its caller."""
    fields = read_object(body) if status == _OK else {}
    needed, done = fields.get("auth_enabled"), fields.get("logged_in")
    if not (isinstance(needed, bool) and isinstance(done, bool)):
        return None
    return Login(needed, done, "oidc_enabled" in fields, fields.get("trusted_auth_enabled") is True)


def takes_page(status: int, body: bytes) -> bool:
    """Whether an answer to a start without a session shows that Hermes takes requests from the page that it came from.

    It looks at the page first, then for the token that a page has to send with a POST, and then at what is asked. Up to
    v0.51.124 a page that is not taken and a token that is missing are told in the same words, which say nothing here.
    """
    if status == _FORBIDDEN:
        return read_object(body).get("error") == "Session expired - reload the page"
    return status == _BAD_REQUEST


def is_stranger(status: int) -> bool:
    """Whether Hermes wants a login first: before it looks at anything else, and for every other call as well."""
    return status == _UNAUTHORIZED


def stale_cancel(stream_id: str, reason: Ending, active_stream_id: str | None) -> bytes:
    """The body of a stale cancel's answer: `cancelled: false`, and why."""
    fields: dict[str, Any] = {"ok": True, "cancelled": False, "stream_id": stream_id, "reason": reason.value}
    if active_stream_id is not None:
        fields["active_stream_id"] = active_stream_id
    return _dump(fields)


def refused_cancel(body: bytes, reason: Ending, active_stream_id: str | None = None) -> bytes:
    """The backend's own answer to a cancel, with `cancelled: false` and the reason, else as it was."""
    fields = {**read_object(body), "cancelled": False, "reason": reason.value}
    if active_stream_id is not None:
        fields["active_stream_id"] = active_stream_id
    return _dump(fields)


def _dump(fields: dict[str, Any]) -> bytes:
    # Half a surrogate pair, which JSON can escape and UTF-8 cannot spell, is escaped again.
    return json.dumps(fields, indent=2, ensure_ascii=False).encode(errors="backslashreplace")
