from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from proxy.demo import CancelOrder, Faults, Pace

if TYPE_CHECKING:
    from tests.demo.conftest import Play, Stage

LONG = "n=800 d=0.01 tag=A"
APART = Pace(token=0.01, first_token=0.02, unwind=1.0, gap=0.1)


async def _stop_and_time(stage: Stage) -> tuple[float, float]:
    """When the cancel event came, and when its answer did."""
    client = stage.client
    stream_id = await client.start(await client.session(), LONG)
    live = await client.stream(stream_id)
    await live.until("token")
    told = asyncio.create_task(live.until("cancel"))
    assert await client.cancel(stream_id) is True
    answered_at = time.monotonic()
    return (await told).at, answered_at


async def test_event_may_come_before_the_answer(play: Play) -> None:
    """F5."""
    event_at, answered_at = await _stop_and_time(await play(order=CancelOrder.EVENT_FIRST, pace=APART))
    assert event_at < answered_at


async def test_answer_may_come_before_the_event(play: Play) -> None:
    """F5."""
    event_at, answered_at = await _stop_and_time(await play(order=CancelOrder.ANSWER_FIRST, pace=APART))
    assert answered_at < event_at


async def test_either_order_is_drawn_from_the_seed(play: Play) -> None:
    pace = Pace(token=0.01, first_token=0.02, unwind=0.5, gap=0.05)
    stages = [await play(order=CancelOrder.EITHER, seed=4, pace=pace) for _ in range(2)]
    drawn = [[event < answer for event, answer in [await _stop_and_time(stage) for _ in range(6)]] for stage in stages]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 2


async def test_a_late_answer_is_late(play: Play) -> None:
    stage = await play(faults=Faults(answer_delay=0.3))
    event_at, answered_at = await _stop_and_time(stage)
    assert answered_at - event_at > 0.1


async def test_a_second_stop_is_judged_by_stream_or_by_worker(play: Play, release: str) -> None:
    """F4: v0.51.195 looks for the stream, the later ones for the worker."""
    stage = await play(release)
    stage.hang()
    client = stage.client
    stream_id = await client.start(await client.session(), LONG)
    assert await client.cancel(stream_id) is True
    assert await client.cancel(stream_id) is (release != "v0.51.195")
    stage.unhang()
    await client.until_idle()
    assert await client.cancel(stream_id) is False


async def test_a_cancel_without_a_gateway_fails(play: Play) -> None:
    client = (await play(faults=Faults(gateway_down=True))).client
    reply = await client.get("/api/chat/cancel?stream_id=x")
    assert reply.status == 502
    assert (reply.json["ok"], reply.json["cancelled"]) == (False, False)


async def test_cancelling_a_side_stream_leaves_its_parent_alone(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await client.session()
    owner = await client.start(session_id, LONG)
    aside = (await client.post("/api/btw", {"session_id": session_id, "question": LONG})).json["stream_id"]
    assert await client.cancel(aside) is True
    assert (await client.status(owner))["active"] is True
    assert await client.cancel(owner) is True


async def test_setting_a_goal_starts_a_turn(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    goal = (await client.post("/api/goal", {"session_id": session_id, "command": "set", "args": "n=2 d=0.01"})).json
    assert (goal["action"], goal["session_id"]) == ("set", session_id)
    live = await client.stream(goal["stream_id"])
    await live.to_end()
    assert live.story[-1] == "stream_end"


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/api/chat/start", {"session_id": "SID", "message": " "}, 400, "message is required"),
        ("/api/btw", {"session_id": "SID"}, 400, "Missing required field(s): question"),
        ("/api/btw", {"session_id": "nope", "question": "x"}, 404, "Session not found"),
        ("/api/background", {"session_id": "SID"}, 400, "Missing required field(s): prompt"),
        ("/api/background", {"session_id": "nope", "prompt": "x"}, 404, "Session not found"),
        ("/api/goal", {"session_id": "nope"}, 404, "Session not found"),
        ("/api/goal", [], 400, "Missing required field(s): session_id"),
    ],
)
async def test_calls_without_what_they_need_are_refused(
    play: Play, path: str, body: object, status: int, error: str
) -> None:
    client = (await play()).client
    if isinstance(body, dict) and body.get("session_id") == "SID":
        body = {**body, "session_id": await client.session()}
    reply = await client.post(path, body)
    assert (reply.status, reply.json) == (status, {"error": error})


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?session_id=nope", 404)])
async def test_a_session_must_be_named_and_known(play: Play, query: str, status: int) -> None:
    assert (await (await play()).client.get(f"/api/session{query}")).status == status


async def test_a_body_that_is_no_json_is_an_empty_one(play: Play) -> None:
    stage = await play()
    connection = await stage.client.connect()
    await connection.send(stage.client.encode("POST", "/api/chat/start", b"{"))
    assert (await connection.reply()).json == {"error": "Missing required field(s): session_id"}


async def test_the_backend_can_start_a_turn_of_its_own(play: Play) -> None:
    """``server_turn_started`` on the session's channel, and again to who subscribes later."""
    stage = await play()
    client = stage.client
    session_id = await client.session()
    channel = await client.subscribe(f"/api/session/stream?session_id={session_id}")
    await channel.until("initial")
    stream_id = stage.backend.start_turn(session_id, LONG)
    told = (await channel.until("server_turn_started")).data
    assert (told["session_id"], told["stream_id"], told["source"]) == (session_id, stream_id, "process_wakeup")
    late = await client.subscribe(f"/api/session/stream?session_id={session_id}")
    again = (await late.until("server_turn_started")).data
    assert (again["stream_id"], again["recovered"]) == (stream_id, True)
    with pytest.raises(RuntimeError, match="already runs"):
        stage.backend.start_turn(session_id, LONG)
