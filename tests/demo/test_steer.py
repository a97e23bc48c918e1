"""F18: what becomes of a steer, accepted or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Faults

if TYPE_CHECKING:
    from tests.demo.conftest import Play


async def test_accepted_before_a_tool_has_ended_it_reaches_the_model(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await client.session()
    stream_id = await client.start(session_id, "n=2 d=0.01 tool=0.4 tag=A")
    live = await client.stream(stream_id)
    await live.until("tool")
    assert await client.steer(session_id, "left") == {"accepted": True, "fallback": None, "stream_id": stream_id}
    await live.to_end()
    assert live.text == "Acalls steered:left A0 A1 "


@pytest.mark.parametrize("told", [False, True])
async def test_accepted_during_the_final_text_it_is_lost_and_rarely_told(play: Play, *, told: bool) -> None:
    client = (await play(faults=Faults(tells_leftover=told))).client
    session_id = await client.session()
    live = await client.stream(await client.start(session_id, "n=30 d=0.02"))
    await live.until("token")
    assert [(await client.steer(session_id, text))["accepted"] for text in ("left", "right")] == [True, True]
    await live.to_end()
    assert "steered" not in live.text
    leftovers = [event.data for event in live.events if event.name == "pending_steer_leftover"]
    assert leftovers == ([{"session_id": session_id, "text": "left\nright"}] if told else [])
    if told:
        assert live.story[live.story.index("pending_steer_leftover") + 1] == "done"


async def test_it_is_not_handed_to_the_next_turn(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    live = await client.stream(await client.start(session_id, "n=30 d=0.02"))
    await live.until("token")
    await client.steer(session_id, "left")
    await live.to_end()
    following = await client.stream(await client.start(session_id, "n=1 tool=0.01"))
    await following.to_end()
    assert "steered" not in following.text


async def test_who_has_no_agent_or_runs_no_turn_is_refused(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await client.session()
    no_agent = {"accepted": False, "fallback": "no_cached_agent", "stream_id": None}
    not_running = {"accepted": False, "fallback": "not_running", "stream_id": None}
    assert await client.steer("nobody", "left") == no_agent
    assert await client.steer(session_id, "left") == no_agent
    stream_id = await client.start(session_id, "n=800")
    await (await client.stream(stream_id)).until("token")
    await client.cancel(stream_id)
    assert await client.steer(session_id, "left") == not_running


async def test_a_gateway_has_no_agent_to_steer(play: Play, release: str) -> None:
    client = (await play(release, mode="gateway")).client
    session_id = await client.session()
    stream_id = await client.start(session_id, "n=800")
    await (await client.stream(stream_id)).until("token")
    queued = {"accepted": False, "fallback": "gateway_steer_queued", "stream_id": stream_id}
    no_agent = {"accepted": False, "fallback": "no_cached_agent", "stream_id": None}
    assert await client.steer(session_id, "left") == (queued if release == "v0.52.262" else no_agent)


@pytest.mark.parametrize(
    ("body", "missing"), [({"text": "x"}, "session_id"), ({"session_id": "s", "text": " "}, "text")]
)
async def test_both_fields_are_needed(play: Play, body: dict[str, str], missing: str) -> None:
    reply = await (await play()).client.post("/api/chat/steer", body)
    assert (reply.status, reply.json) == (400, {"error": f"{missing} required"})
