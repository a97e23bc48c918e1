from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from proxy.demo import EVERY, CancelOrder, Faults, Pace

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


async def test_a_cancel_that_the_gateway_does_not_take_is_late_and_changes_nothing(play: Play) -> None:
    """F19."""
    client = (await play(faults=Faults(gateway_down=True, answer_delay=0.2))).client
    stream_id = await client.start(await client.session(), LONG)
    asked_at = time.monotonic()
    reply = await client.get(f"/api/chat/cancel?stream_id={stream_id}")
    assert time.monotonic() - asked_at >= 0.2
    assert reply.json == {"ok": False, "cancelled": False, "stream_id": stream_id, "error": "Gateway stop failed"}
    assert (await client.status(stream_id))["active"] is True


async def test_a_cancel_may_be_carried_out_and_never_answered(play: Play) -> None:
    stage = await play(faults=Faults(unanswered=1))
    client = stage.client
    stream_id = await client.start(await client.session(), LONG)
    live = await client.stream(stream_id)
    await live.until("token")
    mute = await client.connect()
    await mute.send(client.encode("GET", f"/api/chat/cancel?stream_id={stream_id}"))
    await live.until("cancel")
    assert (await client.get("/api/chat/cancel?stream_id=another")).status == 200
    assert await mute.is_silent(0.1)


@pytest.mark.parametrize("count", [2, EVERY])
async def test_the_silence_ends_with_its_fault(play: Play, count: int) -> None:
    stage = await play(faults=Faults(unanswered=count))
    calls = [asyncio.create_task(stage.client.cancel(name)) for name in ("x", "y")]
    await stage.backend.ledger.until(lambda: stage.backend.ledger.cancels.total() == 2)
    assert not any(call.done() for call in calls)
    stage.backend.faults = Faults()
    assert await asyncio.gather(*calls) == [False, False]
