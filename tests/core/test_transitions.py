"""The evidence about turns: how they begin, go on and end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.core import observations as seen
from proxy.core.effects import EndRelays
from proxy.core.records import Ending, SessionRecord, StreamRecord, StreamState

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


# -- turns begin ----------------------------------------------------------------------------------


def test_a_start_makes_the_stream_the_owner(story: Story) -> None:
    story.starts("x")
    assert story.owner == "x"
    assert story.stream("x") == StreamRecord("x", RUNNING, since=1, started_at=1)
    assert story.effects == ()


def test_what_a_start_says_of_its_turn_is_remembered(story: Story) -> None:
    story.sees(seen.TurnStarted(1, "x", hosted=True, stamp=1700.5, took=0.25))
    assert story.stream("x") == StreamRecord("x", RUNNING, 1, started_at=1, hosted=True, stamp=1700.5, took=0.25)


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT, SETTLING])
def test_a_start_tells_more_of_a_stream_that_was_known_before_it(story: Story, state: StreamState) -> None:
    """Another tab may have named it first. F20: whether a runner has it matters to the end."""
    story.conflicts_with("x")
    if state is not RUNNING:
        story.cancels("x")
    if state is SETTLING:
        story.accepts("x")
    before = story.stream("x")
    story.sees(seen.TurnStarted(9, "x", hosted=False, stamp=1700.5, took=0.25))
    assert story.stream("x") == replace(before, started_at=9, hosted=False, stamp=1700.5, took=0.25)
    assert story.effects == ()


def test_what_a_start_told_first_stands(story: Story) -> None:
    before = story.sees(seen.TurnStarted(1, "x", hosted=True, stamp=1700.5, took=0.25)).record
    assert story.sees(seen.TurnStarted(2, "x", hosted=False, stamp=1800.5, took=0.5)).record == before


def test_a_runners_turn_begins_beside_the_others(story: Story) -> None:
    """F20: neither ends by the other's start."""
    story.starts("x", hosted=False).starts("y", hosted=False)
    assert story.states == {"x": RUNNING, "y": RUNNING}
    assert story.owner == "y"
    assert story.effects == ()


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_a_runners_turn_leaves_a_cancel_as_it_is(story: Story, state: StreamState) -> None:
    before = story.reaches("x", state).stream("x")
    assert story.starts("y", hosted=False).stream("x") == before
    assert story.effects == ()


def test_a_conflict_names_the_owner(story: Story) -> None:
    assert story.conflicts_with("x").owner == "x"


def test_a_conflict_supersedes_what_was_thought_to_run(story: Story) -> None:
    story.starts("x").conflicts_with("y")
    assert story.owner == "y"
    assert story.stream("x").ending is Ending.SUPERSEDED


@pytest.mark.parametrize("state", StreamState)
def test_a_start_that_is_told_again_changes_nothing(story: Story, state: StreamState) -> None:
    """The answer and the session's channel both tell of it, the channel perhaps when all is over."""
    before = story.reaches("x", state).record
    assert story.starts("x").record == before


@pytest.mark.parametrize("state", StreamState)
def test_a_conflict_with_a_known_stream_changes_nothing(story: Story, state: StreamState) -> None:
    """F2: the backend still names a stream that has ended, or that it is cancelling."""
    before = story.reaches("x", state).record
    assert story.conflicts_with("x").record == before


def test_the_next_turn_supersedes_a_running_one(story: Story) -> None:
    story.starts("x").starts("y")
    assert story.owner == "y"
    assert story.stream("x") == StreamRecord("x", ENDED, since=2, ending=Ending.SUPERSEDED, started_at=1)
    assert story.effects == (EndRelays("x"),)


def test_the_next_turn_leaves_the_ended_ones_as_they_are(story: Story) -> None:
    story.starts("x").ends("x", Ending.FAILED).starts("y")
    assert story.stream("x") == StreamRecord("x", ENDED, since=2, ending=Ending.FAILED, started_at=1)
    assert story.effects == ()


def test_only_the_latest_endings_are_remembered(story: Story) -> None:
    """P7: a long conversation does not grow."""
    turns = SessionRecord.KEPT_ENDINGS + 5
    for number in range(turns):
        story.starts(f"x{number}").ends(f"x{number}")
    assert list(story.states) == [f"x{n}" for n in range(5, turns)]


# -- turns end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
def test_a_terminal_event_ends_the_stream(story: Story, ending: Ending) -> None:
    story.starts("x").ends("x", ending)
    assert story.stream("x") == StreamRecord("x", ENDED, since=2, ending=ending, started_at=1)
    assert story.owner is None
    assert story.effects == (EndRelays("x"),)


