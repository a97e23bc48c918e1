"""The life of a cancel: sent, answered, settled, and all that may come in between."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from proxy.core.effects import EndRelays, Settled, WatchSettling
from proxy.core.records import Cancel, Ending, Slot, SlotFreedBy, StreamRecord, StreamState

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
SENT = Cancel("c-1", "alice's credentials", sent_at=2)


# -- sent -----------------------------------------------------------------------------------------


def test_a_sent_cancel_is_remembered_with_its_sender(story: Story) -> None:
    story.starts("x").cancels("x")
    assert story.stream("x") == StreamRecord("x", CANCEL_SENT, since=2, cancel=SENT, started_at=1)
    assert story.owner == "x"
    assert story.effects == ()


def test_a_cancel_of_an_unknown_stream_proves_nothing(story: Story) -> None:
    story.cancels("x")
    assert story.stream("x").state is CANCEL_SENT
    assert not story.stream("x").proven


@pytest.mark.parametrize("answer", ["refuses", "fails"])
def test_an_unknown_stream_is_forgotten_unless_its_cancel_is_accepted(story: Story, answer: str) -> None:
    """P8: no evidence, no record."""
    before = story.record
    story.cancels("x")
    assert (story.refuses("x") if answer == "refuses" else story.fails("x")).record == before
    assert story.effects == ()


def test_an_accepted_cancel_proves_its_stream(story: Story) -> None:
    story.cancels("x").accepts("x")
    assert story.stream("x").state is SETTLING
    assert story.stream("x").proven


@pytest.mark.parametrize("answer", ["refuses", "fails"])
def test_a_terminal_event_proves_its_stream(story: Story, answer: str) -> None:
    story.cancels("x").ends("x")
    assert (story.refuses("x") if answer == "refuses" else story.fails("x")).stream("x").ending is Ending.FINISHED


# -- answered -------------------------------------------------------------------------------------


def test_an_accepted_cancel_settles(story: Story) -> None:
    story.starts("x").cancels("x").accepts("x")
    acked = replace(SENT, acked_at=3)
    assert story.stream("x") == StreamRecord("x", SETTLING, since=3, cancel=acked, started_at=1)
    assert story.effects == (WatchSettling("x", acked), EndRelays("x"))


def test_a_refused_cancel_ends_its_stream_nobody_knows_how(story: Story) -> None:
    story.starts("x").cancels("x").refuses("x")
    assert story.stream("x") == StreamRecord("x", ENDED, since=3, ending=Ending.UNKNOWN, started_at=1)
    assert story.effects == (EndRelays("x"),)


def test_a_failed_cancel_says_nothing_about_its_stream(story: Story) -> None:
    """A 401, or a gateway's 502: the stream runs on, and may be cancelled again."""
    story.starts("x").cancels("x").fails("x")
    assert story.stream("x") == StreamRecord("x", RUNNING, since=3, started_at=1)
    assert story.cancels("x", "c-2").cancel_of("x").cancel_id == "c-2"


def test_a_status_asked_for_before_a_cancel_failed_says_nothing_after_it(story: Story) -> None:
    before = story.starts("x").cancels("x").fails("x").record
    assert story.status("x", active=False, ending=Ending.FINISHED, asked=2.5).record == before


@pytest.mark.parametrize("answer", ["refuses", "fails"])
@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
def test_an_ending_seen_meanwhile_stands(story: Story, answer: str, ending: Ending) -> None:
    story.starts("x").cancels("x").ends("x", ending)
    assert story.stream("x").state is CANCEL_SENT
    assert not story.effects
    story.refuses("x") if answer == "refuses" else story.fails("x")
    assert story.stream("x") == StreamRecord(
        "x", ENDED, since=4, ending=ending, cancel=story.stream("x").cancel, started_at=1
    )
    assert story.effects == (EndRelays("x"),)


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED])
def test_an_end_of_its_own_overtakes_the_cancel(story: Story, ending: Ending) -> None:
    """P2: the backend's `true` is not the truth about a stream that had ended of itself."""
    story.starts("x").cancels("x").ends("x", ending).accepts("x")
    assert story.cancel_of("x").overtaken_by is ending
    assert story.stream("x").state is SETTLING


def test_its_own_terminal_event_does_not_overtake_a_cancel(story: Story) -> None:
    """F5: the event may come before the answer."""
    story.starts("x").cancels("x").ends("x", Ending.CANCELLED).accepts("x")
    assert story.cancel_of("x").overtaken_by is None
    assert story.settles("x").stream("x").ending is Ending.CANCELLED


def test_the_next_turn_overtakes_a_cancel(story: Story) -> None:
    story.starts("x").cancels("x").starts("y").accepts("x")
    assert story.cancel_of("x").overtaken_by is Ending.SUPERSEDED
    assert story.owner == "y"


def test_a_restart_overtakes_a_cancel(story: Story) -> None:
    story.starts("x").cancels("x").restarts().accepts("x")
    assert story.cancel_of("x").overtaken_by is Ending.LOST


