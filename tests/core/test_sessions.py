"""What happens to a whole session: the backend restarts, the conversation moves on under another id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.effects import EndRelays, MoveStreams, Settled
from proxy.core.records import Ending, SessionRecord, SlotFreedBy, StreamRecord, StreamState

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


# -- the backend restarts -------------------------------------------------------------------------


def test_a_restart_loses_the_running_stream(story: Story) -> None:
    story.starts("x").restarts()
    assert story.stream("x") == StreamRecord("x", ENDED, since=2, ending=Ending.LOST, started_at=1)
    assert story.effects == (EndRelays("x"),)


def test_a_restart_leaves_an_unanswered_cancel_to_its_answer(story: Story) -> None:
    story.starts("x").cancels("x").restarts()
    assert story.stream("x").state is CANCEL_SENT
    assert story.effects == ()
    assert story.fails("x").stream("x").ending is Ending.LOST


def test_a_restart_loses_a_turn_whose_cancel_was_sent_after_it(story: Story) -> None:
    """It is noticed late: by what is asked because the cancel was refused."""
    story.starts("x").cancels("x").restarts(at=1.5)
    assert story.stream("x").ending is Ending.LOST
    assert story.refuses("x", gone=True).stream("x").ending is Ending.LOST


def test_a_restart_does_not_undo_an_ending_seen_before_it(story: Story) -> None:
    story.starts("x").cancels("x").ends("x").restarts()
    assert story.refuses("x").stream("x").ending is Ending.FINISHED


def test_no_worker_that_was_not_seen_gone_outlives_a_restart(story: Story) -> None:
    """P1: a further cancel of it is stale."""
    story.reaches("x", SETTLING).times_out("x").restarts()
    assert story.stream("x").ending is Ending.CANCELLED
    assert not story.stream("x").may_have_worker


def test_nor_one_whose_further_cancel_is_not_answered(story: Story) -> None:
    story.reaches("x", SETTLING).times_out("x").cancels("x", "c-2").restarts().fails("x", "c-2")
    assert story.states == {"x": ENDED}
    assert not story.stream("x").may_have_worker


def test_a_lost_turn_whose_cancel_becomes_known_is_gone(story: Story) -> None:
    story.starts("x").restarts().status("x", active=False, ending=Ending.CANCELLED)
    assert not story.stream("x").may_have_worker


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT])
def test_a_restart_loses_no_runners_turn(story: Story, state: StreamState) -> None:
    """F20: it runs in another process."""
    story.starts("x", hosted=False)
    if state is CANCEL_SENT:
        story.cancels("x")
    before = story.record
    assert story.restarts().record == before
    assert story.effects == ()


def test_a_restart_ends_a_cancel_that_settles(story: Story) -> None:
    story.reaches("x", SETTLING).restarts()
    assert story.stream("x").state is ENDED
    assert story.stream("x").ending is Ending.CANCELLED
    assert story.cancel_of("x").missing == ("terminal_seen", "answered")
    assert story.cancel_of("x").slot_freed_by is SlotFreedBy.RESTART
    assert story.effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.CANCELLED))


def test_a_restart_changes_nothing_about_what_had_ended(story: Story) -> None:
    before = story.reaches("x", ENDED).record
    assert story.restarts().record == before
    assert story.effects == ()


@pytest.mark.parametrize("state", StreamState)
def test_what_began_after_a_restart_is_not_lost_to_it(story: Story, state: StreamState) -> None:
    before = story.reaches("x", state).record
    assert story.restarts(at=0.5).record == before


# -- the conversation moves -----------------------------------------------------------------------


def test_a_rotation_hands_every_stream_over(story: Story) -> None:
    streams = story.starts("w").ends("w").starts("x").record.streams
    story.moves_to("t")
    assert story.record == SessionRecord("s", moved_to="t")
    assert story.effects == (MoveStreams("t", streams),)


def test_a_rotation_onto_itself_is_none(story: Story) -> None:
    before = story.starts("x").record
    assert story.moves_to("s").record == before
    assert story.effects == ()


def test_a_rotation_told_twice_hands_nothing_over_again(story: Story) -> None:
    """Every relay of the stream, and each replay of it, tells of it."""
    before = story.starts("x").moves_to("t").record
    assert story.moves_to("t").record == before
    assert not any(effect.streams for effect in story.effects if isinstance(effect, MoveStreams))


@pytest.mark.parametrize("state", StreamState)
def test_an_adopted_stream_is_what_it_was(story: Story, state: StreamState) -> None:
    streams = story.reaches("x", state).record.streams
    assert story.moves_to("t").effects == (MoveStreams("t", streams),)
    other = type(story)(SessionRecord("t")).adopts(*streams)
    assert other.record == SessionRecord("t", streams)


def test_adopted_streams_are_older_than_the_sessions_own(story: Story) -> None:
    story.starts("y").adopts(StreamRecord("x", ENDED, 0, Ending.FINISHED))
    assert list(story.states) == ["x", "y"]
    assert story.owner == "y"


def test_adopting_the_same_streams_again_changes_nothing(story: Story) -> None:
    streams = story.starts("w").ends("w").starts("x").record.streams
    assert story.adopts(*streams).record.streams == streams


def test_adopting_nothing_supersedes_nobody_once_more(story: Story) -> None:
    """F20: one that has spoken since the next turn began runs. A session is named over and over, mostly for nothing."""
    before = story.starts("x").starts("y").speaks("x").record
    assert story.adopts().record == before
    assert story.effects == ()


def test_a_session_that_is_returned_to_with_nothing_has_not_moved(story: Story) -> None:
    assert story.moves_to("t").adopts().record == SessionRecord("s")


def test_a_session_that_was_left_can_have_turns_of_its_own_again(story: Story) -> None:
    story.starts("x").moves_to("t").starts("y")
    assert story.record.moved_to is None
    assert story.owner == "y"


def test_a_cancel_is_answered_where_its_stream_went(story: Story) -> None:
    streams = story.starts("x").cancels("x").record.streams
    other = type(story)(SessionRecord("t")).adopts(*streams)
    assert other.accepts("x").settles("x").states == {"x": ENDED}
