"""Every Stop, and what it was told."""

from typing import Any

from proxy.core.records import Ending
from proxy.ops.stops import Stops
from tests.support.happenings import happened


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def judged(stops: Stops, cancel_id: str, verdict: str = "forward", stream: str = "x") -> None:
    stops(happened("cancel_judged", cancel=cancel_id, stream=stream, verdict=verdict, shared=None))


def answered(stops: Stops, cancel_id: str, **said: Any) -> None:
    answer = {"stream": "x", "first": cancel_id, "verdict": "forwarded", "reason": None, "status": 200}
    stops(happened("cancel_answered", cancel=cancel_id, **{**answer, "cancelled": True, **said}))


def test_a_stop_is_kept_from_its_verdict_on() -> None:
    stops = Stops(Clock())
    judged(stops, "c-1")

    (stop,) = stops.latest()
    assert (stop.cancel_id, stop.stream_id, stop.at, stop.presses) == ("c-1", "x", 10.0, 1)
    assert (stop.verdict, stop.status, stop.cancelled, stop.failed) == (None, None, None, None)


def test_it_has_the_answer_that_it_was_given() -> None:
    stops = Stops(Clock())
    judged(stops, "c-1", "stale")
    answered(stops, "c-1", verdict="stale", reason="superseded", cancelled=False)

    stop = stops.get("c-1")
    assert stop is not None
    assert (stop.verdict, stop.reason, stop.status, stop.cancelled) == ("stale", Ending.SUPERSEDED, 200, False)


def test_those_that_are_given_its_answer_count_as_presses() -> None:
    stops = Stops(Clock())
    judged(stops, "c-1")
    for number, verdict, told in ((2, "coalesce", "coalesced"), (3, "repeat", "replayed")):
        judged(stops, f"c-{number}", verdict)
        answered(stops, f"c-{number}", first="c-1", verdict=told)

    (stop,) = stops.latest()
    assert (stop.cancel_id, stop.presses) == ("c-1", 3)


def test_a_strangers_stop_of_a_stream_that_settles_is_a_press_though_it_has_an_answer_of_its_own() -> None:
    stops = Stops(Clock())
    judged(stops, "c-1")
    judged(stops, "c-2", stream="another")
    judged(stops, "c-3", "repeat")
    answered(stops, "c-3", first="c-3", cancelled=False)

    assert {stop.cancel_id: stop.presses for stop in stops.latest()} == {"c-1": 2, "c-2": 1}


def test_a_stop_that_the_backend_refused_for_its_caller_is_no_press() -> None:
    stops = Stops(Clock())
    judged(stops, "c-1")
    judged(stops, "c-2", "repeat")
    answered(stops, "c-2", first=None, verdict=None, status=401, cancelled=None)

    (stop,) = stops.latest()
    assert stop.presses == 1


def test_one_whose_verdict_is_corrected_is_still_one() -> None:
    clock = Clock()
    stops = Stops(clock)
    judged(stops, "c-1", "stale")
    clock.now += 1
    judged(stops, "c-1", "forward")

    (stop,) = stops.latest()
    assert stop.at == 10.0


def test_one_without_an_answer_says_why() -> None:
    stops = Stops(Clock())
    judged(stops, "c-1")
    stops(happened("cancel_failed", cancel="c-1", stream="x", code="backend_unreachable"))

    (stop,) = stops.latest()
    assert stop.failed == "backend_unreachable"


def test_what_is_said_of_one_that_is_not_kept_is_lost() -> None:
    """A cancel that waited for the answer of one before, or one that is too old."""
    stops = Stops(Clock())
    answered(stops, "c-1")
    answered(stops, "c-2", first=None)
    stops(happened("cancel_failed", cancel="c-1", stream="x", code="backend_unreachable"))
    stops(happened("cancel_unguarded", cancel="c-1", stream="x"))

    assert stops.latest() == ()


def test_the_oldest_go_first() -> None:
    stops = Stops(Clock(), kept=2)
    for number in range(3):
        judged(stops, f"c-{number}")

    assert [stop.cancel_id for stop in stops.latest()] == ["c-2", "c-1"]
    assert stops.get("c-0") is None