def test_the_end_that_overtook_a_cancel_is_the_streams_ending(story: Story) -> None:
    story.starts("x").cancels("x").ends("x").accepts("x").settles("x")
    assert story.stream("x").ending is Ending.FINISHED


# -- settling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(["relays", "answer", "slot"])))
def test_a_cancel_settles_once_nothing_is_missing(story: Story, order: tuple[str, ...]) -> None:
    story.reaches("x", SETTLING)
    *early, last = order
    for step in early:
        _step(story, step)
        assert story.stream("x").state is SETTLING
        assert story.effects == ()
    _step(story, last)
    cancel = story.cancel_of("x")
    assert cancel.missing == ()
    assert story.stream("x") == StreamRecord("x", ENDED, since=6, ending=Ending.CANCELLED, cancel=cancel, started_at=1)
    assert story.effects == (Settled("x", cancel, Ending.CANCELLED),)


def _step(story: Story, step: str) -> None:
    match step:
        case "relays":
            story.tells_every_relay("x")
        case "answer":
            story.answers("x")
        case "slot":
            story.slot("x", Slot.FREE)


def test_each_step_of_settling_has_its_time(story: Story) -> None:
    story.reaches("x", SETTLING).settles("x")
    acked_and_told = replace(SENT, acked_at=3, terminal_at=4, answered_at=5)
    assert story.cancel_of("x") == acked_and_told.freed(6, SlotFreedBy.HEALTH)


def test_a_fenced_slot_is_not_yet_free(story: Story) -> None:
    """F3: that the backend fences by itself does not say that the worker has gone."""
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x").slot("x", Slot.FENCED)
    assert story.stream("x").state is SETTLING
    assert not story.cancel_of("x").holds_starts
    assert story.slot("x", Slot.FREE).stream("x").state is ENDED


def test_a_terminal_event_while_settling_is_noted(story: Story) -> None:
    story.reaches("x", SETTLING).ends("x", Ending.FINISHED)
    assert story.stream("x").state is SETTLING
    assert story.settles("x").effects == (Settled("x", story.cancel_of("x"), Ending.FINISHED),)


def test_a_cancel_that_does_not_settle_in_time_is_over_all_the_same(story: Story) -> None:
    """P7: at the limit the request goes on, and what was missing is on record."""
    story.reaches("x", SETTLING).answers("x").times_out("x")
    assert story.stream("x").state is ENDED
    assert story.cancel_of("x").missing == ("terminal_seen", "slot_free")
    assert story.effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.CANCELLED))


def test_the_timeout_of_a_settled_cancel_changes_nothing(story: Story) -> None:
    before = story.reaches("x", SETTLING).settles("x").record
    assert story.times_out("x").record == before
    assert story.effects == ()


# -- superseded -----------------------------------------------------------------------------------


def test_the_next_turn_leaves_an_unanswered_cancel_to_its_answer(story: Story) -> None:
    story.starts("x").cancels("x").starts("y")
    assert story.states == {"x": CANCEL_SENT, "y": RUNNING}
    assert story.owner == "y"
    assert story.effects == (EndRelays("x"),)


@pytest.mark.parametrize("answer", ["refuses", "fails"])
def test_a_superseded_stream_stays_superseded(story: Story, answer: str) -> None:
    story.starts("x").cancels("x").starts("y")
    story.refuses("x") if answer == "refuses" else story.fails("x")
    assert story.stream("x").ending is Ending.SUPERSEDED
    assert story.owner == "y"


def test_a_terminal_event_before_the_next_turn_is_not_superseded(story: Story) -> None:
    story.starts("x").cancels("x").ends("x").starts("y").accepts("x")
    assert story.cancel_of("x").overtaken_by is Ending.FINISHED


def test_the_next_turn_shows_that_the_slot_is_free(story: Story) -> None:
    """F2, F3: the backend takes no next turn while the slot is taken."""
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x").slot("x", Slot.FENCED).starts("y")
    assert story.cancel_of("x").missing == ()
    assert story.cancel_of("x").slot_freed_by is SlotFreedBy.NEXT_START
    assert story.cancel_of("x").slot_free_at == story.now
    assert story.stream("x").ending is Ending.CANCELLED
    assert story.effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.CANCELLED))


def test_a_cancel_is_over_at_the_next_turn_whatever_it_misses(story: Story) -> None:
    story.reaches("x", SETTLING).starts("y")
    assert story.states == {"x": ENDED, "y": RUNNING}
    assert story.cancel_of("x").missing == ("terminal_seen", "answered")


def test_everything_unended_is_superseded_at_once(story: Story) -> None:
    story.starts("w").cancels("w").starts("x").cancels("x").accepts("x").starts("y")
    assert story.states == {"w": CANCEL_SENT, "x": ENDED, "y": RUNNING}
    assert EndRelays("w") in story.effects
    assert EndRelays("x") in story.effects
