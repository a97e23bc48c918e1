from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.demo.conftest import Play


@pytest.mark.parametrize(("kind", "event"), [("approval", "approval"), ("clarify", "clarify")])
async def test_loopback_may_put_a_prompt_before_the_user(play: Play, release: str, kind: str, event: str) -> None:
    """F9: behind a proxy on the same host, everybody is loopback."""
    client = (await play(release)).client
    session_id = await client.session()
    stream = await client.subscribe(f"/api/{kind}/stream?session_id={session_id}")
    assert stream.head.header("Connection") == "close"
    assert (await stream.until("initial")).data == {"pending": None, "pending_count": 0}
    reply = await client.get(f"/api/{kind}/inject_test?session_id={session_id}")
    assert (reply.status, reply.json) == (200, {"ok": True, "session_id": session_id})
    await stream.until(event)


@pytest.mark.parametrize(
    "path", ["/api/approval/stream", "/api/clarify/stream", "/api/session/stream", "/api/approval/inject_test"]
)
async def test_a_channel_must_name_its_session(play: Play, path: str) -> None:
    assert (await (await play()).client.get(path)).status == 400


async def test_from_elsewhere_the_test_paths_do_not_exist(play: Play) -> None:
    """The peer is 127.0.0.1 or it is not: another loopback address is elsewhere already."""
    stage = await play()
    connection = await stage.client.connect(source="127.0.0.2")
    await connection.send(stage.client.encode("GET", "/api/approval/inject_test?session_id=x"))
    assert (await connection.reply()).status == 404
    await connection.send(stage.client.encode("GET", "/api/updates/check?simulate=1"))
    assert (await connection.reply()).json["webui"]["behind"] == 0


async def test_updates_are_simulated_for_loopback(play: Play) -> None:
    """F9."""
    client = (await play()).client
    assert (await client.get("/api/updates/check?simulate=1")).json["webui"]["behind"] == 3


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*"])
async def test_a_sessions_events_are_a_stream_whatever_is_accepted(play: Play, accept: str) -> None:
    """F21."""
    client = (await play(heartbeat=0.05)).client
    session_id = await client.session()
    events = await client.subscribe(f"/api/sessions/{session_id}/events", Accept=accept)
    assert events.head.header("Content-Type") == "text/event-stream; charset=utf-8"
    await events.until(": keepalive")
    await client.start(session_id, "n=4 d=0.05 tag=A")
    await events.until("stream_end")
    assert events.text.split()[-1] == "A3"


async def test_a_sessions_events_exist_on_v0_52_and_for_known_sessions(play: Play) -> None:
    old = (await play("v0.51.265")).client
    assert (await old.get(f"/api/sessions/{await old.session()}/events")).status == 404
    new = (await play()).client
    assert (await new.get("/api/sessions/nope/events")).json == {"error": "Session not found"}
    assert (await new.post(f"/api/sessions/{await new.session()}/events")).status == 404
