"""F19: a Stop in gateway mode; and that there are only three modes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend, ModelEnd
from tests.demo.conftest import FAST

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LATER = "v0.52.262"


async def test_a_stop_during_text_is_heard(play: Play, release: str) -> None:
    stage = await play(release, mode="gateway")
    stream_id = await stage.client.start(await stage.client.session(), "n=800")
    await (await stage.client.stream(stream_id)).until("token")
    assert await stage.client.cancel(stream_id) is True
    assert (await stage.answered(stream_id)).end == ModelEnd.BROKEN_OFF
    await stage.client.until_idle()


async def test_a_tool_that_is_stopped_runs_to_its_end(play: Play, release: str) -> None:
    client = (await play(release, mode="gateway")).client
    stream_id = await client.start(await client.session(), "n=800 tool=2")
    live = await client.stream(stream_id)
    began = await live.until("tool")
    assert await client.cancel(stream_id) is True
    told = await live.until("cancel")
    (run,) = (await client.health())["runs"]
    assert run["backend"] == "gateway"
    assert run["phase"] == ("cancelling" if release == LATER else "gateway-tool")
    assert run.get("stream_id") == (None if release == LATER else stream_id)
    await client.until_idle()
    assert told.at - began.at < 1.5
    assert (await client.status(stream_id))["journal"]["last_event"] == "cancel"


async def test_a_silent_model_is_waited_for_as_well(play: Play) -> None:
    stage = await play(mode="gateway")
    stream_id = await stage.client.start(await stage.client.session(), "n=800 first=0.5")
    await stage.asked(stream_id)
    assert await stage.client.cancel(stream_id) is True
    assert (await stage.client.health())["active_runs"] == 1
    await stage.client.until_idle()
    assert (await stage.asked(stream_id)).end == ModelEnd.BROKEN_OFF


@pytest.mark.parametrize("release", ["v0.51.195", "v0.51.265"])
async def test_on_v0_51_the_next_start_works_while_the_stopped_run_is_still_listed(play: Play, release: str) -> None:
    stage = await play(release, mode="gateway", pace=replace(FAST, spoil=0.05))
    client = stage.client
    session_id = await client.session()
    stopped = await client.start(session_id, "n=800 tool=5")
    await (await client.stream(stopped)).until("tool")
    assert await client.cancel(stopped) is True
    live = await client.stream(await client.start(session_id, "n=3 d=0.01 tag=B"))
    await live.to_end()
    assert live.text == "B0 B1 B2 "
    assert live.story[-1] == "stream_end"
    assert [run["stream_id"] for run in (await client.health())["runs"]] == [stopped]


async def test_on_v0_52_the_next_start_waits_for_the_tool(play: Play) -> None:
    client = (await play(LATER, mode="gateway")).client
    session_id = await client.session()
    stopped = await client.start(session_id, "n=800 tool=0.4")
    await (await client.stream(stopped)).until("tool")
    assert await client.cancel(stopped) is True
    body = {"session_id": session_id, "message": "n=1"}
    refused = await client.post("/api/chat/start", body)
    assert (refused.status, refused.json["active_stream_id"]) == (409, stopped)
    await client.until_idle()
    assert (await client.post("/api/chat/start", body)).status == 200


def test_there_is_no_other_mode() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Backend(mode="nowhere")
