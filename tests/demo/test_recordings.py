"""The scenarios that were recorded from real releases, replayed on the stand-in.

Each test tells what the real release did: the order of events, the statuses and shapes, and who
closes. Numbers of tokens and times are smaller than they were.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from proxy.demo import Fate, Faults

if TYPE_CHECKING:
    from tests.demo.conftest import Play

A_TURN = "hello n=12 d=0.03 tag=A"
A_LONG_TURN = "hello n=800 d=0.01 tag=A"
OLD = ("v0.51.195", "v0.51.265")
ENDING = ["done", "title_status", "title", "stream_end"]


async def test_turn_runs_to_completion(play: Play, release: str) -> None:
    stage = await play(release)
    client = stage.client
    session_id = await client.session()
    started = await client.post("/api/chat/start", {"session_id": session_id, "message": A_TURN})
    assert started.status == 200
    assert set(started.json) == {
        "stream_id",
        "session_id",
        "pending_started_at",
        "turn_id",
        "title",
        "effective_model_provider",
    }
    stream_id = started.json["stream_id"]
    live = await client.stream(stream_id)
    assert live.head.header("Content-Type") == "text/event-stream; charset=utf-8"
    assert live.head.header("X-Accel-Buffering") == "no"
    assert live.head.header("Connection") == "close"
    await live.until("token")
    await _check_while_running(client, session_id, stream_id, release)
    await live.to_end()
    assert live.story == ["context_status", *["token"] * 12, *ENDING]
    assert live.text == "".join(f"A{index} " for index in range(12))
    await _check_once_ended(client, session_id, stream_id, live.events[-1].seq)


async def _check_while_running(client: Any, session_id: str, stream_id: str, release: str) -> None:
    health = await client.health()
    assert (health["active_streams"], health["active_runs"]) == (1, 1)
    assert ("server_started_at" in health) is (release not in OLD)
    status = await client.status(stream_id)
    assert status["active"] is True
    assert (status["journal"]["terminal"], status["journal"]["terminal_state"]) == (False, "running")
    session = (await client.get(f"/api/session?session_id={session_id}&messages=0")).json["session"]
    assert session["active_stream_id"] == stream_id
    assert session["message_count"] == 1
    assert session["messages"] == []
    assert session["is_streaming"] is (release != "v0.51.195")


async def _check_once_ended(client: Any, session_id: str, stream_id: str, last_seq: int | None) -> None:
    status = await client.status(stream_id)
    assert status["active"] is False
    assert status["journal"] == {
        "session_id": session_id,
        "run_id": stream_id,
        "last_seq": last_seq,
        "last_event_id": f"{stream_id}:{last_seq}",
        "last_event": "stream_end",
        "terminal": True,
        "terminal_state": "completed",
    }
    assert await client.cancel(stream_id) is False
    session = (await client.get(f"/api/session?session_id={session_id}")).json["session"]
    assert (session["title"], session["active_stream_id"]) == ("title A", None)
    assert [message["role"] for message in session["messages"]] == ["user", "assistant"]


async def test_ended_stream_is_replayed_from_its_journal(play: Play, release: str) -> None:
    client = (await play(release)).client
    stream_id = await client.start(await client.session(), A_TURN)
    live = await client.stream(stream_id)
    await live.to_end()
    again = await client.stream(stream_id)
    assert [event.seq for event in await again.to_end()] == list(range(1, len(live.events) + 1))
    assert again.names == live.names
    done = again.names.index("done")
    assert again.events[done].data == live.events[done].data
    after = await client.stream(stream_id, "&after_seq=3")
    assert (await after.to_end())[0].seq == 4
    resumed = await client.stream(stream_id, Last_Event_ID=f"{stream_id}:3")
    first = (await resumed.to_end())[0].seq
    assert first == (1 if release in OLD else 4)


async def test_cancel_running_turn(play: Play, release: str) -> None:
    stage = await play(release)
    stage.hang()
    client = stage.client
    session_id = await client.session()
    stream_id = await client.start(session_id, A_LONG_TURN)
    live = await client.stream(stream_id)
    await live.until("token")
    answer = await client.get(f"/api/chat/cancel?stream_id={stream_id}")
    assert answer.json == {"ok": True, "cancelled": True, "stream_id": stream_id}
    status = await client.status(stream_id)
    assert status["active"] is False
    assert status["journal"]["terminal_state"] == "lost-worker-bookkeeping"
    health = await client.health()
    assert (health["active_streams"], health["active_runs"]) == (0, 1)
    assert health["runs"][0]["phase"] == ("running" if release in OLD else "cancelling")
    await live.to_end()
    assert live.names[-1] == "cancel"
    described = {"type": "cancelled", "status": "cancelled", "session_id": session_id}
    data = live.events[-1].data
    assert data["message"] == "Cancelled by user"
    assert (described.items() <= data.items()) is (release not in OLD)
    stage.unhang()
    await client.until_idle()
    await _check_once_cancelled(client, session_id, stream_id)


async def _check_once_cancelled(client: Any, session_id: str, stream_id: str) -> None:
    journal = (await client.status(stream_id))["journal"]
    assert (journal["last_event"], journal["terminal"]) == ("cancel", True)
    assert journal["terminal_state"] == "interrupted-by-user"
    assert await client.cancel(stream_id) is False
    session = (await client.get(f"/api/session?session_id={session_id}")).json["session"]
    assert session["active_stream_id"] is None
    said = [(message["role"], bool(message.get("_partial"))) for message in session["messages"]]
    assert said == [("user", False), ("assistant", True), ("assistant", False)]
    replay = await client.stream(stream_id)
    await replay.to_end()
    assert replay.story[0] == "context_status"
    assert replay.events[-1].name == "cancel"
    assert replay.events[-1].seq == journal["last_seq"]


async def test_double_cancel(play: Play, release: str) -> None:
    stage = await play(release)
    stage.hang()
    client = stage.client
    stream_id = await client.start(await client.session(), A_LONG_TURN)
    live = await client.stream(stream_id)
    await live.until("token")
    answers = await asyncio.gather(*(client.cancel(stream_id) for _ in range(3)))
    answers.append(await client.cancel(stream_id))
    extra = release != "v0.51.195"
    assert sorted(answers) == sorted([True, extra, extra, extra])
    await live.to_end()
    assert live.names.count("cancel") == 1
    stage.unhang()
    await client.until_idle()
    assert await client.cancel(stream_id) is False


async def test_start_while_running(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await client.session()
    stream_id = await client.start(session_id, A_LONG_TURN)
    second = await client.post("/api/chat/start", {"session_id": session_id, "message": "second"})
    assert second.status == 409
    assert second.json == {
        "error": "session already has an active stream",
        "active_stream_id": stream_id,
    }
    assert await client.cancel(stream_id) is True


async def test_start_immediately_after_cancel_inherits_the_cancelled_text(play: Play) -> None:
    """v0.51.195: an ``apperror``, then the cancelled turn's tokens, its reasoning, and heartbeats."""
    stage = await play("v0.51.195", heartbeat=0.1)
    stage.hang()
    client = stage.client
    session_id = await client.session()
    first = await client.start(session_id, "hello n=40 d=0.01 tag=A")
    live = await client.stream(first)
    await live.until("token")
    assert await client.cancel(first) is True
    second = await client.start(session_id, "second n=12 d=0.01 tag=B")
    poisoned = await client.stream(second)
    error = await poisoned.until("apperror")
    stage.unhang()
    assert error.data["message"] == "No response from provider."
    reasoning = await poisoned.until("reasoning")
    assert reasoning.data["text"] == " ".join(f"A{index}" for index in range(40))
    assert poisoned.story[:2] == ["context_status", "apperror"]
    assert poisoned.text
    assert "B" not in poisoned.text
    assert await client.cancel(first) is False
    await poisoned.until(": heartbeat")
    assert (await client.status(second))["journal"]["terminal_state"] == "errored"


