"""What the report, the budgets and the chart speak of is measured by the plan."""

import re

from proxy.config import Settings
from tests.bench import chart, plan, report
from tests.bench.budgets import BARE, BUDGETS, GUARD, NGINX, PYTHON_PROXY, UNGUARDED
from tests.bench.contenders import CONTENDERS
from tests.bench.measuring import Cell
from tests.bench.results import DIRECT, Result, Results
from tests.bench.workloads.calls import Calls
from tests.bench.workloads.churn import Churn
from tests.bench.workloads.lines import CELL as LOG
from tests.bench.workloads.lines import Lines
from tests.bench.workloads.stops import Stops
from tests.bench.workloads.streams import Streams
from tests.bench.workloads.transfers import DOWNLOAD, UPLOAD

METRICS = (
    *("CPU us/event", "event p50 ms", "event p99 ms", "KiB/stream", "call/CPU-s", "MB/s", "peak RSS MiB", "opening/s"),
    *("CPU us/MB", "us/log line"),
    *("orphans after 100 ms", "orphans after 5 s", "Stop seen p50 ms", "Stop seen p99 ms"),
)


def _cells() -> set[str]:
    """The names of all cells of the plan."""
    names = {DOWNLOAD, UPLOAD, LOG}
    for workload in plan.workloads(plan.SECONDS):
        if isinstance(workload, Streams):
            names |= {workload.opened, workload.ended, *map(workload.relayed, workload.rates)}
        if isinstance(workload, Calls | Churn | Stops):
            names.add(workload.cell)
    return names


def test_the_report_and_the_chart_show_cells_that_are_measured() -> None:
    shown = {cell for _, cell, *_ in report.MAIN} | {bars.cell for bars in chart.BARS}
    assert shown | set(chart.OVER_STREAMS) | set(chart.OVER_RATES) <= _cells()


def test_every_budget_is_read_of_what_is_measured() -> None:
    everything = Results(
        [
            Result(0, "any", contender.name, Cell(name, dict.fromkeys(METRICS, 1.0)))
            for contender in CONTENDERS
            for name in _cells()
        ]
    )
    assert [budget.what for budget in BUDGETS if budget.read(everything) is None] == []
    assert {metric for _, _, metric, _ in report.MAIN} <= {*METRICS, "added p50 ms", "added p99 ms"}


def test_budgets_and_ratios_name_contenders_that_there_are() -> None:
    names = {contender.name for contender in CONTENDERS}
    assert {DIRECT, GUARD, UNGUARDED, NGINX, BARE, PYTHON_PROXY} <= names


def test_the_lanes_that_are_filled_are_those_that_are_shipped() -> None:
    lanes = Settings().upstream.lanes
    assert (lanes.relays, lanes.calls) == (plan.SHIPPED_RELAYS, plan.SHIPPED_CALLS)


def test_what_a_log_line_costs_is_measured() -> None:
    assert any(isinstance(workload, Lines) for workload in plan.workloads(plan.SECONDS))


def test_only_what_is_served_as_shipped_has_a_log() -> None:
    assert {contender.name for contender in CONTENDERS if contender.logs} == {GUARD, "guard, asyncio"}
    log = Settings().log
    assert (log.format, log.level) == (None, "info")


def test_what_is_chosen_on_the_command_line_has_a_name_of_its_own() -> None:
    names = [workload.name for workload in plan.workloads(plan.SECONDS)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+", name) for name in names)
