"""The instrument itself: every workload, short and small, on the bare backend and on this proxy."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.backend import Backend
from tests.bench.budgets import BARE, GUARD
from tests.bench.chart import draw
from tests.bench.contenders import CONTENDERS, Contender, Target
from tests.bench.measuring import Cell, Keep, Workload
from tests.bench.processes import StartError
from tests.bench.results import DIRECT, Results
from tests.bench.running import run
from tests.bench.workloads.calls import Calls
from tests.bench.workloads.churn import Churn
from tests.bench.workloads.lines import CELL as LOG
from tests.bench.workloads.lines import Lines, Spent, Tally
from tests.bench.workloads.stops import Stops
from tests.bench.workloads.streams import Streams
from tests.bench.workloads.transfers import Transfers

BY_NAME = {contender.name: contender for contender in CONTENDERS}
SMALL = 8


async def _run(contenders: list[Contender], *workloads: Workload) -> Results:
    return Results(await run(contenders, workloads, 1, lambda _text: None))


async def _through_the_proxy(workload: Workload) -> Results:
    results = await _run([BY_NAME[DIRECT], BY_NAME[GUARD]], workload)
    assert results.faults == []
    return results


async def test_streams_are_relayed_and_weighed(tmp_path: Path) -> None:
    results = await _through_the_proxy(Streams("few", 3, (20,), 0.2, SMALL, weigh=True))
    for metric in ("event/s", "CPU us/event", "event p50 ms", "added p50 ms", "contender busy", "disturbed"):
        assert results.figure("3 streams x 20/s", metric, GUARD), metric
    assert results.figure("3 open streams", "KiB/stream", GUARD)
    assert results.figure("3 streams ended", "orphans after 5 s", GUARD)
    assert [path.suffix for path in draw(results, tmp_path) if path.stat().st_size] == [".svg", ".png"]


async def test_streams_are_relayed_whose_session_is_not_known() -> None:
    results = await _through_the_proxy(Streams("unknown", 3, (20,), 0.2, SMALL, known=False))
    assert results.figure("3 unknown streams x 20/s", "CPU us/event", GUARD)


async def test_browsers_that_watch_one_turn_are_each_sent_all_of_it() -> None:
    results = await _through_the_proxy(Streams("shared", 2, (20,), 0.2, SMALL, browsers=3))
    assert results.figure("2 streams of 3 browsers x 20/s", "CPU us/event", GUARD)


async def test_the_bare_relay_passes_on_whatever_comes() -> None:
    results = await _run([BY_NAME[BARE]], Streams("few", 3, (20,), 0.2, SMALL), Calls(2, 0.1, SMALL), Transfers(SMALL))
    assert results.faults == []
    assert results.figure("3 streams x 20/s", "CPU us/event", BARE)


async def test_tokens_in_bursts_are_all_counted() -> None:
    results = await _through_the_proxy(Streams("bursts", 2, (10,), 0.2, SMALL, burst=5))
    assert results.figure("2 streams x 5 tokens at once, 10/s", "CPU us/event", GUARD)


async def test_calls_are_answered() -> None:
    results = await _through_the_proxy(Calls(2, 0.1, SMALL))
    assert results.figure("2 callers", "call/CPU-s", GUARD)


async def test_calls_are_logged_by_what_is_served_as_shipped() -> None:
    silent = replace(BY_NAME["no guard, uvloop"], logs=True)
    results = await _run([BY_NAME[GUARD], silent], Calls(2, 0.1, SMALL))
    (fault,) = results.faults
    assert fault.startswith("no guard, uvloop")
    assert "calls left 0 lines in the log" in fault


async def test_what_a_log_line_costs_is_measured_where_there_is_one() -> None:
    results = await _run([BY_NAME[DIRECT], BY_NAME[GUARD]], Lines(2, 0.4, SMALL))
    assert results.faults == []
    assert results.figure(LOG, "us/log line", GUARD)
    assert results.figure(LOG, "us/log line", DIRECT) is None


def test_a_log_line_costs_what_a_call_costs_more_with_it() -> None:
    tally = Tally(Spent(cpu=300_000, calls=3), Spent(cpu=140_000, calls=2))
    assert tally.values() == {"us/call, log on": 100.0, "us/call, log off": 70.0, "us/log line": 30.0}
    assert Tally().values() == {}


async def test_a_file_goes_down_and_up() -> None:
    results = await _through_the_proxy(Transfers(SMALL))
    assert results.figure("100 MB download", "peak RSS MiB", GUARD)
    assert results.figure("100 MB upload", "MB/s", GUARD)


async def test_browsers_come_and_go() -> None:
    results = await _through_the_proxy(Churn(2, 0.2, SMALL))
    assert results.figure("2 browsers come and go", "opening/s", GUARD)


async def test_streams_are_stopped_among_others() -> None:
    results = await _through_the_proxy(Stops(3, 20, 2, 0.02, 3))
    assert results.figure("Stop among 3 streams x 20/s", "Stop seen p99 ms", GUARD)


class _Refused:
    """A workload that takes one figure, and then is refused."""

    name = "refused"
    relays = SMALL

    async def run(self, _target: Target, _backend: Backend, keep: Keep) -> None:
        keep(Cell("before", {"streams": 1.0}))
        raise ConnectionRefusedError("nobody listens")


async def test_what_breaks_off_is_a_fault_and_keeps_what_was_measured() -> None:
    results = await _run([BY_NAME[DIRECT]], _Refused())
    assert results.figure("before", "streams", DIRECT)
    assert results.faults == [f"{DIRECT}, round 1, refused: broken off: ConnectionRefusedError('nobody listens')"]


async def test_a_contender_that_does_not_start_says_why() -> None:
    failing = Contender("failing", sys.executable, lambda _place: ["-c", "raise SystemExit('out of order')"])
    with pytest.raises(StartError, match="out of order"):
        await _run([failing], Calls(1, 0.1, SMALL))


def test_what_is_not_installed_is_known() -> None:
    assert not Contender("missing", "no-such-proxy", lambda _place: []).installed
    assert BY_NAME[GUARD].installed
    assert BY_NAME[DIRECT].installed


def test_a_contender_says_which_version_it_is() -> None:
    assert BY_NAME[GUARD].version_line().startswith("Python 3.")
    assert not BY_NAME[DIRECT].version_line()
