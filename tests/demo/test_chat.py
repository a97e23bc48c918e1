from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.demo import REFUSALS, Faults

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LONG = "n=800 d=0.01 tag=A"


@pytest.mark.parametrize("refusal", list(REFUSALS))
async def test_a_start_may_be_refused_for_other_reasons_without_naming_a_stream(play: Play, refusal: str) -> None:
    """F21."""
    stage = await play(faults=Faults(refusal=refusal))
    body = {"session_id": await stage.client.session(), "message": LONG}
    refused = await stage.client.post("/api/chat/start", body)
    assert (refused.status, refused.json) == (409, REFUSALS[refusal])
    assert refusal in refused.json.values()
    assert "active_stream_id" not in refused.json
    stage.backend.faults = Faults()
    assert (await stage.client.post("/api/chat/start", body)).status == 200


async def test_the_answer_to_a_start_may_be_late_though_its_turn_is_not(play: Play) -> None:
    stage = await play(faults=Faults(start_delay=30.0))
    body = {"session_id": await stage.client.session(), "message": LONG}
    start = asyncio.create_task(stage.client.post("/api/chat/start", body))
    await stage.backend.ledger.until(lambda: bool(stage.backend.ledger.model_requests))
    assert not start.done()
    start.cancel()


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
