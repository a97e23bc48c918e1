"""Reading and writing Hermes' JSON answers.

A reader returns None for an answer of any other shape: it teaches nothing (P8: transparent when unsure).
"""

import json
from dataclasses import dataclass
from typing import Any

from proxy.core.records import Ending, Slot

_OK = 200
_CONFLICT = 409
_NOT_FOUND = 404

_AGES = 1e12
"""Seconds that no process has run for: JSON can spell numbers that cannot be reckoned with."""

_ENDINGS = {
    "completed": Ending.FINISHED,
    "tool_limit_reached": Ending.FINISHED,
    "interrupted-by-user": Ending.CANCELLED,
    "interrupted-by-crash": Ending.FAILED,
    "errored": Ending.FAILED,
}


@dataclass(frozen=True, slots=True)
class Started:
    """A start was accepted; the stream may live in a session of its own (side streams)."""

    session_id: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A start was refused, since this stream owns the session."""

    stream_id: str


def read_start(status: int, body: bytes, asked_session: str | None) -> Started | Conflict | None:
    """What a start's answer says; `asked_session` stands in where the answer names no session."""
    fields = _object(body)
    if status == _OK and (stream_id := _text(fields, "stream_id")):
        session_id = _text(fields, "session_id") or asked_session
        return Started(session_id, stream_id) if session_id else None
    if status == _CONFLICT and (stream_id := _text(fields, "active_stream_id")):
        return Conflict(stream_id)
    return None


def read_cancel(status: int, body: bytes) -> bool | None:
    """`cancelled` of a 200; None for any other answer, which passes untouched."""
    cancelled = _object(body).get("cancelled") if status == _OK else None
    return cancelled if isinstance(cancelled, bool) else None


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """A stream's status: `ending` if its journal holds a terminal event, `session_id` if it names one."""

    active: bool
    ending: Ending | None
    session_id: str | None


def read_status(status: int, body: bytes) -> StatusAnswer | None:
    """What `stream/status` says. `active: false` alone proves no end (F3: the worker may still run)."""
    fields = _object(body) if status == _OK else {}
    active = fields.get("active")
    if not isinstance(active, bool):
        return None
    journal = fields.get("journal")
    journal = journal if isinstance(journal, dict) else {}
    return StatusAnswer(active, _ending(journal), _text(journal, "session_id"))


def _ending(journal: dict[str, Any]) -> Ending | None:
    if journal.get("terminal") is not True:
        return None
    return _ENDINGS.get(str(journal.get("terminal_state")), Ending.UNKNOWN)


def is_missing(status: int, body: bytes) -> bool:
    """Whether opening a stream was answered that there is none; a session hidden from the caller is another 404."""
    return status == _NOT_FOUND and _object(body).get("error") == "stream not found"


def read_server_start(status: int, body: bytes, now: float) -> float | None:
    """When the backend's process began, in seconds of `now`'s clock, from its `/health`.

    Every release tells its uptime; a few hundredths of a second between two readings are rounding.
    """
    uptime = _object(body).get("uptime_seconds") if status == _OK else None
    if isinstance(uptime, bool) or not isinstance(uptime, int | float) or not -_AGES < uptime < _AGES:
        return None
    return now - uptime


def tells_server_start(body: bytes) -> bool:
    """Whether a `/health` names the moment at which the process began."""
    return "server_started_at" in _object(body)


@dataclass(frozen=True, slots=True)
class Login:
    """Whether a login is needed, whether the caller has one, and whether the release knows of OIDC."""

    needed: bool
    done: bool
    knows_oidc: bool


def read_login(status: int, body: bytes) -> Login | None:
    """What `auth/status` says to its caller."""
    fields = _object(body) if status == _OK else {}
    needed, done = fields.get("auth_enabled"), fields.get("logged_in")
    if not (isinstance(needed, bool) and isinstance(done, bool)):
        return None
    return Login(needed, done, "oidc_enabled" in fields)


@dataclass(frozen=True, slots=True)
class Runs:
    """The workers that `/health` lists, by stream where the release names it (F3)."""

    named: frozenset[str]
    unnamed: int
    cancelling: bool

    @property
    def is_empty(self) -> bool:
        """Whether nobody works."""
        return not self.named and not self.unnamed

    def includes(self, stream_id: str) -> bool | None:
        """Whether somebody works on that stream; None if it cannot be told from the others."""
        if stream_id in self.named:
            return True
        return None if self.unnamed else False

    def slot(self, stream_id: str) -> Slot:
        """What this says of a cancelled stream's worker, if it was asked for after the cancel.

        Where runs are not named the backend refuses a start by itself while one is being cancelled.
        """
        if stream_id in self.named:
            return Slot.BUSY
        return Slot.FENCED if self.unnamed and self.cancelling else Slot.FREE


def read_runs(status: int, body: bytes) -> Runs | None:
    """The running workers, from `/health`."""
    runs = _object(body).get("runs") if status == _OK else None
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        return None
    named = frozenset(stream_id for run in runs if (stream_id := _text(run, "stream_id")))
    cancelling = any(run.get("phase") == "cancelling" for run in runs)
    return Runs(named, len(runs) - len(named), cancelling)


def stale_cancel(stream_id: str, reason: Ending, active_stream_id: str | None) -> bytes:
    """The body of a stale cancel's answer: `cancelled: false`, and why."""
    fields: dict[str, Any] = {"ok": True, "cancelled": False, "stream_id": stream_id, "reason": reason.value}
    if active_stream_id is not None:
        fields["active_stream_id"] = active_stream_id
    return _dump(fields)


def refused_cancel(body: bytes, reason: Ending) -> bytes:
    """The backend's own answer to a cancel, with `cancelled: false` and the reason, else as it was."""
    return _dump({**_object(body), "cancelled": False, "reason": reason.value})


def _dump(fields: dict[str, Any]) -> bytes:
    # Half a surrogate pair, which JSON can escape and UTF-8 cannot spell, is escaped again.
    return json.dumps(fields, indent=2, ensure_ascii=False).encode(errors="backslashreplace")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
