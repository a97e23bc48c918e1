"""The calls that change what a session has said, and F17: a cancelled worker undoes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.demo.conftest import Client, Play

MARK = "**Task cancelled:** Task cancelled."
LONG = "n=800 d=0.01 tag=B"


async def _said(client: Client, session_id: str) -> list[tuple[str, str]]:
    session = (await client.get(f"/api/session?session_id={session_id}")).json["session"]
    return [(message["role"], message["content"]) for message in session["messages"]]


async def _turn(client: Client, session_id: str, message: str = "n=2 d=0.01 tag=A") -> None:
    await (await client.stream(await client.start(session_id, message))).to_end()


async def _stopped(client: Client, message: str = LONG, until: str = "token") -> str:
    """A session with a turn, and a second one that was stopped; its worker is still there if it hangs."""
    session_id = await client.session()
    await _turn(client, session_id)
    stream_id = await client.start(session_id, message)
    await (await client.stream(stream_id)).until(until)
    assert await client.cancel(stream_id) is True
    return session_id


async def _change(client: Client, name: str, session_id: str, **more: Any) -> Any:
    reply = await client.post(f"/api/session/{name}", {"session_id": session_id, **more})
    assert reply.status == 200
    return reply.json


FIRST = [("user", "n=2 d=0.01 tag=A"), ("assistant", "A0 A1")]


@pytest.mark.parametrize(
    ("name", "more", "kept"),
    [("undo", {}, FIRST), ("retry", {}, FIRST), ("truncate", {"keep_count": 2}, FIRST), ("clear", {}, [])],
)
async def test_a_change_right_after_a_stop_is_undone_by_the_worker(
    play: Play, release: str, name: str, more: dict[str, int], kept: list[tuple[str, str]]
) -> None:
    """F17: the mark and the partial text come back, without their question."""
    stage = await play(release)
    stage.hang()
    client = stage.client
    session_id = await _stopped(client)
    await _change(client, name, session_id, **more)
    assert await _said(client, session_id) == kept
    stage.unhang()
    await client.until_idle()
    *left, mark, partial = await _said(client, session_id)
    assert (left, mark) == (kept, ("assistant", MARK))
    assert partial[1].startswith("B0")


async def test_a_change_once_the_worker_has_gone_is_final(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await _stopped(client)
    await client.until_idle()
    undone = await _change(client, "undo", session_id)
    assert undone == {"ok": True, "removed_count": 3, "removed_preview": LONG}
    assert await _said(client, session_id) == FIRST


async def test_what_is_left_alone_is_not_written_twice(play: Play) -> None:
    client = (await play()).client
    session_id = await _stopped(client)
    await client.until_idle()
    assert [role for role, _ in await _said(client, session_id)] == ["user", "assistant"] * 2 + ["assistant"]


async def test_a_tools_result_comes_back_without_its_call(play: Play) -> None:
    stage = await play()
    stage.hang()
    session_id = await _stopped(stage.client, "tool=60 tag=B", until="tool")
    await _change(stage.client, "undo", session_id)
    stage.unhang()
    await stage.client.until_idle()
    came_back = (await _said(stage.client, session_id))[len(FIRST) :]
    assert came_back == [("tool", "sleptB"), ("assistant", MARK), ("assistant", "Bcalls")]


async def test_undo_and_retry_tell_what_they_removed(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    long = "n=1 d=0.01 " + "very " * 20 + "long"
    await _turn(client, session_id)
    await _turn(client, session_id, long)
    undone = await _change(client, "undo", session_id)
    assert undone == {"ok": True, "removed_count": 2, "removed_preview": f"{long[:40]}..."}
    retried = await _change(client, "retry", session_id)
    assert retried == {"ok": True, "last_user_text": FIRST[0][1], "removed_count": 2}
    assert await _change(client, "undo", session_id) == {"error": "Nothing to undo."}
    assert await _change(client, "retry", session_id) == {"error": "No previous message to retry."}


async def test_clear_frees_the_session_and_its_title(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    await client.start(session_id, LONG)
    cleared = (await _change(client, "clear", session_id))["session"]
    assert (cleared["title"], cleared["active_stream_id"], cleared["message_count"]) == ("Untitled", None, 0)


async def test_truncate_shows_what_it_kept(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    await _turn(client, session_id)
    kept = (await _change(client, "truncate", session_id, keep_count="1"))["session"]
    assert [message["role"] for message in kept["messages"]] == ["user"]


async def test_a_branch_is_a_session_of_its_own(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    await _turn(client, session_id)
    fork = await _change(client, "branch", session_id)
    assert (fork["parent_session_id"], fork["title"]) == (session_id, "title A (fork)")
    assert await _said(client, fork["session_id"]) == FIRST
    short = await _change(client, "branch", session_id, keep_count=1, title="mine")
    assert short["title"] == "mine"
    assert await _said(client, short["session_id"]) == FIRST[:1]


async def test_a_deleted_session_is_gone(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    for _ in range(2):
        assert (await _change(client, "delete", session_id))["ok"] is True
    assert (await client.get(f"/api/session?session_id={session_id}")).status == 404


async def test_a_compression_asks_the_model_and_wants_the_session_to_itself(play: Play) -> None:
    stage = await play()
    client = stage.client
    session_id = await client.session()
    body = {"session_id": session_id, "focus_topic": "boats"}
    await _turn(client, session_id)
    assert (await client.post("/api/session/compress", body)).status == 400
    await _turn(client, session_id)
    stage.backend.ledger.model_requests.clear()
    compressed = (await client.post("/api/session/compress", body)).json
    assert (compressed["ok"], compressed["focus_topic"]) == (True, "boats")
    assert [request.end for request in stage.backend.ledger.model_requests] == ["done"]
    await client.start(session_id, LONG)
    assert (await client.post("/api/session/compress", body)).status == 409


async def test_a_compression_that_is_overtaken_by_a_change_is_given_up(play: Play) -> None:
    stage = await play()
    client = stage.client
    session_id = await client.session()
    for _ in range(2):
        await _turn(client, session_id)
    ledger, before = stage.backend.ledger, len(stage.backend.ledger.model_requests)
    compressing = asyncio.create_task(client.post("/api/session/compress", {"session_id": session_id}))
    await ledger.until(lambda: len(ledger.model_requests) > before)
    stage.backend.world.sessions[session_id].messages.pop()
    assert (await compressing).json == {"error": "Session was modified during compression; please retry."}


async def test_a_whole_turn_in_one_call_runs_beside_another(play: Play, release: str) -> None:
    """F17: no start waits for it, no health report lists it, and no Stop ends it."""
    stage = await play(release)
    client = stage.client
    session_id = await client.session()
    body = {"session_id": session_id, "message": "n=3 d=0.01 tag=W"}
    whole = asyncio.create_task(client.post("/api/chat", body))
    ledger = stage.backend.ledger
    await ledger.until(lambda: bool(ledger.model_requests))
    assert (await client.health())["active_runs"] == 0
    beside = await client.start(session_id, LONG)
    answered = (await whole).json
    assert (answered["answer"], answered["status"]) == ("W0 W1 W2", "done")
    assert (await client.status(beside))["active"] is True
    assert ("assistant", "W0 W1 W2") in await _said(client, session_id)


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("session/undo", {}, 400, "Missing required field(s): session_id"),
        ("session/undo", {"session_id": "nope"}, 404, "Session not found"),
        ("session/truncate", {"session_id": "SID"}, 400, "Missing required field(s): keep_count"),
        ("session/truncate", {"session_id": "SID", "keep_count": "x"}, 400, "keep_count must be an integer"),
        ("session/branch", {"session_id": "SID", "keep_count": -1}, 400, "keep_count must be non-negative"),
        ("session/delete", {}, 400, "session_id is required"),
        ("chat", {"session_id": "SID", "message": " "}, 400, "empty message"),
    ],
)
async def test_what_a_change_needs(play: Play, path: str, body: dict[str, Any], status: int, error: str) -> None:
    client = (await play()).client
    if body.get("session_id") == "SID":
        body = {**body, "session_id": await client.session()}
    reply = await client.post(f"/api/{path}", body)
    assert (reply.status, reply.json) == (status, {"error": error})
