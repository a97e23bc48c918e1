"""What becomes of the texts that were steered into a turn (F18)."""

from dataclasses import replace
from itertools import permutations

import pytest

from proxy.core.records import Cancel, Ending, StreamRecord, StreamState
from proxy.core.steers import Steer, Steered
from proxy.core.verdicts import judge_leftover, judge_steer

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
RUNS = StreamRecord("x", RUNNING, 1)
ACCEPTED = Cancel("c-1", "alice", sent_at=1, acked_at=2)


def steered(*texts: str) -> Steered:
    turn = Steered()
    for text in texts:
        steer(turn, text)
    return turn


def steer(turn: Steered, text: str) -> None:
    turn.remember("s", text)


def texts(steers: tuple[Steer, ...]) -> list[str]:
    return [steer.text for steer in steers]


def test_they_wait_in_the_order_in_which_they_were_accepted() -> None:
    assert texts(steered("one", "two", "one").waiting) == ["one", "two", "one"]


def test_a_tool_that_ends_takes_along_what_was_sent_before() -> None:
    turn = steered("one", "two")

    assert texts(turn.tool_ended(1)) == ["one", "two"]

    assert turn.waiting == ()


def test_a_tool_takes_nothing_along_that_was_sent_after_its_end() -> None:
    turn = steered()
    turn.tool_ended(1)
    steer(turn, "late")

    assert turn.tool_ended(1) == (), "another relay tells of it, or one that joined late"

    assert texts(turn.waiting) == ["late"]
    assert texts(turn.tool_ended(2)) == ["late"]


def test_a_relay_that_joins_late_tells_of_old_tools_and_of_new_ones() -> None:
    turn = steered()
    for tool in (1, 2):
        turn.tool_ended(tool)
    steer(turn, "late")

    reached = [texts(turn.tool_ended(tool)) for tool in (1, 2, 3)]

    assert reached == [[], [], ["late"]]


def test_only_so_many_tools_are_known_again() -> None:
    """P7: a turn may use any number of them."""
    turn = steered()
    for tool in range(5000):
        turn.tool_ended(tool)
    steer(turn, "late")

    assert turn.tool_ended(4999) == ()
    assert len(turn._tools) <= 1024


def test_the_backend_hands_several_back_as_one_text() -> None:
    turn = steered("one", "two", "three")

    assert texts(turn.handed_back("one\nthree")) == ["one", "three"]

    assert texts(turn.waiting) == ["two"]


@pytest.mark.parametrize("order", list(permutations(["a", "x\na\ny", "a"])))
def test_a_line_of_a_longer_text_is_not_taken_for_a_text_of_its_own(order: tuple[str, ...]) -> None:
    turn = steered(*order)

    assert texts(turn.handed_back("x\na\ny")) == ["x\na\ny"]

    assert texts(turn.waiting) == ["a", "a"]


def test_the_same_text_twice_is_handed_back_twice_only_if_it_is_there_twice() -> None:
    turn = steered("again", "again")

    assert texts(turn.handed_back("again")) == ["again"]
    assert texts(turn.handed_back("again\nagain")) == ["again"]


def test_part_of_a_line_is_not_a_text() -> None:
    turn = steered("go")

    assert turn.handed_back("go on") == ()


def test_what_is_taken_is_taken_once_and_can_be_put_back_before_what_came_since() -> None:
    turn = steered("one", "two")
    taken = turn.take()
    steer(turn, "three")

    turn.put_back(taken)

    assert texts(taken) == ["one", "two"]
    assert texts(turn.take()) == ["one", "two", "three"]
    assert turn.take() == ()


@pytest.mark.parametrize("ending", [Ending.SUPERSEDED, Ending.LOST, Ending.UNKNOWN])
def test_a_turn_that_runs_or_may_run_can_be_steered(ending: Ending) -> None:
    assert judge_steer(None) is None
    assert judge_steer(RUNS) is None
    assert judge_steer(RUNS.ended(2, ending)) is None


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_a_turn_that_is_being_cancelled_cannot_be_steered(state: StreamState) -> None:
    assert judge_steer(replace(RUNS, state=state)) is Ending.CANCELLED


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
def test_a_turn_that_is_over_cannot_be_steered(ending: Ending) -> None:
    assert judge_steer(RUNS.ended(2, ending)) is ending


@pytest.mark.parametrize("stream", [None, RUNS, replace(RUNS, state=CANCEL_SENT)])
def test_what_was_steered_too_late_is_given_back_before_any_end_but_a_cancel(stream: StreamRecord | None) -> None:
    assert judge_leftover(stream, Ending.FINISHED)
    assert judge_leftover(stream, Ending.FAILED)
    assert not judge_leftover(stream, Ending.CANCELLED)


def test_nothing_is_given_back_once_a_stop_was_accepted() -> None:
    """The page would send it as the next message, right after the Stop."""
    assert not judge_leftover(replace(RUNS, state=SETTLING, cancel=ACCEPTED), Ending.FINISHED)


def test_a_stop_that_came_too_late_keeps_nothing_back() -> None:
    """It is answered `cancelled: false`: the turn had finished by itself."""
    late = replace(ACCEPTED, overtaken_by=Ending.FINISHED)
    assert judge_leftover(replace(RUNS, state=SETTLING, cancel=late), Ending.FINISHED)