def test_a_terminal_event_of_an_unknown_stream_is_remembered(story: Story) -> None:
    """The event of a short turn may overtake the answer that tells of its start."""
    story.ends("x").starts("x")
    assert story.stream("x").state is ENDED
    assert story.owner is None


def test_the_first_ending_stands(story: Story) -> None:
    """`done` comes first and says that the turn finished; `stream_end`, or an error, may follow."""
    story.starts("x").ends("x", Ending.FINISHED).ends("x", Ending.FAILED)
    assert story.stream("x").ending is Ending.FINISHED
    assert story.effects == ()


def test_an_ending_that_was_not_known_is_refined(story: Story) -> None:
    story.starts("x").misses("x")
    assert story.stream("x").ending is Ending.LOST
    assert story.ends("x", Ending.FAILED).stream("x").ending is Ending.FAILED


def test_a_missing_stream_is_lost(story: Story) -> None:
    story.starts("x").misses("x")
    assert story.stream("x") == StreamRecord("x", ENDED, since=2, ending=Ending.LOST, started_at=1)
    assert story.effects == (EndRelays("x"),)


def test_a_stream_looked_for_before_it_began_is_not_lost(story: Story) -> None:
    before = story.starts("x").record
    assert story.misses("x", asked=0.5).record == before


@pytest.mark.parametrize("state", [None, CANCEL_SENT, SETTLING, ENDED])
def test_a_missing_stream_that_is_not_thought_to_run_teaches_nothing(story: Story, state: StreamState | None) -> None:
    before = story.reaches("x", state).record
    assert story.misses("x").record == before


# -- turns speak ----------------------------------------------------------------------------------


def test_the_first_output_shows_that_an_agent_listens(story: Story) -> None:
    """F14."""
    story.starts("x").speaks("x").speaks("x")
    assert story.stream("x") == StreamRecord("x", RUNNING, since=1, started_at=1, spoke_at=2)
    assert story.effects == ()


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_output_does_not_undo_a_cancel(story: Story, state: StreamState) -> None:
    story.reaches("x", state).speaks("x")
    assert story.states == {"x": state}
    assert story.stream("x").spoke_at == story.now


def test_a_superseded_stream_that_speaks_runs(story: Story) -> None:
    """F20: a runner's turns run side by side, and a second start ends neither."""
    story.starts("x").starts("y").speaks("x")
    assert story.stream("x") == StreamRecord("x", RUNNING, since=3, started_at=1, spoke_at=3)
    assert story.states == {"x": RUNNING, "y": RUNNING}
    assert story.owner == "y"


def test_a_superseded_stream_that_speaks_under_a_cancel_is_not_superseded(story: Story) -> None:
    story.starts("x").cancels("x").starts("y").speaks("x").accepts("x")
    assert story.cancel_of("x").overtaken_by is None


def test_a_lost_stream_that_speaks_runs(story: Story) -> None:
    story.starts("x").misses("x").speaks("x")
    assert story.states == {"x": RUNNING}
    assert story.stream("x").ending is None


def test_a_stream_that_ended_nobody_knows_how_runs_if_it_speaks(story: Story) -> None:
    story.starts("x").cancels("x").refuses("x", gone=True).speaks("x")
    assert story.states == {"x": RUNNING}


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
def test_a_stream_that_said_how_it_ended_does_not_run_again(story: Story, ending: Ending) -> None:
    """Several relays of it may be at different places."""
    before = story.starts("x").ends("x", ending).record
    assert story.speaks("x").record == before


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT])
def test_a_superseded_stream_that_told_its_own_end_does_not_run_again(story: Story, state: StreamState) -> None:
    """One relay of it may have told its end, and another comes to its last words later."""
    story.reaches("x", state).starts("y").ends("x")
    if state is CANCEL_SENT:
        story.speaks("x").fails("x")
    assert story.speaks("x").states == {"x": ENDED, "y": RUNNING}
    assert story.stream("x").ending is Ending.SUPERSEDED
    assert story.stream("x").is_worker_gone


def test_a_superseded_stream_whose_worker_was_seen_gone_does_not_run_again(story: Story) -> None:
    story.starts("x").cancels("x").starts("y").accepts("x").settles("x").speaks("x")
    assert story.states == {"x": ENDED, "y": RUNNING}


@pytest.mark.parametrize("over_by", ["the next turn", "a restart"])
def test_a_stream_that_speaks_under_a_cancel_is_not_over(story: Story, over_by: str) -> None:
    story.starts("x").cancels("x")
    story.starts("y") if over_by == "the next turn" else story.restarts()
    story.speaks("x").fails("x")
    assert story.states["x"] is RUNNING
    assert not story.stream("x").is_worker_gone


# -- status ---------------------------------------------------------------------------------------


