"""What Hermes says and is asked: read as Hermes reads it, and nothing of it raises."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO
from math import isfinite
from typing import Any
from urllib.parse import parse_qs, urlparse

from proxy.core.records import Ending, Slot
from proxy.guard.spool import in_memory
from proxy.hermes import answers, events, health
from proxy.hermes.contract import (
    Cancel,
    OpenStream,
    Other,
    SessionChannel,
    Start,
    Status,
    classify,
    session_of_start,
)
from proxy.hermes.precautions import Precaution, precautions
from proxy.http.message import Body
from tests.fuzz.hermes import HermesReader

METHODS = ("GET", "POST", "HEAD", "PUT", "get")
VISIBLE = frozenset(range(0x21, 0x7F))
"""The bytes of a target that get past the proxy's parser."""

NAMED = {
    Cancel: ("/api/chat/cancel", "stream_id"),
    OpenStream: ("/api/chat/stream", "stream_id"),
    Status: ("/api/chat/stream/status", "stream_id"),
    SessionChannel: ("/api/session/stream", "session_id"),
}
"""Each call that names something: its path, and where it does."""

OWN_PAGE_GETS = {
    "/api/approval/inject_test",
    "/api/clarify/inject_test",
    "/api/chat/cancel",
    "/api/background/status",
}
LOGINS = {"/api/auth/login", "/api/auth/passkey/login"}

STARTS = {"/api/chat/start": True, "/api/goal": True, "/api/btw": False, "/api/background": False}


def check_call(data: bytes) -> None:
    """The first byte is the method, the rest the target."""
    method, target = METHODS[(data[:1] or b"\0")[0] % len(METHODS)], data[1:]
    call = classify(method, target.decode("latin-1"))
    if not target or not VISIBLE.issuperset(target):
        return
    path, query = _as_hermes_reads(method, target)
    _check_precautions(method, target, path)
    assert isinstance(call, Start) == (method == "POST" and path in STARTS)
    if isinstance(call, Start):
        assert call.takes_turn == STARTS[path]
    for kind, (called, name) in NAMED.items():
        assert isinstance(call, kind) == (method == "GET" and path == called)
        if isinstance(call, kind):
            assert call == kind(query.get(name, [""])[0])


def _check_precautions(method: str, target: bytes, path: str) -> None:
    """No spelling of a call gets past the gate."""
    asked = precautions(method, target.decode("latin-1"))
    if method == "GET":
        assert (Precaution.OWN_PAGE in asked) == (path in OWN_PAGE_GETS)
        assert Precaution.HOST in asked or not path.endswith("/inject_test") or path not in OWN_PAGE_GETS
    else:
        assert (Precaution.LOGIN in asked) == (path in LOGINS)
        assert Precaution.NETWORK in asked or not path.startswith("/api/terminal/")


def _as_hermes_reads(method: str, target: bytes) -> tuple[str, dict[str, list[str]]]:
    """Path and query, by Python's own server; nothing where it would answer 500."""
    read = HermesReader(BytesIO(method.encode() + b" " + target + b" HTTP/1.1\r\n\r\n"))
    assert read.refused is None
    try:
        url = urlparse(read.path)
        return url.path, parse_qs(url.query)
    except ValueError:
        assert classify(method, target.decode("latin-1")) == Other()
        return "", {}


def check_start(data: bytes) -> None:
    """The first two bytes are the limit and the size of chunks, the rest the body of a start."""
    limit, size, body = (data[:1] or b"\0")[0], 1 + (data[1:2] or b"\0")[0], data[2:]
    whole = asyncio.run(_held(body, limit, size))
    assert whole == body
    session_id = session_of_start(body)
    assert session_id is None or (isinstance(session_id, str) and session_id == _loaded(body)["session_id"] != "")


async def _held(body: bytes, limit: int, size: int) -> bytes:
    """What comes out of holding a body, which is all of it on either side of the limit."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), size):
            yield body[at : at + size]

    held = await in_memory(Body(len(body), chunks()), limit)
    if isinstance(held, bytes):
        assert len(held) <= limit
        return held
    assert len(body) > limit
    return b"".join([chunk async for chunk in held.chunks])


def check_answer(data: bytes) -> None:
    """The first byte is the status, the rest the body of what Hermes answered."""
    status, body = (200, 404, 409)[(data[:1] or b"\0")[0] % 3], data[1:]
    started = answers.read_start(status, body, "asked")
    assert not isinstance(started, answers.Started) or (started.session_id and started.stream_id)
    assert answers.read_cancel(status, body) in {True, False, None}
    answers.read_status(status, body)
    answers.is_missing(status, body)
    answers.read_session(status, body)
    check_health(status, body)
    refused = json.loads(answers.refused_cancel(body, Ending.FINISHED))
    assert (refused["cancelled"], refused["reason"]) == (False, "finished")
    for text in _texts(_loaded(body)):
        assert json.loads(answers.stale_cancel(text, Ending.UNKNOWN, text))["stream_id"] == text


def check_health(status: int, body: bytes) -> None:
    """Whatever numbers it names can be reckoned with."""
    if (start := health.read_server_start(status, body, 1.0, 2.0)) is not None:
        assert not start.is_later_than(start)
        assert isfinite(start.at)
    if (runs := health.read_runs(status, body)) is not None:
        turn = health.Turn("x", stamp=1700.0, known_for=2.0)
        assert not runs.is_empty or runs.slot(turn) is Slot.FREE
        assert runs.includes("x") is not True or runs.slot(turn, marked=runs.marks_cancelled) is not Slot.FREE


EVENTS = ("done", "apperror", "error", "cancel", "stream_end", "compressed", "server_turn_started", "token", "")


def check_event(data: bytes) -> None:
    """The first byte is the event's type, the rest its data."""
    event, data = EVENTS[(data[:1] or b"\0")[0] % len(EVENTS)], data[1:]
    ending = events.ending_of(event, data)
    assert (ending is not None) == events.is_ending(event)
    events.rotation_of(event, data)
    events.announcement_of(event, data)
    session_id = events.session_in(data)
    for how in Ending:
        name, frame = events.synthesize(how, session_id)
        assert events.is_terminal(name)
        assert frame.count(b"\n") == 3
        assert frame.endswith(b"\n\n")


def _loaded(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(fields: dict[str, Any]) -> list[str]:
    return [value for value in fields.values() if isinstance(value, str)]
