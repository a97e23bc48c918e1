"""The last minutes: how many events a step, and how long cancels took."""

from proxy.ops.history import SPAN, STEP, History, Outcome
from tests.support.happenings import happened

STEPS = int(SPAN / STEP)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_begins_with_nothing() -> None:
    history = History(Clock())

    assert history.events() == (0,) * STEPS
    assert history.outcomes() == ()


def test_events_are_counted_by_step() -> None:
    clock = Clock()
    history = History(clock)
    history(happened("relay_wrote", events=["token", "token"], count=2))
    clock.now += STEP
    history(happened("relay_wrote", events=["done"], count=1))
    clock.now += 2 * STEP

    assert history.events()[-4:] == (2, 1, 0, 0)
    assert len(history.events()) == STEPS


def test_the_oldest_steps_are_forgotten() -> None:
    clock = Clock()
    history = History(clock)
    history(happened("relay_wrote", events=["token"], count=1))
    clock.now += SPAN - STEP
    assert history.events()[0] == 1
    clock.now += STEP
    assert history.events() == (0,) * STEPS
    clock.now += 10 * SPAN
    assert len(history.events()) == STEPS


def test_a_cancel_is_remembered_with_how_long_it_took() -> None:
    clock = Clock()
    history = History(clock)
    history(happened("cancel_settled", took=0.12, missing=[]))
    clock.now += 1
    history(happened("cancel_settled", missing=["terminal_seen"]))

    assert history.outcomes() == (Outcome(1000.0, 0.12), Outcome(1001.0, None))
    clock.now = 1000.5 + SPAN
    assert history.outcomes() == (Outcome(1001.0, None),)


def test_what_else_is_reported_is_none_of_its_business() -> None:
    history = History(Clock())
    history(happened("observed"))

    assert history.events() == (0,) * STEPS
    assert history.outcomes() == ()
