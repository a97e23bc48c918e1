"""F13, F14 and F16: which Stops an agent hears, and what they mean for its request to the model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from proxy.demo import Faults, ModelEnd
from proxy.demo.habits import draw
from tests.demo.conftest import FAST

if TYPE_CHECKING:
    from tests.demo.conftest import Play

OLD = "v0.51.195"
DEAF = replace(FAST, deaf=0.3)
OPENING = replace(FAST, opening=0.6)


async def test_a_cancel_in_the_deaf_time_is_accepted_and_lost(play: Play, release: str) -> None:
    """F13: the model is asked after the Stop, and says all of it, unseen."""
    stage = await play(release, pace=DEAF)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=10 d=0.01")
    live = await client.stream(stream_id)
    assert await client.cancel(stream_id) is True
    assert not stage.backend.ledger.model_requests_of(stream_id)
    await live.to_end()
    assert live.story == ["context_status", "cancel"]
    assert (await client.status(stream_id))["active"] is False
    request = await stage.answered(stream_id)
    assert request.end == ModelEnd.DONE


async def test_a_further_cancel_ends_a_lost_worker_where_cancels_can_be_repeated(play: Play, release: str) -> None:
    """F14: later releases pass it on for as long as the worker is there; the oldest does not."""
    stage = await play(release, pace=DEAF)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=100 d=0.01")
    assert await client.cancel(stream_id) is True
    await stage.asked(stream_id)
    assert await client.cancel(stream_id) is (release != OLD)
    request = await stage.answered(stream_id)
    assert request.end == (ModelEnd.DONE if release == OLD else ModelEnd.BROKEN_OFF)
    await client.until_idle()
    assert await client.cancel(stream_id) is False


async def test_repeats_within_the_deaf_time_are_lost_too(play: Play) -> None:
    stage = await play(pace=DEAF)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=5 d=0.01")
    assert [await client.cancel(stream_id) for _ in range(4)] == [True] * 4
    assert (await stage.answered(stream_id)).end == ModelEnd.DONE


async def test_the_first_token_says_that_the_agent_listens_and_context_status_says_nothing(play: Play) -> None:
    stage = await play(pace=replace(FAST, deaf=0.5))
    client = stage.client
    live = await client.stream(await client.start(await client.session(), "n=800"))
    early, first = await live.until("context_status"), await live.until("token")
    assert first.at - early.at > 0.3
    stream_id = stage.backend.ledger.model_requests[-1].stream_id
    assert await client.cancel(stream_id) is True
    assert (await stage.answered(stream_id)).end == ModelEnd.BROKEN_OFF


async def test_each_turn_draws_its_own_deaf_time_from_the_seed(play: Play) -> None:
    """Told by the order in which turns that start together ask the model."""
    orders = []
    for _ in range(2):
        stage = await play(pace=replace(FAST, deaf=(0.2, 1.4)), seed=3)
        started = [await stage.client.start(await stage.client.session(), "n=1") for _ in range(4)]
        for stream_id in started:
            await stage.asked(stream_id)
        orders.append([started.index(request.stream_id) for request in stage.backend.ledger.model_requests])
    assert orders[0] == orders[1] != [0, 1, 2, 3]


def test_a_time_is_fixed_or_drawn_within_its_bounds() -> None:
    chance = Random(1)  # noqa: S311  a draw to look at
    assert draw(0.3, chance) == 0.3
    drawn = [draw((0.1, 0.2), chance) for _ in range(50)]
    assert len(set(drawn)) == 50
    assert all(0.1 <= seconds <= 0.2 for seconds in drawn)


async def test_the_models_log_tells_what_became_of_each_turn(play: Play, release: str) -> None:
    stage = await play(release)
    client = stage.client
    session_id = await client.session()
    whole = await client.start(session_id, "n=2 d=0.01")
    request = await stage.answered(whole)
    assert (request.session_id, request.end) == (session_id, "done")
    await client.until_idle()
    stopped = await client.start(session_id, "n=800")
    await (await client.stream(stopped)).until("token")
    assert stage.backend.ledger.open_model_requests == [await stage.asked(stopped)]
    await client.cancel(stopped)
    request = await stage.answered(stopped)
    assert request.end == "broken off"
    assert request.ended_at
    assert not stage.backend.ledger.open_model_requests


async def test_a_model_that_is_silent_is_let_go_at_its_first_word(play: Play, release: str) -> None:
    """F16: the worker has left long before."""
    stage = await play(release)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=800 first=0.6")
    request = await stage.asked(stream_id)
    assert await client.cancel(stream_id) is True
    await client.until_idle()
    assert request.end is None
    assert (await stage.answered(stream_id)).end == ModelEnd.BROKEN_OFF
    assert request.ended_at


async def test_one_cancel_while_the_request_is_opened_leaves_it_running(play: Play, release: str) -> None:
    """F16: gone is not always stopped, and nothing outside reaches it any more."""
    stage = await play(release, pace=OPENING)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=30 d=0.02")
    assert await client.cancel(stream_id) is True
    await client.until_idle()
    assert await client.cancel(stream_id) is False
    (request,) = stage.backend.ledger.open_model_requests
    assert (await stage.answered(stream_id)) is request
    assert request.end == ModelEnd.DONE


@pytest.mark.parametrize("release", ["v0.51.265", "v0.52.262"])
async def test_two_cancels_before_the_request_keep_it_from_being_sent(play: Play, release: str) -> None:
    """F16: a dense repetition comes in time."""
    stage = await play(release, pace=OPENING)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=30")
    assert [await client.cancel(stream_id) for _ in range(2)] == [True, True]
    await client.until_idle()
    assert not stage.backend.ledger.model_requests


async def test_a_second_cancel_while_the_request_is_opened_breaks_it_off(play: Play, release: str) -> None:
    """F16; the oldest release does not pass it on."""
    stage = await play(release, pace=OPENING)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=30 d=0.02")
    assert await client.cancel(stream_id) is True
    await stage.asked(stream_id)
    assert await client.cancel(stream_id) is (release != OLD)
    request = await stage.answered(stream_id)
    assert request.end == (ModelEnd.DONE if release == OLD else ModelEnd.BROKEN_OFF)


async def test_a_restart_breaks_off_what_the_model_works_on(play: Play) -> None:
    stage = await play()
    stream_id = await stage.client.start(await stage.client.session(), "n=800")
    request = await stage.asked(stream_id)
    await stage.backend.restart()
    assert request.end == ModelEnd.BROKEN_OFF


async def test_a_worker_may_come_back_and_then_only_a_further_cancel_ends_it(play: Play, release: str) -> None:
    """The oldest release passes no further one on: there it runs to its end."""
    stage = await play(release, faults=Faults(comes_back=True))
    client = stage.client
    stream_id = await client.start(await client.session(), "n=400 d=0.01")
    await (await client.stream(stream_id)).until("token")
    assert await client.cancel(stream_id) is True
    first = await stage.answered(stream_id)
    again = await stage.asked(stream_id, times=2)
    assert (first.end, again.end) == (ModelEnd.BROKEN_OFF, None)
    stage.backend.faults = Faults()
    assert await client.cancel(stream_id) is (release != OLD)
    assert (await stage.answered(stream_id, times=2)).end == (ModelEnd.DONE if release == OLD else ModelEnd.BROKEN_OFF)


async def test_a_tool_splits_the_turn_into_two_requests(play: Play, release: str) -> None:
    stage = await play(release)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=2 d=0.01 tool=0.1 tag=A")
    live = await client.stream(stream_id)
    await live.to_end()
    begin = ["context_status", "token", "interim_assistant", "tool", "tool_complete", "token", "token", "done"]
    assert live.story[:8] == begin
    assert live.text == "Acalls A0 A1 "
    assert [request.end for request in stage.backend.ledger.model_requests] == [ModelEnd.DONE] * 2


async def test_a_stop_during_a_tool_ends_the_turn(play: Play, release: str) -> None:
    stage = await play(release)
    client = stage.client
    stream_id = await client.start(await client.session(), "n=2 tool=60")
    live = await client.stream(stream_id)
    await live.until("tool")
    assert await client.cancel(stream_id) is True
    await client.until_idle()
    assert not stage.backend.ledger.open_model_requests


async def test_a_session_is_saved_when_its_turn_starts_and_again_when_its_agent_listens(
    play: Play, release: str
) -> None:
    """F13: nothing else shows outside that a Stop would now be heard."""
    client = (await play(release, pace=DEAF)).client
    session_id = await client.session()
    body = {"session_id": session_id, "message": "n=800 first=60"}
    started = (await client.post("/api/chat/start", body)).json
    path = f"/api/session?session_id={session_id}&messages=0"
    assert (await client.get(path)).json["session"]["updated_at"] == started["pending_started_at"]
    async with asyncio.timeout(5):
        while (await client.get(path)).json["session"]["updated_at"] == started["pending_started_at"]:  # noqa: ASYNC110  over HTTP there is no event to wait for
            await asyncio.sleep(0.01)
    assert await client.cancel(started["stream_id"]) is True
    await client.until_idle()


async def test_a_lost_cancel_leaves_the_session_to_the_worker_on_the_oldest_release(play: Play, release: str) -> None:
    """F13: there, what has no agent has nobody to settle the session."""
    stage = await play(release, pace=DEAF)
    client = stage.client
    session_id = await client.session()
    stream_id = await client.start(session_id, "n=3 d=0.01")
    await client.cancel(stream_id)
    path = f"/api/session?session_id={session_id}"
    assert (await client.get(path)).json["session"]["active_stream_id"] == (stream_id if release == OLD else None)
    await stage.answered(stream_id)
    await client.until_idle()
    session = (await client.get(path)).json["session"]
    assert session["active_stream_id"] is None
    assert [message["content"] for message in session["messages"]] == [
        "n=3 d=0.01",
        *([] if release != OLD else ["T0 T1 T2"]),
        "**Task cancelled:** Task cancelled.",
    ]


@pytest.mark.parametrize(("tail", "dies"), [(0.0, False), (0.4, True)])
async def test_a_cancel_too_many_may_be_left_to_the_next_turn(play: Play, tail: float, *, dies: bool) -> None:
    """It comes when the worker listens no more but is still there: one turn dies of it, and the next is well."""
    client = (await play(pace=replace(FAST, unwind=0.4, tail=tail, spoil=0.02))).client
    session_id = await client.session()
    stream_id = await client.start(session_id, "n=800")
    await (await client.stream(stream_id)).until("token")
    assert await client.cancel(stream_id) is True
    while await client.cancel(stream_id):
        pass
    stories = []
    for _ in range(2):
        live = await client.stream(await client.start(session_id, "n=1 d=0.01"))
        await live.to_end()
        stories.append(live.story[:2])
        await client.until_idle()
    assert stories == [["context_status", "apperror" if dies else "token"], ["context_status", "token"]]
