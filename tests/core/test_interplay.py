"""Evidence in unlucky orders: late answers, merged sessions, streams that only a cancel told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.effects import Settled
from proxy.core.records import Ending, SessionRecord, Slot, StreamRecord, StreamState
from proxy.core.verdicts import Forward, Stale, judge_cancel

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


def test_a_status_asked_for_before_the_next_start_does_not_undo_that_start(story: Story) -> None:
    story.starts("x").misses("x").starts("y").status("x", active=True, asked=2.5)
    assert story.owner == "y"
    assert story.stream("y").state is RUNNING


def test_an_unknown_streams_status_asked_for_before_a_start_does_not_undo_it(story: Story) -> None:
    story.starts("y").status("x", active=True, asked=0.5)
    assert story.owner == "y"


@pytest.mark.parametrize("state", StreamState)
def test_a_session_that_is_returned_to_has_not_moved(story: Story, state: StreamState) -> None:
    streams = story.reaches("x", state).record.streams
    story.moves_to("t").adopts(*streams)
    assert story.record == SessionRecord("s", streams)


def test_an_adopted_stream_is_superseded_by_a_later_one(story: Story) -> None:
    """P1: else its cancel is forwarded once its successor has ended."""
    story.starts("y").adopts(StreamRecord("x", RUNNING, 0.5, began=0.5)).ends("y")
    assert judge_cancel(story.record, "x", "anybody") == Stale(Ending.SUPERSEDED, proven=False)


def test_a_turn_that_began_before_a_cancel_was_accepted_does_not_show_that_its_worker_is_gone(story: Story) -> None:
    """P11: two records turn out to be one session's, and the later turn began while the cancel was on its way."""
    streams = story.starts("x").cancels("x").starts("y").accepts("x").record.streams
    other = type(story)(SessionRecord("t")).adopts(*streams)
    assert other.states == {"x": SETTLING, "y": RUNNING}
    assert other.cancel_of("x").slot is Slot.BUSY
    assert other.stream("x").ending is Ending.SUPERSEDED


def test_an_adopted_stream_that_began_later_owns_the_session(story: Story) -> None:
    story.starts("w").adopts(StreamRecord("x", RUNNING, 1.5, began=1.5))
    assert judge_cancel(story.record, "x", "anybody") == Forward()
    assert judge_cancel(story.record, "w", "anybody") == Stale(Ending.SUPERSEDED, "x", proven=False)


def test_of_two_that_began_at_the_same_time_the_adopted_one_owns_the_session(story: Story) -> None:
    story.starts("w").adopts(StreamRecord("x", RUNNING, 1, began=1))
    assert story.owner == "x"


def test_a_stream_that_both_records_know_is_kept_once(story: Story) -> None:
    story.starts("x").adopts(StreamRecord("x", ENDED, 2, Ending.FINISHED))
    assert [stream.stream_id for stream in story.record.streams] == ["x"]


def test_adopted_endings_are_bounded_too(story: Story) -> None:
    """P7: every buffer has a size."""
    for number in range(SessionRecord.KEPT_ENDINGS):
        story.starts(f"y{number}").ends(f"y{number}")
    story.adopts(*(StreamRecord(f"x{n}", ENDED, 0, Ending.FINISHED) for n in range(SessionRecord.KEPT_ENDINGS)))
    assert len(story.record.streams) == SessionRecord.KEPT_ENDINGS


@pytest.mark.parametrize("told", ["starts", "conflicts"])
def test_a_start_proves_a_stream_whose_cancel_came_first(story: Story, told: str) -> None:
    story.starts("w").cancels("x")
    story.starts("x") if told == "starts" else story.conflicts_with("x")
    assert story.stream("w").ending is Ending.SUPERSEDED
    assert story.fails("x").owner == "x"


def test_an_unproven_stream_does_not_own_the_session(story: Story) -> None:
    """P8: a cancel proves nothing; the owner's Stop is still forwarded."""
    story.starts("y").cancels("x")
    assert story.owner == "y"
    assert judge_cancel(story.record, "y", "anybody") == Forward()


def test_a_journal_read_while_a_cancel_is_on_its_way_counts(story: Story) -> None:
    """P1: the cancel fails; the end that was seen meanwhile stands."""
    story.starts("x").cancels("x").status("x", active=False, ending=Ending.FINISHED).fails("x")
    assert judge_cancel(story.record, "x", "anybody") == Stale(Ending.FINISHED)


@pytest.mark.parametrize("over_by", ["the next turn", "a restart"])
def test_a_stream_that_runs_again_has_no_cancel_that_could_settle_once_more(story: Story, over_by: str) -> None:
    """It was overtaken, accepted, and given up; then it speaks, and is over once more."""
    story.starts("x").cancels("x").starts("y").accepts("x").times_out("x").speaks("x")
    assert story.stream("x").cancel is None
    story.starts("z") if over_by == "the next turn" else story.restarts()
    assert not any(isinstance(effect, Settled) for effect in story.effects)


def test_a_stream_whose_further_cancel_fails_has_no_cancel_that_could_settle_once_more(story: Story) -> None:
    story.starts("x").cancels("x").starts("y").accepts("x").times_out("x").cancels("x", "c-2").speaks("x")
    assert story.fails("x", "c-2").stream("x").cancel is None
    assert story.states["x"] is RUNNING