async def test_start_immediately_after_cancel_falls_silent(play: Play) -> None:
    """v0.51.265: one event, then heartbeats; the journal has no ending."""
    stage = await play("v0.51.265", heartbeat=0.1)
    stage.hang()
    client = stage.client
    session_id = await client.session()
    first = await client.start(session_id, A_LONG_TURN)
    live = await client.stream(first)
    await live.until("token")
    assert await client.cancel(first) is True
    second = await client.start(session_id, "second n=12 d=0.01 tag=B")
    silent = await client.stream(second)
    stage.unhang()
    await client.until_idle()
    for _ in range(3):
        await silent.until(": heartbeat")
    assert silent.story == ["context_status"]
    assert await client.cancel(first) is False
    status = await client.status(second)
    assert status["active"] is False
    assert status["journal"]["terminal"] is False


async def test_start_immediately_after_cancel_is_refused_until_the_worker_has_unwound(play: Play) -> None:
    """v0.52.262: 409 that names the cancelled stream, 100 ms later it is accepted (F2)."""
    stage = await play("v0.52.262")
    stage.hang()
    client = stage.client
    session_id = await client.session()
    first = await client.start(session_id, A_LONG_TURN)
    assert await client.cancel(first) is True
    second = {"session_id": session_id, "message": "second n=12 d=0.01 tag=B"}
    refused = await client.post("/api/chat/start", second)
    assert (refused.status, refused.json["active_stream_id"]) == (409, first)
    stage.unhang()
    await client.until_idle()
    live = await client.stream((await client.post("/api/chat/start", second)).json["stream_id"])
    await live.to_end()
    assert live.story == ["context_status", *["token"] * 12, *ENDING]
    assert await client.cancel(first) is False


