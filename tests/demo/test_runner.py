"""F20: what Hermes says in runner mode, of turns that it knows nothing of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.demo import ModelEnd

if TYPE_CHECKING:
    from tests.demo.conftest import Client, Play


async def _start(client: Client, session_id: str, message: str) -> str:
    reply = await client.post("/api/chat/start", {"session_id": session_id, "message": message})
    assert reply.status == 200
    assert set(reply.json) == {"stream_id", "session_id"}
    return str(reply.json["stream_id"])


async def test_a_start_names_the_stream_and_nothing_else_and_its_stream_is_bare(play: Play) -> None:
    client = (await play(mode="runner")).client
    session_id = await client.session()
    live = await client.stream(await _start(client, session_id, "n=3 tag=A"))
    await live.to_end()
    assert live.names == ["token", "token", "token", "done", "stream_end"]
    assert live.text == "A0 A1 A2 "
    assert live.events[-2].data == {"session": {"session_id": session_id, "messages": []}, "usage": {}}
    assert live.events[-1].data == {"session_id": session_id}


async def test_neither_status_nor_health_knows_the_running_turn(play: Play) -> None:
    client = (await play(mode="runner")).client
    stream_id = await _start(client, await client.session(), "n=800")
    await (await client.stream(stream_id)).until("token")
    unknown = {"active": False, "stream_id": stream_id, "replay_available": False}
    assert await client.status(stream_id) == unknown
    health = await client.health()
    assert (health["active_streams"], health["active_runs"], health["runs"]) == (0, 0, [])


async def test_a_cancel_is_refused_and_reaches_nobody(play: Play) -> None:
    stage = await play(mode="runner")
    client = stage.client
    stream_id = await _start(client, await client.session(), "n=20 d=0.01")
    live = await client.stream(stream_id)
    await live.until("token")
    assert [await client.cancel(stream_id) for _ in range(2)] == [False, False]
    await live.to_end()
    assert live.names[-2:] == ["done", "stream_end"]
    assert (await stage.answered(stream_id)).end == ModelEnd.DONE
    assert await client.cancel(stream_id) is False


async def test_two_turns_of_one_session_run_beside_each_other_to_their_ends(play: Play) -> None:
    client = (await play(mode="runner")).client
    session_id = await client.session()
    tabs = [await client.stream(await _start(client, session_id, f"n=30 d=0.01 tag={tag}")) for tag in "AB"]
    await asyncio.gather(*(tab.to_end() for tab in tabs))
    assert [tab.text.split()[-1] for tab in tabs] == ["A29", "B29"]
    assert [tab.names[-1] for tab in tabs] == ["stream_end", "stream_end"]


async def test_who_joins_late_is_given_all_of_it_once(play: Play) -> None:
    client = (await play(mode="runner")).client
    stream_id = await _start(client, await client.session(), "n=40 d=0.01 tag=A")
    await (await client.stream(stream_id)).until("token")
    late = await client.stream(stream_id)
    await late.to_end()
    assert late.text.split() == [f"A{index}" for index in range(40)]


async def test_a_silence_in_the_middle_is_only_that(play: Play) -> None:
    client = (await play(mode="runner", heartbeat=0.1)).client
    live = await client.stream(await _start(client, await client.session(), "n=4 d=0.01 quiet=0.4"))
    await live.to_end()
    named = [name for name in live.names if not name.startswith(":")]
    assert named == ["token"] * 4 + ["done", "stream_end"]
    assert live.names.index(": heartbeat") == 3
