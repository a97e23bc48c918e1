"""What befalls processes: the backend stops, dies and comes back, and the proxy runs out of descriptors and of disk."""

import asyncio
import contextlib
import json
import resource
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from proxy.verify import verify_files
from tests.chaos.conftest import MakeStage, Pair
from tests.support.lab import PATIENCE, Browser, Reply
from tests.support.raw import RawBrowser
from tests.support.standin import KEPT

TOO_FEW = 12
"""Descriptors more than the proxy has open: a turn's few, and not those of a crowd."""


def open_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_a_backend_that_freezes_in_mid_turn_and_goes_on(pair: Pair) -> None:
    """A Stop is answered in time, and not with a success; what it asked for is done once the backend can."""
    await pair.start(UPSTREAM__RESPONSE_TIMEOUT="1s")
    _, stream_id, tab = await pair.browser.turn(session_id=KEPT)
    pair.backend.signal(signal.SIGSTOP)

    stopped = await pair.browser.cancel(stream_id)
    pair.backend.signal(signal.SIGCONT)

    assert (stopped.status, stopped.json["code"]) == (504, "backend_too_slow")
    assert (await tab.ended()).endings == ["cancel"]
    await pair.check_that_a_stop_works()


async def test_a_backend_that_is_killed_in_mid_turn_and_comes_back(pair: Pair) -> None:
    """The turn is lost, which is what a Stop of it is told; the session is not stuck."""
    await pair.start()
    _, stream_id, tab = await pair.browser.turn(session_id=KEPT)
    pair.backend.signal(signal.SIGKILL)
    await tab.ended()
    meanwhile = await pair.browser.cancel(stream_id)
    await pair.backend.process.wait()
    await pair.start_backend()
    await pair.browser.call("GET", f"/api/session?session_id={KEPT}")  # as the page does that reconnects

    stopped = await pair.browser.cancel(stream_id)

    assert meanwhile.status == 502
    assert (stopped.json["cancelled"], stopped.json["reason"]) == (False, "lost")
    await pair.check_that_a_stop_works()


async def test_a_proxy_without_descriptors_left_recovers(pair: Pair) -> None:
    """Whoever comes then waits or is refused. It lives, and a Stop works as soon as some of them have left."""
    await pair.start()
    _, stream_id, tab = await pair.browser.turn("n=3000 tag=A", session_id=KEPT)
    pid = pair.proxy.process.pid
    used = open_descriptors(pid)
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + TOO_FEW, most))
    with contextlib.ExitStack() as crowd:
        for _ in range(4 * TOO_FEW):
            raw = crowd.enter_context(contextlib.closing(RawBrowser(int(pair.proxy.url.rpartition(":")[2]))))
            await raw.connect()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(1.0):
                crowded = await pair.browser.cancel(stream_id)
                assert crowded.status in {200, 502, 503}

    stopped = await _until_answered(pair.browser, stream_id)

    assert stopped.json["cancelled"] is True
    assert (await tab.ended()).endings == ["cancel"]
    assert pair.proxy.process.returncode is None
    await pair.check_that_a_stop_works()


async def _until_answered(browser: Browser, stream_id: str) -> Reply:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                if (reply := await browser.cancel(stream_id)).status == 200:
                    return reply
            await asyncio.sleep(0.05)


async def test_a_full_disk_costs_the_trace_its_lines_and_nobody_their_turn(pair: Pair, tmp_path: Path) -> None:
    """What was lost is counted, and told once there is room; what is there shows no broken promise."""
    path = tmp_path / "trace"
    await pair.start(TRACE__PATH=str(path))
    pid = pair.proxy.process.pid
    await pair.check_that_a_stop_works()
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 100, most))
    await pair.check_that_a_stop_works()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    await pair.check_that_a_stop_works()

    gaps = [line for line in map(json.loads, path.read_text().splitlines()) if line["event"] == "trace_gap"]

    assert sum(gap["dropped"] for gap in gaps) > 0
    assert any("the trace cannot be written" in line for line in pair.proxy.said)
    assert [one.sentence for one in verify_files([path]).violations if one.promise != "P6"] == []


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_set_in_mid_turn_changes_nothing(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """Whatever is decided goes by a clock that nobody sets."""
    stage = await make_stage()
    session_id, stream_id, tab = await stage.browser.turn()
    true_time = time.time
    monkeypatch.setattr("time.time", lambda: true_time() + step)

    stopped = await stage.browser.cancel(stream_id)
    following = await stage.browser.start(session_id, "n=3 tag=B")

    assert (stopped.json["cancelled"], (await tab.ended()).endings) == (True, ["cancel"])
    assert (await stage.browser.open(following.json["stream_id"]).ended()).text == "B0 B1 B2 "
    assert not [event for event, _ in stage.reports if event in {"internal_error", "settle_timed_out"}]
