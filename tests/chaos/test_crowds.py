"""Many at once: none is left behind, nothing is lost, and a Stop gets through."""

import asyncio
import time
from collections.abc import Callable

import pytest

from proxy.config import RelaySettings
from proxy.demo import Pace
from tests.chaos.conftest import MakeStage, Measure, Stage
from tests.support.lab import Tab
from tests.support.raw import PATIENCE, RawBrowser

CROWD = 500
STREAMS = 200
APART = RelaySettings(log=0)
CHANNEL = "/api/kanban/events/stream"
"""One that browsers do not share."""

QUIET = 1000.0
"""Seconds between heartbeats: more than any test takes."""


async def crowd(stage: Stage, target: str, count: int) -> list[RawBrowser]:
    """So many browsers, each of which has seen its stream begin."""
    browsers: list[RawBrowser] = []
    while len(browsers) < count:  # no more at once than the stand-in's backlog takes
        coming = [await stage.raw_browser() for _ in range(min(50, count - len(browsers)))]
        for browser in coming:
            await browser.get(target)
        for browser in coming:
            await browser.until(b"text/event-stream")
        browsers += coming
    return browsers


async def last_one_left(stage: Stage) -> float:
    """When the backend saw the last of its clients leave. Looked for now and then: looking costs, too."""
    async with asyncio.timeout(PATIENCE):
        while stage.backend.ledger.open_streams:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
    return max(record.client_left_at or float("inf") for record in stage.streams())


@pytest.mark.parametrize("leave", [RawBrowser.leave_by_fin, RawBrowser.leave_by_rst], ids=lambda leave: leave.__name__)
async def test_five_hundred_browsers_killed_at_once_leave_nothing(
    make_stage: MakeStage, measure: Measure, leave: Callable[[RawBrowser], None]
) -> None:
    """P6: the backend's connections are gone within a second, one for each browser."""
    stage = await make_stage(relay=APART, relays=2 * CROWD, slots=4 * CROWD, heartbeat=QUIET, pace=Pace(token=0.5))
    session_id = await stage.browser.new_session()
    stream_id = (await stage.browser.start(session_id, "n=1000 tag=A")).json["stream_id"]
    browsers = await crowd(stage, f"/api/chat/stream?stream_id={stream_id}", CROWD)
    assert len(stage.backend.ledger.open_streams) == CROWD

    since = time.monotonic()
    for browser in browsers:
        leave(browser)
    seconds = await last_one_left(stage) - since

    measure(f"{CROWD} browsers killed at once", seconds)
    assert seconds < 1.0


async def test_two_hundred_streams_at_once_lose_nothing(make_stage: MakeStage) -> None:
    """Every byte that the backend wrote arrived, in its order, and none besides.

    On this release a live frame is written as it is journalled, and the journal is read without the proxy.
    """
    pace = Pace(first_token=2.0, token=0.05)
    stage = await make_stage("v0.52.262", relays=2 * STREAMS, slots=8 * STREAMS, heartbeat=QUIET, pace=pace)

    async def begin(number: int) -> tuple[str, Tab]:
        session_id = await stage.browser.new_session()
        started = await stage.browser.start(session_id, f"n={5 + number % 20} tag=T{number}x")
        return started.json["stream_id"], stage.browser.open(started.json["stream_id"])

    turns = await asyncio.gather(*(begin(number) for number in range(STREAMS)))
    for _, tab in turns:
        await tab.ended()

    for number, (stream_id, tab) in enumerate(turns):
        direct = await stage.direct.open(stream_id).ended()
        assert tab.raw == direct.raw
        assert tab.text == "".join(f"T{number}x{index} " for index in range(5 + number % 20))
        assert tab.endings == ["stream_end"]
    await stage.gone(within=1.0)


async def test_a_stop_gets_through_with_every_relay_and_call_slot_taken(
    make_stage: MakeStage, measure: Measure
) -> None:
    """F7, P7: control never waits for the others; a further stream is told when to come back."""
    stage = await make_stage("v0.52.262", heartbeat=QUIET)
    _, stream_id, _ = await stage.browser.turn()
    await crowd(stage, CHANNEL, 80 - 1)
    for _ in range(24):
        uploading = await stage.raw_browser()
        begun = bytes(1 << 16)
        await uploading.send(b"POST /api/upload HTTP/1.1\r\nHost: hermes\r\nContent-Length: 99999\r\n\r\n" + begun)
    await stage.backend.ledger.until(lambda: len(stage.backend.ledger.requests_for("/api/upload")) == 24)
    waiting = [await stage.raw_browser() for _ in range(50)]
    for browser in waiting:
        await browser.get("/api/auth/status")

    further = await stage.browser.call("GET", CHANNEL)
    since = time.monotonic()
    stopped = await stage.browser.cancel(stream_id)
    seconds = time.monotonic() - since

    measure("Stop with every relay and call slot taken", seconds)
    assert stopped.json["cancelled"] is True
    assert seconds < 0.5
    assert (further.status, further.json["code"]) == (503, "no_capacity")
    assert 2 <= int(dict(further.headers)["Retry-After"]) <= 6


async def test_observers_that_do_not_say_so_keep_nobody_out(make_stage: MakeStage) -> None:
    """Hermes answers them with an event stream whatever they accept; more of them than there are slots for calls."""
    stage = await make_stage("v0.52.262", heartbeat=QUIET)
    session_id, stream_id, tab = await stage.browser.turn()
    await crowd(stage, f"/api/sessions/{session_id}/events", 30)

    called = await stage.browser.call("GET", "/api/auth/status")
    stopped = await stage.browser.cancel(stream_id)

    assert (called.status, stopped.json["cancelled"]) == (200, True)
    assert (await tab.ended()).endings == ["cancel"]
    await stage.browser.call("GET", "/api/auth/status")
    for browser in stage.raw:
        browser.leave_by_fin()
    await stage.gone(within=1.0)
