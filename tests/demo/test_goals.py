from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.demo.conftest import Client, Play, Reply

LONG = "n=800 d=0.01"


async def _goal(client: Client, session_id: str, args: str) -> Reply:
    return await client.post("/api/goal", {"session_id": session_id, "args": args})


async def test_setting_a_goal_starts_a_turn(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await client.session()
    goal = (await _goal(client, session_id, "n=2 d=0.01")).json
    assert (goal["action"], goal["session_id"], goal["kickoff_prompt"]) == ("set", session_id, "n=2 d=0.01")
    live = await client.stream(goal["stream_id"])
    await live.to_end()
    assert live.story[-1] == "stream_end"


@pytest.mark.parametrize("args", ["", "status", "pause", "resume", "clear", "stop", "Done "])
async def test_a_word_that_is_no_goal_starts_none(play: Play, args: str) -> None:
    """F21: with a goal, and without one."""
    client = (await play()).client
    session_id = await client.session()
    assert "stream_id" not in (await _goal(client, session_id, args)).json
    goal = (await _goal(client, session_id, LONG)).json
    await client.cancel(goal["stream_id"])
    await client.until_idle()
    reply = await _goal(client, session_id, args)
    assert reply.status == 200
    assert "stream_id" not in reply.json
    assert (await client.health())["active_runs"] == 0


async def test_a_goal_is_paused_resumed_and_cleared(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    await _goal(client, session_id, LONG)
    steps: list[tuple[Any, Any]] = []
    for args in ("status", "pause", "resume", "done"):
        goal = (await _goal(client, session_id, args)).json
        steps.append((goal["action"], goal["goal"] and goal["goal"]["status"]))
    assert steps == [("status", "active"), ("pause", "paused"), ("resume", "active"), ("clear", None)]


@pytest.mark.parametrize(
    ("args", "status", "ok"), [("pause", 400, False), ("resume", 400, False), ("clear", 200, True)]
)
async def test_without_a_goal_there_is_nothing_to_pause_or_resume(
    play: Play, args: str, status: int, *, ok: bool
) -> None:
    client = (await play()).client
    reply = await _goal(client, await client.session(), args)
    assert (reply.status, reply.json["ok"], reply.json["goal"]) == (status, ok, None)


async def test_a_goal_beside_a_running_turn_is_refused_without_naming_it(play: Play, release: str) -> None:
    """F21."""
    client = (await play(release)).client
    session_id = await client.session()
    await client.start(session_id, LONG)
    refused = await _goal(client, session_id, "n=1")
    assert (refused.status, refused.json["error"]) == (409, "agent_running")
    assert "active_stream_id" not in refused.json
