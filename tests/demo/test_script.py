from __future__ import annotations

from proxy.demo.habits import Pace
from proxy.demo.script import read_script


def test_the_last_of_two_equal_options_counts() -> None:
    script = read_script("n=1 d=1 tag=A first=1 tool=1 quiet=1, then n=2 d=2 tag=B first=2.5 tool=2 quiet=0.5", Pace())
    assert (script.tokens, script.delay, script.tag) == (2, 2.0, "B")
    assert (script.first, script.tool, script.quiet) == (2.5, 2.0, 0.5)


def test_what_a_prompt_leaves_open_is_up_to_the_pace() -> None:
    script = read_script("hello there", Pace(token=0.3, first_token=0.4))
    assert (script.tokens, script.delay, script.first, script.tag) == (20, 0.3, 0.4, "T")
    assert (script.tool, script.quiet, script.fails, script.compresses) == (None, 0.0, False, False)


def test_the_silence_is_in_the_middle_of_the_text() -> None:
    script = read_script("n=4 d=1 quiet=9", Pace())
    assert [script.pause(index) for index in range(4)] == [1, 1, 10, 1]
    assert [script.seconds_left(said) for said in range(5)] == [13, 12, 11, 1, 0]
