"""Thousands of browsers at once, and a slow one beside others: memory is bounded, and nobody else is hurt."""

import asyncio
import gc
import resource
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from proxy.config import RelaySettings
from proxy.demo import Pace
from tests.chaos.conftest import SECONDS, MakeStage, Measure, Stage
from tests.chaos.test_crowds import APART, QUIET, crowd
from tests.support.raw import PATIENCE, RawBrowser

MASS = 5000 if SECONDS >= 10 else 500  # half a minute, or three seconds
STREAMS = MASS * 4 // 5
"""How many of them get the stream. With the default lanes it would be 80; the rest is told when to come again."""

EACH = 65_536
"""Bytes that Python may hold for one of them, on both sides of the proxy and in it."""

DESCRIPTORS = 4 * STREAMS + 2 * (MASS - STREAMS) + 1000
"""Both ends of a browser's connection, and of the one to the backend, are in this process."""

FAST_ONES = 5
LATE = 0.2
"""Seconds, since everything here shares one processor, and not with us alone."""

BUFFER = 65_536


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(most, DESCRIPTORS)))
    except ValueError:
        pytest.skip(f"needs {DESCRIPTORS} descriptors, and {most} are allowed (ulimit -Hn)")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, max(most, DESCRIPTORS)))


@pytest.mark.timeout(300)
async def test_a_mass_of_browsers_at_once(make_stage: MakeStage, measure: Measure, many_descriptors: None) -> None:
    """Some see the stream, the others when to come again; a Stop ends it once for each, and nothing is left."""
    stage = await make_stage(relay=APART, relays=STREAMS, slots=2 * STREAMS, heartbeat=QUIET, pace=Pace(token=1000.0))
    session_id = await stage.browser.new_session()
    stream_id = (await stage.browser.start(session_id, "n=2 tag=A")).json["stream_id"]
    tracemalloc.start()
    try:
        since = time.monotonic()
        browsers = await crowd(stage, f"/api/chat/stream?stream_id={stream_id}", STREAMS)
        refused = [await refused_browser(stage, stream_id) for _ in range(MASS - STREAMS)]
        measure(f"{MASS} browsers come", time.monotonic() - since)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    since = time.monotonic()
    assert (await stage.browser.cancel(stream_id)).json["cancelled"] is True
    measure(f"Stop before {MASS} browsers", time.monotonic() - since)
    for browser in browsers:
        assert (await browser.rest()).count(b"event: cancel\n") == 1

    await stage.gone(within=PATIENCE)
    measure(f"{MASS} browsers have read their ending", time.monotonic() - since)
    assert len(browsers) + len(refused) == MASS
    assert held < MASS * EACH
    assert stage.proxy is not None
    assert stage.proxy.guard.relays.total == 0


async def refused_browser(stage: Stage, stream_id: str) -> RawBrowser:
    browser = await stage.raw_browser()
    await browser.get(f"/api/chat/stream?stream_id={stream_id}")
    assert b"Retry-After" in await browser.until(b"no_capacity")
    return browser


async def test_a_slow_browser_hurts_no_other(make_stage: MakeStage, measure: Measure) -> None:
    """One takes nothing of a fast stream that others watch. What it holds is measured in `test_slow_browsers.py`."""
    stage = await make_stage(
        "v0.51.265", relay=RelaySettings(buffer=BUFFER, reattach=0), heartbeat=QUIET, pace=Pace(first_token=0.5)
    )
    without = await how_late(stage, slow_ones=0)
    beside = await how_late(stage, slow_ones=1)

    measure("longest call of a crowd", without)
    measure("longest call of a crowd beside a slow browser", beside)
    assert beside < 2 * without + LATE


async def how_late(stage: Stage, *, slow_ones: int) -> float:
    """The longest that calls took while browsers, and slow ones besides, watched a fast stream."""
    session_id = await stage.browser.new_session()
    stream_id = (await stage.browser.start(session_id, f"n=500 d=0.001 tag={'A' * 4000}")).json["stream_id"]
    target = f"/api/chat/stream?stream_id={stream_id}"
    for _ in range(slow_ones):
        slow = await stage.raw_browser(receive_buffer=4096)
        await slow.get(target)
    fast = [await stage.raw_browser() for _ in range(FAST_ONES)]
    return max(await asyncio.gather(*(lateness(stage, browser, target) for browser in fast)))


async def lateness(stage: Stage, browser: RawBrowser, target: str) -> float:
    """Reads a stream to its end; the longest that a call took meanwhile."""
    await browser.get(target)
    reading = asyncio.create_task(read_to_its_end(browser))
    longest = 0.0
    while not reading.done():
        since = time.monotonic()
        await stage.browser.call("GET", "/api/auth/status")
        longest = max(longest, time.monotonic() - since)
        await asyncio.sleep(0.05)
    await reading
    return longest


async def read_to_its_end(browser: RawBrowser) -> None:
    """Keeps none of it."""
    while b"event: stream_end" not in browser.received:
        del browser.received[:-100]
        assert await browser.read(), "the stream ended without its ending"
