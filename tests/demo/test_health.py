from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Faults

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LATER = "v0.52.262"
LONG = "n=800 d=0.01"


async def test_runs_are_named_or_marked_by_release(play: Play, release: str) -> None:
    """F3."""
    stage = await play(release)
    stage.hang()
    client = stage.client
    session_id = await client.session()
    stream_id = await client.start(session_id, LONG)
    (running,) = (await client.health())["runs"]
    await client.cancel(stream_id)
    (unwinding,) = (await client.health())["runs"]
    if release == LATER:
        assert "stream_id" not in unwinding
        assert "session_id" not in unwinding
        assert (running["phase"], unwinding["phase"]) == ("running", "cancelling")
        assert unwinding["cancelled_at"] >= unwinding["started_at"]
    else:
        assert (unwinding["stream_id"], unwinding["session_id"]) == (stream_id, session_id)
        assert (running["phase"], unwinding["phase"]) == ("running", "running")
        assert "cancelled_at" not in unwinding


async def test_idle_and_busy_are_told_apart(play: Play) -> None:
    client = (await play()).client
    fresh = await client.health()
    assert "oldest_run_age_seconds" not in fresh
    assert fresh["last_run_finished_at"] is None
    stream_id = await client.start(await client.session(), LONG)
    assert "oldest_run_age_seconds" in await client.health()
    await client.cancel(stream_id)
    await client.until_idle()
    idle = await client.health()
    assert idle["idle_seconds_since_last_run"] >= 0
    assert idle["uptime_seconds"] >= 0
    assert idle["accept_loop"]["requests_total"] > 1


async def test_health_may_be_unreadable(play: Play) -> None:
    client = (await play(faults=Faults(health_status=503))).client
    assert (await client.get("/health")).status == 503


async def test_a_run_begins_a_little_after_its_start_was_taken_up(play: Play, release: str) -> None:
    """F15: what tells whose run it is, where it has no name."""
    client = (await play(release)).client
    body = {"session_id": await client.session(), "message": LONG}
    started = (await client.post("/api/chat/start", body)).json
    (run,) = (await client.health())["runs"]
    assert 0.04 <= run["started_at"] - started["pending_started_at"] <= 0.17


async def test_a_cancelled_run_is_described_as_recorded(play: Play, release: str) -> None:
    """F3, F15: these fields and no others."""
    stage = await play(release)
    stage.hang()
    client = stage.client
    stream_id = await client.start(await client.session(), LONG)
    await client.cancel(stream_id)
    (run,) = (await client.health())["runs"]
    always = {"started_at", "phase", "model", "provider", "ephemeral", "age_seconds"}
    differs = {"cancelled_at"} if release == LATER else {"session_id", "stream_id", "workspace"}
    assert set(run) == always | differs


@pytest.mark.parametrize("phase", ["running", "finalizing"])
async def test_the_phase_of_a_cancelled_run_may_be_overwritten(play: Play, phase: str) -> None:
    """F15: ``cancelled_at`` tells more."""
    client = (await play(faults=Faults(hang=True, phase_after_cancel=phase))).client
    stream_id = await client.start(await client.session(), LONG)
    await client.cancel(stream_id)
    (run,) = (await client.health())["runs"]
    assert run["phase"] == phase
    assert "cancelled_at" in run


async def test_every_further_cancel_is_dated_anew(play: Play) -> None:
    stage = await play()
    stage.hang()
    client = stage.client
    stream_id = await client.start(await client.session(), LONG)
    dates = []
    for _ in range(2):
        await client.cancel(stream_id)
        dates.append((await client.health())["runs"][0]["cancelled_at"])
    assert dates[1] > dates[0]
