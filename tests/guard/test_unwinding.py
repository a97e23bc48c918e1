"""How long a cancelled worker is given before its cancel is repeated (F23)."""

import pytest

from proxy.guard.listening import Ready
from proxy.guard.unwinding import Unwinding


def test_before_anything_was_seen_it_is_a_second() -> None:
    assert Unwinding().patience(Ready.UNKNOWN) == 1.0


@pytest.mark.parametrize(("took", "patience"), [([0.1], 0.6), ([0.5, 0.2], 1.0), ([0.2, 5.0], 3.0)])
def test_it_is_twice_the_longest_that_was_seen_within_bounds(took: list[float], patience: float) -> None:
    learned = Unwinding()
    for seconds in took:
        learned.learn(seconds)
    assert learned.patience(Ready.LISTENS) == patience


def test_only_the_latest_eight_count() -> None:
    learned = Unwinding()
    learned.learn(1.2)
    for _ in range(8):
        learned.learn(0.4)
    assert learned.patience(Ready.LISTENS) == 0.8


def test_a_worker_whose_turn_has_spoken_is_given_the_most() -> None:
    """It has heard, and may be in a tool that takes long to end."""
    learned = Unwinding()
    learned.learn(0.1)
    assert learned.patience(Ready.SPEAKS) == 3.0