def test_an_active_stream_that_was_not_known_runs(story: Story) -> None:
    assert story.status("x", active=True).owner == "x"


def test_a_journal_that_has_ended_ends_the_stream(story: Story) -> None:
    story.starts("x").status("x", active=False, ending=Ending.FAILED)
    assert story.stream("x").ending is Ending.FAILED
    assert story.effects == (EndRelays("x"),)


def test_an_unknown_stream_whose_journal_has_ended_is_remembered(story: Story) -> None:
    story.status("x", active=False, ending=Ending.FINISHED)
    assert story.stream("x") == StreamRecord("x", ENDED, since=1, ending=Ending.FINISHED)
    assert story.effects == (EndRelays("x"),), "a relay of it has a limit now"


@pytest.mark.parametrize("state", [None, RUNNING])
def test_inactive_alone_is_no_proof(story: Story, state: StreamState | None) -> None:
    """F3: the stream leaves the backend's table while its worker may still run."""
    before = story.reaches("x", state).record
    assert story.status("x", active=False).record == before


def test_a_running_stream_that_is_active_goes_on(story: Story) -> None:
    before = story.starts("x").record
    assert story.status("x", active=True).record == before


def test_an_active_stream_runs_whatever_was_believed(story: Story) -> None:
    story.starts("x").misses("x").starts("y").status("x", active=True)
    assert story.owner == "x"
    assert story.stream("x") == StreamRecord("x", RUNNING, since=4, started_at=1)
    assert story.stream("y").ending is Ending.SUPERSEDED


def test_an_active_stream_runs_though_its_cancel_was_given_up(story: Story) -> None:
    story.reaches("x", SETTLING).times_out("x").status("x", active=True)
    assert story.stream("x") == StreamRecord("x", RUNNING, since=5, started_at=1)


def test_an_ended_stream_that_is_inactive_and_has_no_journal_stays_what_it_is(story: Story) -> None:
    """F3: `active: false` alone is no proof of anything."""
    before = story.starts("x").cancels("x").refuses("x", gone=True).record
    assert story.status("x", active=False).record == before


def test_the_journal_tells_how_a_stream_ended(story: Story) -> None:
    story.starts("x").cancels("x").refuses("x", gone=True).status("x", active=False, ending=Ending.FINISHED)
    assert story.stream("x").ending is Ending.FINISHED


@pytest.mark.parametrize("active", [True, False])
def test_a_status_asked_for_before_the_end_does_not_undo_it(story: Story, *, active: bool) -> None:
    before = story.starts("x").ends("x").record
    assert story.status("x", active=active, asked=1.5).record == before


def test_a_status_asked_for_before_the_start_does_not_undo_it(story: Story) -> None:
    before = story.starts("x").record
    assert story.status("x", active=False, ending=Ending.FINISHED, asked=0.5).record == before


@pytest.mark.parametrize("over_by", ["the next turn", "a restart", "its own end"])
def test_an_active_stream_is_not_over_though_it_is_being_cancelled(story: Story, over_by: str) -> None:
    """F6: after `done` it may go on. Else no confirmation could correct the belief, and a Stop would find none."""
    story.starts("x").cancels("x")
    match over_by:
        case "the next turn":
            story.starts("y")
        case "a restart":
            story.restarts()
        case _:
            story.ends("x")
    assert story.status("x", active=True).stream("x").ending is None
    assert story.stream("x").state is CANCEL_SENT
    assert not story.stream("x").is_worker_gone


def test_an_active_status_asked_for_before_an_end_was_seen_does_not_undo_it(story: Story) -> None:
    story.starts("x").cancels("x").ends("x").status("x", active=True, asked=2.5)
    assert story.stream("x").ending is Ending.FINISHED


def test_an_active_status_does_not_undo_what_an_event_told_of_the_cancel(story: Story) -> None:
    """F5: the event may overtake the answer."""
    story.starts("x").cancels("x").ends("x", Ending.CANCELLED).status("x", active=True)
    assert story.stream("x").ending is Ending.CANCELLED


def test_a_journal_read_while_settling_counts(story: Story) -> None:
    """P1: it had ended by itself, and its worker is not looked for for ever."""
    story.reaches("x", SETTLING).status("x", active=False, ending=Ending.FINISHED)
    assert story.states == {"x": SETTLING}
    assert story.times_out("x").stream("x").ending is Ending.FINISHED


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_an_active_status_does_not_undo_a_cancel(story: Story, state: StreamState) -> None:
    before = story.reaches("x", state).record
    assert story.status("x", active=True).record == before


def test_inactive_while_settling_does_not_settle_it(story: Story) -> None:
    """F3: the backend drops a cancelled stream at once; that says nothing about its worker."""
    before = story.reaches("x", SETTLING).record
    assert story.status("x", active=False).record == before