async def test_two_tabs_one_stream(play: Play, release: str) -> None:
    """Who joins late hears what comes from then on; a cursor helps only on v0.52 (F12)."""
    client = (await play(release)).client
    stream_id = await client.start(await client.session(), A_LONG_TURN)
    tab_1 = await client.stream(stream_id)
    heard = (await client.status(stream_id))["journal"]["last_seq"]
    await client.until_journalled(stream_id, heard + 3)
    tab_2 = await client.stream(stream_id)
    tab_3 = await client.stream(stream_id, "&after_seq=2")
    late, resumed = await tab_2.until("token"), await tab_3.until("token")
    assert late.data != {"text": "A0 "}
    assert (resumed.seq or 0) > heard if release in OLD else resumed.seq == 3
    assert await client.cancel(stream_id) is True
    for tab in (tab_1, tab_2, tab_3):
        await tab.to_end()
        assert tab.names[-1] == "cancel"


async def test_side_streams(play: Play, release: str) -> None:
    client = (await play(release, heartbeat=0.1)).client
    session_id = await client.session()
    btw = (await client.post("/api/btw", {"session_id": session_id, "question": "n=5 d=0.1 tag=Q"})).json
    assert set(btw) == {"stream_id", "session_id", "parent_session_id"}
    assert btw["parent_session_id"] == session_id != btw["session_id"]
    aside = await client.stream(btw["stream_id"])
    done = await aside.until("done")
    assert (done.data["ephemeral"], done.data["answer"]) == (True, "Q0 Q1 Q2 Q3 Q4")
    for _ in range(2):
        await aside.until(": heartbeat")
    assert aside.story == ["context_status", *["token"] * 5, "done"]
    body = {"session_id": session_id, "prompt": "n=5 d=0.01 tag=G"}
    task = (await client.post("/api/background", body)).json
    assert set(task) == {"task_id", "stream_id", "session_id"}
    work = await client.stream(task["stream_id"])
    await work.to_end()
    assert work.story == ["context_status", *["token"] * 5, "done", "stream_end"]
    path = f"/api/background/status?session_id={session_id}"
    (result,) = (await client.get(path)).json["results"]
    assert (result["task_id"], result["answer"]) == (task["task_id"], "G0 G1 G2 G3 G4")
    assert (await client.get(path)).json["results"] == []
    goal = (await client.post("/api/goal", {"session_id": session_id, "args": "status"})).json
    assert (goal["ok"], goal["action"], goal["goal"]) == (True, "status", None)


