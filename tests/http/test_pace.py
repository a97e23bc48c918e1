"""How late a browser is: what it was waited for, less what it sent or took."""

from __future__ import annotations

import pytest

from proxy.http.pace import RATE, Pace


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_browser_that_is_not_waited_for_is_not_late(clock: Clock) -> None:
    pace = Pace(clock)
    with pace.waiting():
        clock.now += 5
    assert pace.lateness == 0


def test_a_wait_under_way_counts(clock: Clock) -> None:
    pace = Pace(clock)
    with pace.waiting():
        clock.now += 5
        assert pace.lateness == 5


def test_who_drips_is_late_for_all_the_waits_together(clock: Clock) -> None:
    """Slowloris: each byte comes within a second."""
    pace = Pace(clock)
    for _ in range(10):
        with pace.waiting():
            clock.now += 0.9
        pace.moved(1)
    with pace.waiting():
        assert pace.lateness == pytest.approx(9, abs=0.01)


def test_who_gets_on_is_not_late(clock: Clock) -> None:
    pace = Pace(clock)
    for _ in range(10):
        with pace.waiting():
            clock.now += 3
        pace.moved(4 * RATE)
    with pace.waiting():
        assert pace.lateness == 0


def test_two_waits_at_once_count_once(clock: Clock) -> None:
    pace = Pace(clock)
    with pace.waiting():
        clock.now += 1
        with pace.waiting():
            clock.now += 1
        clock.now += 1
        assert pace.lateness == 3


def test_what_is_taken_during_a_wait_makes_up_for_it(clock: Clock) -> None:
    """A kernel takes megabytes for a browser, and is not writable again for seconds."""
    pace, taken = Pace(clock), 0
    with pace.waiting(lambda: taken):
        for _ in range(10):
            clock.now += 1
            taken += 2 * RATE
            assert pace.lateness == 0
        clock.now += 15
        assert pace.lateness == 5
    with pace.waiting():
        assert pace.lateness == 5
