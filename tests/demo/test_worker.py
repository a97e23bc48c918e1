from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Fate, Faults

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LONG = "n=800 d=0.01 tag=A"


async def test_prompt_steers_the_text(play: Play) -> None:
    client = (await play()).client
    live = await client.stream(await client.start(await client.session(), "say n=3 d=0.001 tag=xyz"))
    await live.to_end()
    assert live.text == "xyz0 xyz1 xyz2 "


async def test_a_prompt_without_options_gets_the_defaults(play: Play) -> None:
    client = (await play()).client
    live = await client.stream(await client.start(await client.session(), "hello n=many d=soon"))
    await live.to_end()
    assert live.text.split() == [f"T{index}" for index in range(20)]


async def test_a_titled_session_is_not_titled_again(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    await (await client.stream(await client.start(session_id, "n=1"))).to_end()
    second = await client.stream(await client.start(session_id, "n=1"))
    await second.to_end()
    assert second.story == ["context_status", "token", "done", "stream_end"]


async def test_metering_follows_tokens_and_done(play: Play) -> None:
    client = (await play()).client
    live = await client.stream(await client.start(await client.session(), "n=30 d=0.01"))
    await live.to_end()
    spoken = live.names[: live.names.index("done")]
    assert 1 <= spoken.count("metering") <= spoken.count("token")
    assert live.names[live.names.index("done") + 1] == "metering"


async def test_a_start_right_after_a_cancel_is_healed_by_waiting(play: Play, release: str) -> None:
    """F1: once the old worker has unwound, the next turn is as good as any."""
    client = (await play(release)).client
    session_id = await client.session()
    first = await client.start(session_id, LONG)
    assert await client.cancel(first) is True
    await client.until_idle()
    live = await client.stream(await client.start(session_id, "n=4 d=0.01 tag=B"))
    await live.to_end()
    assert live.text == "B0 B1 B2 B3 "
    assert live.story[-1] == "stream_end"


async def test_another_session_is_not_poisoned(play: Play, release: str) -> None:
    client = (await play(release)).client
    first = await client.start(await client.session(), LONG)
    assert await client.cancel(first) is True
    live = await client.stream(await client.start(await client.session(), "n=4 d=0.01 tag=B"))
    await live.to_end()
    assert live.text == "B0 B1 B2 B3 "


@pytest.mark.parametrize("fate", [Fate.LEAK, Fate.SILENCE])
async def test_a_fault_replaces_the_release_s_fate(play: Play, fate: Fate) -> None:
    client = (await play("v0.52.262", faults=Faults(fate=fate, hang=True))).client
    session_id = await client.session()
    first = await client.start(session_id, "n=40 d=0.01 tag=A")
    assert await client.cancel(first) is True
    second = await client.stream(await client.start(session_id, "n=4 tag=B"))
    await second.until("context_status")
    if fate is Fate.LEAK:
        await second.until("apperror")


async def test_while_it_leaks_health_still_names_the_cancelled_run(play: Play) -> None:
    """F1, F3: the worker of the cancelled turn is the one that goes on."""
    stage = await play("v0.51.195")
    stage.hang()
    client = stage.client
    session_id = await client.session()
    first = await client.start(session_id, "n=800 d=0.01 tag=A")
    assert await client.cancel(first) is True
    second = await client.stream(await client.start(session_id, "n=4 tag=B"))
    await second.until("apperror")
    stage.unhang()
    await second.until("token")
    assert [run["stream_id"] for run in (await client.health())["runs"]] == [first]


async def test_compression_moves_the_session_to_a_new_id(play: Play, release: str) -> None:
    client = (await play(release)).client
    old_id = await client.session()
    live = await client.stream(await client.start(old_id, "compress n=3 d=0.01"))
    await live.to_end()
    assert live.story[4:7] == ["compressing", "compressed", "done"]
    moved = next(event.data for event in live.events if event.name == "compressed")
    new_id = moved["new_session_id"]
    assert moved["session_id"] == moved["old_session_id"] == old_id != new_id
    assert moved["continuation_session_id"] == new_id
    done = next(event.data for event in live.events if event.name == "done")
    assert done["session"]["session_id"] == new_id
    again = await client.stream(await client.start(new_id, "n=1"))
    await again.to_end()
    assert (await client.get(f"/api/session?session_id={old_id}")).json["session"]["message_count"] == 2
    assert (await client.get(f"/api/session?session_id={new_id}")).json["session"]["message_count"] == 4


async def test_an_apperror_ends_the_stream_only_on_the_later_release(play: Play, release: str) -> None:
    """F6: on v0.51 it heartbeats for ever."""
    client = (await play(release, heartbeat=0.05)).client
    live = await client.stream(await client.start(await client.session(), "fail n=2 d=0.2"))
    await live.until("apperror")
    end = await live.next()
    assert (end is None) is (release == "v0.52.262")


async def test_a_hanging_worker_keeps_its_run_and_its_cancel_is_only_told(play: Play) -> None:
    client = (await play(faults=Faults(hang=True))).client
    session_id = await client.session()
    stream_id = await client.start(session_id, LONG)
    live = await client.stream(stream_id)
    assert await client.cancel(stream_id) is True
    assert (await live.to_end())[-1].name == "cancel"
    assert (await client.health())["runs"][0]["phase"] == "cancelling"
    assert (await client.status(stream_id))["journal"]["terminal"] is False


async def test_a_refusing_release_gives_up_on_a_worker_that_hangs(play: Play) -> None:
    now = [1000.0]
    stage = await play(faults=Faults(hang=True), clock=lambda: now[0])
    client = stage.client
    session_id = await client.session()
    await client.cancel(await client.start(session_id, LONG))
    body = {"session_id": session_id, "message": "n=1"}
    assert (await client.post("/api/chat/start", body)).status == 409
    now[0] += 61
    assert (await client.post("/api/chat/start", body)).status == 200


async def test_a_worker_that_dies_leaves_heartbeats_and_no_ending(play: Play, release: str) -> None:
    client = (await play(release, heartbeat=0.05, faults=Faults(die_after=2))).client
    stream_id = await client.start(await client.session(), "n=800 d=0.3")
    live = await client.stream(stream_id)
    await client.until_idle()
    await live.until(": heartbeat")
    while len(live.story) < 3:
        await live.next()
    assert live.story == ["context_status", "token", "token"]
    assert (await client.status(stream_id))["journal"]["terminal_state"] == "lost-worker-bookkeeping"


async def test_a_muted_end_leaves_heartbeats_after_done(play: Play) -> None:
    client = (await play(heartbeat=0.05, faults=Faults(mute_end=True))).client
    live = await client.stream(await client.start(await client.session(), "n=1 d=0.3"))
    await live.until("done")
    await live.until(": heartbeat")
    assert live.story[-1] == "done"


async def test_a_muted_cancel_is_accepted_and_never_told(play: Play) -> None:
    client = (await play(heartbeat=0.05, faults=Faults(mute_cancel=True))).client
    stream_id = await client.start(await client.session(), LONG)
    live = await client.stream(stream_id)
    await live.until("token")
    assert await client.cancel(stream_id) is True
    await client.until_idle()
    await live.until(": heartbeat")
    assert "cancel" not in live.names