async def test_session_channel(play: Play, release: str) -> None:
    client = (await play(release, heartbeat=0.1)).client
    session_id = await client.session()
    channel = await client.subscribe(f"/api/session/stream?session_id={session_id}")
    assert channel.head.status == (404 if release in OLD else 200)
    if release not in OLD:
        assert channel.head.header("Connection") is None
        assert (await channel.until("initial")).data == {"session_id": session_id}
        await channel.until(": keepalive")
    listing = await client.subscribe("/api/sessions/events")
    await client.start(session_id, "hello n=5 d=0.01")
    changed = await listing.until("sessions_changed")
    assert changed.data["reason"] == "session_new"
    assert changed.data.get("session_id") == (None if release in OLD else session_id)
    assert changed.event_id is None
    await listing.until(": keepalive")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("GET", "/api/chat/cancel?stream_id=x", None, 200, {"ok": True, "cancelled": False, "stream_id": "x"}),
        ("GET", "/api/chat/cancel", None, 400, {"error": "stream_id required"}),
        (
            "GET",
            "/api/chat/stream/status?stream_id=x",
            None,
            200,
            {"active": False, "stream_id": "x", "replay_available": False},
        ),
        ("GET", "/api/chat/stream?stream_id=x", None, 404, {"error": "stream not found"}),
        ("GET", "/api/chat/stream", None, 404, {"error": "stream not found"}),
        ("POST", "/api/chat/start", {"session_id": "nope", "message": "x"}, 404, {"error": "Session not found"}),
        ("POST", "/api/chat/start", {"message": "x"}, 400, {"error": "Missing required field(s): session_id"}),
        ("POST", "/api/chat/cancel?stream_id=x", {}, 404, {"error": "not found"}),
    ],
)
async def test_unknown_and_malformed(  # noqa: PLR0917  the columns of the table above
    play: Play, release: str, method: str, path: str, body: Any, status: int, answer: Any
) -> None:
    reply = await (await play(release)).client.call(method, path, body)
    assert (reply.status, reply.json) == (status, answer)
    assert reply.header("Content-Type") == "application/json; charset=utf-8"
    assert reply.header("Cache-Control") == "no-store"


async def test_auth_enabled(play: Play, release: str) -> None:
    """The password's answers, up to the limit on guesses by address (F9)."""
    client = (await play(release, password="sesame")).client
    refused = await client.get("/api/chat/cancel?stream_id=x")
    assert (refused.status, refused.json) == (401, {"error": "Authentication required"})
    assert refused.header("Content-Type") == "application/json"
    assert (await client.get("/health")).status == 200
    wrong = await client.post("/api/auth/login", {"password": "wrong"})
    assert (wrong.status, wrong.json) == (401, {"error": "Invalid password"})
    right = await client.post("/api/auth/login", {"password": "sesame"})
    assert (right.status, right.json) == (200, {"ok": True})
    cookie, *marks = (right.header("Set-Cookie") or "").split("; ")
    assert cookie.startswith("hermes_session=")
    assert marks == ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax"]
    status = (await client.get("/api/auth/status", Cookie=cookie)).json
    assert (status["auth_enabled"], status["logged_in"]) == (True, True)
    assert ("oidc_enabled" in status) is (release not in OLD)
    assert (await client.get("/api/chat/cancel?stream_id=x", Cookie=cookie)).status == 200
    guesses = [(await client.post("/api/auth/login", {"password": "wrong"})).status for _ in range(7)]
    assert guesses == [401] * 5 + [429] * 2


async def test_a_turn_in_the_elders_shadow_may_also_speak_and_never_end(play: Play) -> None:
    """Seen on v0.51.265 in two of six further rounds: all of its text, but no ending."""
    faults = Faults(fate=Fate.UNFINISHED, hang=True)
    stage = await play("v0.51.265", heartbeat=0.1, faults=faults)
    client = stage.client
    session_id = await client.session()
    first = await client.start(session_id, A_LONG_TURN)
    await client.cancel(first)
    second = await client.start(session_id, "n=5 d=0.1 tag=B")
    live = await client.stream(second)
    stage.unhang()
    await client.until_idle()
    while len(live.story) < 6:
        await live.next()
    await live.until(": heartbeat")
    assert live.story == ["context_status", *["token"] * 5]
    assert (await client.status(second))["journal"]["terminal_state"] == "lost-worker-bookkeeping"
    replay = await client.stream(second)
    last = (await replay.to_end())[-1]
    assert (last.name, last.data["type"]) == ("apperror", "interrupted")
