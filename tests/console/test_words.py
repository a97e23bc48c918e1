"""Numbers, durations and times, as people say them, and as the status page does."""

import re
from pathlib import Path

import pytest

from proxy.console.words import MISSING, count, duration, time_of_day

WORDS = Path(__file__).parents[2] / "proxy/ops/admin/page/words.js"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.25, "250 ms"),
        (1, "1.0 s"),
        (9.94, "9.9 s"),
        (41.9, "41 s"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_a_duration_is_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_one_thing_is_one() -> None:
    assert [count(1, "turn"), count(2, "turn"), count(0, "runs", "run")] == ["1 turn", "2 turns", "0 run"]


def test_a_time_is_that_of_this_place() -> None:
    assert re.fullmatch(r"\d\d:\d\d:22", time_of_day("2031-05-07T09:30:22.250Z"))


def test_a_step_that_is_missing_means_what_it_does_on_the_page() -> None:
    (block,) = re.findall(r"export const MISSING = \{(.*?)\};", WORDS.read_text(), re.DOTALL)
    assert dict(re.findall(r'(\w+): "([^"]+)"', block)) == MISSING
