"""Medians, spread and ratios, and what is said about them."""

import pytest

from tests.bench.budgets import BUDGETS, GUARD, NGINX
from tests.bench.measuring import Cell
from tests.bench.report import digits, doubts_about, report, spread
from tests.bench.results import Figure, Result, Results

CELL = "500 streams x 20/s"


def _results(metric: str, **rounds: list[float]) -> Results:
    """What each contender measured of one metric, round by round."""
    names = {"guard": GUARD, "nginx": NGINX, "direct": "direct"}
    return Results(
        [
            Result(number, "many", names[who], Cell(CELL, {metric: value}))
            for who, values in rounds.items()
            for number, value in enumerate(values)
        ]
    )


def test_a_figure_is_the_median_of_the_rounds_and_their_range() -> None:
    results = _results("CPU us/event", guard=[30.0, 10.0, 20.0])
    assert results.figure(CELL, "CPU us/event", GUARD) == Figure(20.0, 10.0, 30.0)
    assert results.figure(CELL, "CPU us/event", NGINX) is None


def test_a_ratio_is_taken_within_each_round() -> None:
    results = _results("CPU us/event", guard=[20.0, 200.0, 3.0], nginx=[10.0, 100.0, 1.0])
    assert results.ratio(CELL, "CPU us/event", GUARD, NGINX) == Figure(2.0, 2.0, 3.0)


def test_a_round_that_one_of_them_missed_has_no_ratio() -> None:
    results = _results("CPU us/event", guard=[20.0, 40.0], nginx=[10.0])
    assert results.ratio(CELL, "CPU us/event", GUARD, NGINX) == Figure(2.0, 2.0, 2.0)


def test_what_a_proxy_adds_is_what_it_takes_longer_than_none() -> None:
    results = _results("event p99 ms", guard=[3.0, 5.0, 0.5], direct=[1.0, 1.0, 1.0])
    assert results.figure(CELL, "added p99 ms", GUARD) == Figure(2.0, 0.0, 4.0)
    assert results.figure(CELL, "added p99 ms", "direct") is None


def test_what_is_too_little_to_be_told_is_not_divided_by() -> None:
    results = _results("event p99 ms", guard=[1.1, 1.0], nginx=[1.001, 1.001], direct=[1.0, 1.0])
    ratio = results.ratio(CELL, "added p99 ms", GUARD, NGINX)
    assert ratio is not None
    assert (ratio.low, ratio.high) == pytest.approx((1.0, 2.0))


def test_faults_say_whose_and_where() -> None:
    results = Results([Result(1, "many", GUARD, Cell(CELL, {}, ["stream 3: a gap"]))])
    assert results.faults == [f"{GUARD}, round 2, {CELL}: stream 3: a gap"]


@pytest.mark.parametrize(("cpu", "kept"), [(13.0, "yes"), (13.1, "NO")])
def test_the_report_says_which_budgets_are_kept(cpu: float, kept: str) -> None:
    text = report(_results("CPU us/event", guard=[cpu], nginx=[10.0]))
    line = next(line for line in text.splitlines() if BUDGETS[0].what in line)
    assert line.split("|")[-2].strip() == kept


def test_a_disturbed_measurement_is_doubted() -> None:
    assert doubts_about(_results("disturbed", guard=[0.01, 0.04])) == []
    (doubt,) = doubts_about(_results("disturbed", guard=[0.5, 0.3]))
    assert f"({GUARD} 0.40)" in doubt
    assert doubt in report(_results("disturbed", guard=[0.5, 0.3]))


@pytest.mark.parametrize(("value", "said"), [(0.0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_numbers_are_as_long_as_they_are_exact(value: float, said: str) -> None:
    assert digits(value) == said


def test_a_range_is_said_where_there_is_one() -> None:
    assert spread(Figure(2.0, 1.0, 3.0)) == "2.00 (1.00..3.00)"
    assert spread(Figure(2.0, 2.0, 2.0)) == "2.00"
