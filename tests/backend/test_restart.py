"""What proves that Hermes is back after a restart."""

import pytest

from proxy.backend.restart import RestartWatch
from proxy.hermes.health import ServerStart


def at(asked: float, stamp: float | None = None, uptime: float | None = None) -> ServerStart:
    return ServerStart(asked, asked + 0.1, stamp, uptime)


def test_another_beginning_is_a_restart_though_it_was_never_seen_away() -> None:
    watch = RestartWatch()
    assert not watch.answered(at(0, stamp=100.0))
    assert not watch.answered(at(1, stamp=100.0))
    assert watch.answered(at(2, stamp=101.5))


def test_an_age_that_began_anew_is_one() -> None:
    """v0.51 says no more."""
    watch = RestartWatch()
    assert not watch.answered(at(0, uptime=50.0))
    assert not watch.answered(at(10, uptime=60.0))
    assert watch.answered(at(20, uptime=1.0))


def test_the_same_process_that_was_away_for_a_moment_is_none() -> None:
    watch = RestartWatch()
    assert not watch.answered(at(0, stamp=100.0))
    watch.lost()
    assert not watch.answered(at(1, stamp=100.0))


@pytest.mark.parametrize("start", [None, at(5, stamp=100.0), at(5, uptime=1.0)])
def test_one_that_was_away_from_the_beginning_is_back_when_it_answers(start: ServerStart | None) -> None:
    watch = RestartWatch()
    watch.lost()
    assert watch.answered(start)


def test_without_a_beginning_it_has_to_be_seen_away() -> None:
    watch = RestartWatch()
    assert not watch.answered(None)
    assert not watch.answered(None)
    watch.lost()
    assert watch.answered(None)
