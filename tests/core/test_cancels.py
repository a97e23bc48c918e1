"""The life of a cancel: sent, answered, settled, and all that may come in between."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from proxy.core.effects import EndRelays, PursueStop, Settled
from proxy.core.records import Cancel, Ending, Slot, SlotFreedBy, StreamRecord, StreamState
from tests.core.conftest import ALICE, BOB, UNACCEPTED

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
SENT = Cancel("c-1", ALICE, sent_at=2)

unaccepted = pytest.mark.parametrize("answer", UNACCEPTED)
proves_nothing = pytest.mark.parametrize("answer", ["refuses", "fails"])


# -- sent -----------------------------------------------------------------------------------------


def test_a_sent_cancel_is_remembered_with_its_sender(story: Story) -> None:
    story.starts("x").cancels("x")
    assert story.stream("x") == StreamRecord("x", CANCEL_SENT, since=1, sent=(SENT,), started_at=1)
    assert story.owner == "x"
    assert story.effects == ()


def test_a_cancel_of_an_unknown_stream_proves_nothing(story: Story) -> None:
    story.cancels("x")
    assert story.stream("x").state is CANCEL_SENT
    assert not story.stream("x").proven


@unaccepted
def test_an_unknown_stream_is_forgotten_unless_its_cancel_is_accepted(story: Story, answer: str) -> None:
    """P8: no evidence, no record."""
    before = story.record
    assert story.cancels("x").does_not_accept("x", answer).record == before
    assert story.effects == ()


def test_an_accepted_cancel_proves_its_stream(story: Story) -> None:
    story.cancels("x").accepts("x")
    assert story.stream("x").state is SETTLING
    assert story.stream("x").proven


@unaccepted
def test_a_terminal_event_proves_its_stream(story: Story, answer: str) -> None:
    story.cancels("x").ends("x")
    assert story.does_not_accept("x", answer).stream("x").ending is Ending.FINISHED


def test_cancels_of_several_callers_are_on_their_way_at_once(story: Story) -> None:
    """P9: nobody is given the answer to another caller's cancel."""
    story.starts("x").cancels("x", "c-1", ALICE).cancels("x", "c-2", BOB)
    assert story.stream("x").sent == (SENT, Cancel("c-2", BOB, sent_at=3))
    assert story.stream("x").state is CANCEL_SENT


def test_a_cancel_that_is_not_answered_in_time_is_marked(story: Story) -> None:
    story.starts("x").cancels("x", "c-1", ALICE).cancels("x", "c-2", BOB).waits_in_vain("x", "c-2")
    assert story.stream("x").sent == (SENT, Cancel("c-2", BOB, sent_at=3, overdue=True))
    assert story.stream("x").state is CANCEL_SENT


# -- answered -------------------------------------------------------------------------------------


def test_an_accepted_cancel_settles(story: Story) -> None:
    story.starts("x").cancels("x").accepts("x")
    acked = replace(SENT, acked_at=3)
    assert story.stream("x") == StreamRecord("x", SETTLING, since=3, cancel=acked, started_at=1)
    assert story.effects == (PursueStop("x", acked), EndRelays("x"))


def test_an_overdue_cancel_can_still_be_accepted(story: Story) -> None:
    story.starts("x").cancels("x").waits_in_vain("x").accepts("x")
    assert story.stream("x").state is SETTLING
    assert story.cancel_of("x").overdue


def test_a_refused_cancel_ends_its_stream_nobody_knows_how_if_no_worker_is_there(story: Story) -> None:
    story.starts("x").cancels("x").refuses("x", gone=True)
    stream = story.stream("x")
    assert (stream.state, stream.since, stream.ending) == (ENDED, 3, Ending.UNKNOWN)
    assert (stream.sent, stream.cancel) == ((), None)
    assert story.effects == (EndRelays("x"),)


@proves_nothing
def test_a_cancel_that_was_not_accepted_says_nothing_about_its_stream(story: Story, answer: str) -> None:
    """A 401, or a gateway's 502; F20: a runner's turn is never cancelled. It runs on, and may be cancelled again."""
    story.starts("x").cancels("x").does_not_accept("x", answer)
    assert story.stream("x") == StreamRecord("x", RUNNING, since=3, started_at=1)
    assert story.effects == ()
    assert [cancel.cancel_id for cancel in story.cancels("x", "c-2").stream("x").sent] == ["c-2"]


def test_a_status_asked_for_before_a_cancel_failed_says_nothing_after_it(story: Story) -> None:
    before = story.starts("x").cancels("x").fails("x").record
    assert story.status("x", active=False, ending=Ending.FINISHED, asked=2.5).record == before


@unaccepted
@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
def test_an_ending_seen_meanwhile_stands(story: Story, answer: str, ending: Ending) -> None:
    story.starts("x").cancels("x").ends("x", ending)
    assert story.stream("x").state is CANCEL_SENT
    assert not story.effects
    stream = story.does_not_accept("x", answer).stream("x")
    assert (stream.state, stream.since, stream.ending, stream.cancel) == (ENDED, 4, ending, None)
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


# -- one answer, while another cancel is on its way -----------------------------------------------


def two_on_their_way(story: Story) -> Story:
    return story.starts("x").cancels("x", "c-1", ALICE).cancels("x", "c-2", BOB)


@proves_nothing
def test_a_stream_is_being_cancelled_until_the_last_cancel_is_answered(story: Story, answer: str) -> None:
    two_on_their_way(story).does_not_accept("x", answer, "c-1")
    assert story.stream("x").state is CANCEL_SENT
    assert [cancel.cancel_id for cancel in story.stream("x").sent] == ["c-2"]
    assert story.does_not_accept("x", answer, "c-2").states == {"x": RUNNING}


@pytest.mark.parametrize("answer", ["accepts", "refuses", "fails"])
def test_the_cancel_behind_an_accepted_one_changes_nothing(story: Story, answer: str) -> None:
    settling = two_on_their_way(story).accepts("x", "c-1").stream("x")
    story.accepts("x", "c-2") if answer == "accepts" else story.does_not_accept("x", answer, "c-2")
    assert story.stream("x") == replace(settling, sent=())
    assert story.effects == ()


def test_a_later_cancel_that_is_accepted_first_is_the_one_that_settles(story: Story) -> None:
    two_on_their_way(story).accepts("x", "c-2")
    assert (story.cancel_of("x").cancel_id, story.cancel_of("x").credentials) == ("c-2", BOB)
    assert [cancel.cancel_id for cancel in story.stream("x").sent] == ["c-1"]


def test_a_refusal_behind_an_accepted_cancel_may_prove_that_the_worker_is_gone(story: Story) -> None:
    two_on_their_way(story).accepts("x", "c-1").refuses("x", "c-2", gone=True)
    assert story.states == {"x": SETTLING}
    assert (story.cancel_of("x").slot, story.cancel_of("x").slot_freed_by) == (Slot.FREE, SlotFreedBy.CANCEL)
    assert story.tells_every_relay("x").answers("x").states == {"x": ENDED}


def test_a_refusal_that_proves_it_last_settles_the_accepted_cancel(story: Story) -> None:
    two_on_their_way(story).accepts("x", "c-1").tells_every_relay("x").answers("x").refuses("x", "c-2", gone=True)
    assert story.effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.CANCELLED))


@pytest.mark.parametrize("answer", ["accepts", *UNACCEPTED])
def test_an_answer_that_comes_when_all_is_settled_changes_nothing(story: Story, answer: str) -> None:
    two_on_their_way(story).accepts("x", "c-1").settles("x")
    ended = story.stream("x")
    story.accepts("x", "c-2") if answer == "accepts" else story.does_not_accept("x", answer, "c-2")
    assert story.stream("x") == replace(ended, sent=())
    assert story.effects == ()


@pytest.mark.parametrize("over_by", ["accepts", "times out", "runs again"])
def test_a_cancel_is_overdue_whatever_became_of_its_stream(story: Story, over_by: str) -> None:
    """Else the same caller's next Stop would wait for it once the stream may be cancelled again."""
    two_on_their_way(story).accepts("x", "c-1")
    if over_by != "accepts":
        story.times_out("x")
    if over_by == "runs again":
        story.status("x", active=True)
    assert [cancel.overdue for cancel in story.waits_in_vain("x", "c-2").stream("x").sent] == [True]


@pytest.mark.parametrize("answer", ["accepts", *UNACCEPTED])
def test_an_answer_to_a_cancel_that_nobody_remembers_changes_nothing(story: Story, answer: str) -> None:
    before = story.reaches("x", RUNNING).record
    story.accepts("x", "c-9") if answer == "accepts" else story.does_not_accept("x", answer, "c-9")
    assert story.record == before


# -- settling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(["relays", "answer", "slot"])))
def test_a_cancel_settles_once_nothing_is_missing(story: Story, order: tuple[str, ...]) -> None:
    story.reaches("x", SETTLING)
    *early, last = order
    for step in early:
        _step(story, step)
        assert story.stream("x").state is SETTLING
        assert story.effects == ((EndRelays("x"),) if step == "slot" else ())
    _step(story, last)
    cancel = story.cancel_of("x")
    assert cancel.missing == ()
    assert story.stream("x") == StreamRecord("x", ENDED, since=6, ending=Ending.CANCELLED, cancel=cancel, started_at=1)
    news = (EndRelays("x"),) if last == "slot" else ()  # of a worker that is gone nothing more comes
    assert story.effects == (*news, Settled("x", cancel, Ending.CANCELLED))


def _step(story: Story, step: str) -> None:
    match step:
        case "relays":
            story.tells_every_relay("x")
        case "answer":
            story.answers("x")
        case "slot":
            story.slot("x", Slot.FREE)


@pytest.mark.parametrize("by", SlotFreedBy)
def test_each_step_of_settling_has_its_time(story: Story, by: SlotFreedBy) -> None:
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x").slot("x", Slot.FREE, by)
    acked_and_told = replace(SENT, acked_at=3, terminal_at=4, answered_at=5)
    assert story.cancel_of("x") == acked_and_told.freed(6, by)


def test_a_fenced_slot_is_not_yet_free(story: Story) -> None:
    """F3: that the backend fences by itself does not say that the worker has gone."""
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x").slot("x", Slot.FENCED)
    assert story.stream("x").state is SETTLING
    assert not story.cancel_of("x").holds_starts
    assert story.slot("x", Slot.FREE).stream("x").state is ENDED


def test_a_fenced_slot_may_turn_out_to_be_busy(story: Story) -> None:
    story.reaches("x", SETTLING).slot("x", Slot.FENCED).slot("x", Slot.BUSY)
    assert story.cancel_of("x").slot is Slot.BUSY


@pytest.mark.parametrize("slot", [Slot.BUSY, Slot.FENCED, Slot.FREE])
def test_a_worker_that_was_seen_gone_does_not_come_back(story: Story, slot: Slot) -> None:
    """P11: an older question may be answered later."""
    before = story.reaches("x", SETTLING).slot("x", Slot.FREE).record
    assert story.slot("x", slot).record == before


def test_a_terminal_event_while_settling_is_noted(story: Story) -> None:
    story.reaches("x", SETTLING).ends("x", Ending.FINISHED)
    assert story.stream("x").state is SETTLING
    assert story.settles("x").effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.FINISHED))


def test_repetitions_are_counted(story: Story) -> None:
    """F14: a lost cancel is sent again."""
    story.reaches("x", SETTLING).repeats("x").repeats("x")
    assert story.cancel_of("x").repeats == 2
    assert story.states == {"x": SETTLING}


# -- never seen gone ------------------------------------------------------------------------------


def test_a_cancel_that_does_not_settle_in_time_is_over_all_the_same(story: Story) -> None:
    """P7: at the limit the proxy says so, and what was missing is on record."""
    story.reaches("x", SETTLING).answers("x").times_out("x")
    assert story.stream("x").state is ENDED
    assert story.stream("x").ending is Ending.CANCELLED
    assert story.cancel_of("x").missing == ("terminal_seen", "slot_free")
    assert story.effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.CANCELLED))


def test_the_timeout_of_a_settled_cancel_changes_nothing(story: Story) -> None:
    before = story.reaches("x", SETTLING).settles("x").record
    assert story.times_out("x").record == before
    assert story.effects == ()


def test_a_worker_that_was_not_seen_gone_can_be_cancelled_again(story: Story) -> None:
    """P11: as if it were the first cancel."""
    story.reaches("x", SETTLING).times_out("x").cancels("x", "c-2", BOB)
    assert story.states == {"x": CANCEL_SENT}
    story.accepts("x", "c-2")
    assert story.states == {"x": SETTLING}
    assert (story.cancel_of("x").cancel_id, story.cancel_of("x").overtaken_by) == ("c-2", None)
    assert story.effects == (PursueStop("x", story.cancel_of("x")), EndRelays("x"))


@proves_nothing
def test_a_worker_that_was_not_seen_gone_may_be_there_after_another_cancel_that_was_not_accepted(
    story: Story, answer: str
) -> None:
    story.reaches("x", SETTLING).times_out("x")
    first = story.cancel_of("x")
    story.cancels("x", "c-2").does_not_accept("x", answer, "c-2")
    assert story.states == {"x": ENDED}
    assert story.cancel_of("x") == first
    assert story.stream("x").may_have_worker


def test_a_refusal_may_prove_at_last_that_the_worker_is_gone(story: Story) -> None:
    story.reaches("x", SETTLING).times_out("x").cancels("x", "c-2").refuses("x", "c-2", gone=True)
    assert story.stream("x").ending is Ending.CANCELLED
    assert (story.cancel_of("x").cancel_id, story.cancel_of("x").slot_freed_by) == ("c-1", SlotFreedBy.CANCEL)
    assert not story.stream("x").may_have_worker


def test_a_refusal_proves_it_of_a_stream_that_was_cancelled_elsewhere(story: Story) -> None:
    """P1: its cancel was told by an event alone, and one refusal is enough."""
    story.starts("x").ends("x", Ending.CANCELLED).cancels("x").refuses("x", gone=True)
    assert story.states == {"x": ENDED}
    assert not story.stream("x").may_have_worker


def test_a_worker_that_was_proven_gone_stays_so_when_its_end_becomes_known(story: Story) -> None:
    story.starts("x").cancels("x").refuses("x", gone=True).status("x", active=False, ending=Ending.CANCELLED)
    assert story.stream("x").ending is Ending.CANCELLED
    assert not story.stream("x").may_have_worker


def test_an_accepted_cancel_shows_that_a_worker_is_there_whatever_was_believed(story: Story) -> None:
    """P11."""
    story.starts("x").ends("x", Ending.CANCELLED).cancels("x").restarts().accepts("x").times_out("x")
    assert story.stream("x").may_have_worker


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED])
def test_a_worker_that_was_not_seen_gone_may_tell_its_own_end(story: Story, ending: Ending) -> None:
    story.reaches("x", SETTLING).times_out("x").status("x", active=False, ending=ending)
    assert story.stream("x").ending is Ending.CANCELLED
    assert not story.stream("x").may_have_worker


def test_the_next_turn_neither_ends_nor_frees_what_was_not_seen_gone(story: Story) -> None:
    story.reaches("x", SETTLING).times_out("x").starts("y")
    assert story.stream("x").may_have_worker
    assert story.owner == "y"


def test_a_late_answer_says_that_a_worker_is_there(story: Story) -> None:
    """P11: the first cancel was given up, the second caller's is accepted after that."""
    two_on_their_way(story).accepts("x", "c-1").times_out("x").accepts("x", "c-2")
    assert story.states == {"x": SETTLING}
    assert story.cancel_of("x").cancel_id == "c-2"


def test_a_late_answer_says_so_of_a_turn_that_had_come_to_its_own_end_as_well(story: Story) -> None:
    """P2, P11: it tells of a worker that is there, and that caller is told how the turn ended."""
    two_on_their_way(story).accepts("x", "c-1").ends("x").times_out("x").accepts("x", "c-2")
    assert story.states == {"x": SETTLING}
    assert story.cancel_of("x").overtaken_by is Ending.FINISHED


def test_a_late_answer_changes_nothing_about_a_worker_that_was_seen_gone(story: Story) -> None:
    two_on_their_way(story).accepts("x", "c-1").settles("x").accepts("x", "c-2")
    assert story.states == {"x": ENDED}


def test_a_worker_that_goes_late_is_seen_gone_all_the_same(story: Story) -> None:
    story.reaches("x", SETTLING).times_out("x").slot("x", Slot.FREE)
    assert story.cancel_of("x").slot_freed_by is SlotFreedBy.HEALTH
    assert not story.stream("x").may_have_worker
    assert story.effects == ()


@pytest.mark.parametrize("slot", [Slot.BUSY, Slot.FENCED])
def test_a_worker_that_still_holds_its_slot_is_not_gone(story: Story, slot: Slot) -> None:
    before = story.reaches("x", SETTLING).times_out("x").record
    assert story.slot("x", slot).record == before


def test_what_is_seen_of_a_slot_changes_nothing_about_a_stream_that_nobody_cancelled(story: Story) -> None:
    before = story.reaches("x", ENDED).record
    assert story.slot("x", Slot.FREE).record == before


def test_a_worker_is_seen_gone_once(story: Story) -> None:
    before = story.reaches("x", SETTLING).settles("x").record
    assert story.slot("x", Slot.FREE).record == before


# -- superseded -----------------------------------------------------------------------------------


def test_the_next_turn_leaves_an_unanswered_cancel_to_its_answer(story: Story) -> None:
    story.starts("x").cancels("x").starts("y")
    assert story.states == {"x": CANCEL_SENT, "y": RUNNING}
    assert story.owner == "y"
    assert story.effects == (EndRelays("x"),)


@unaccepted
def test_a_superseded_stream_stays_superseded(story: Story, answer: str) -> None:
    story.starts("x").cancels("x").starts("y").does_not_accept("x", answer)
    assert story.stream("x").ending is Ending.SUPERSEDED
    assert story.owner == "y"


def test_a_terminal_event_before_the_next_turn_is_not_superseded(story: Story) -> None:
    story.starts("x").cancels("x").ends("x").starts("y").accepts("x")
    assert story.cancel_of("x").overtaken_by is Ending.FINISHED


def test_the_next_turn_does_not_show_that_the_worker_is_gone(story: Story) -> None:
    """P11: a backend may take it beside the cancelled worker (F1)."""
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x").slot("x", Slot.FENCED).starts("y")
    assert story.cancel_of("x").missing == ("slot_free",)
    assert story.stream("x").may_have_worker
    assert story.stream("x").ending is Ending.CANCELLED
    assert story.effects == (EndRelays("x"), Settled("x", story.cancel_of("x"), Ending.CANCELLED))


def test_a_cancel_is_over_at_the_next_turn_whatever_it_misses(story: Story) -> None:
    story.reaches("x", SETTLING).starts("y")
    assert story.states == {"x": ENDED, "y": RUNNING}
    assert story.cancel_of("x").missing == ("terminal_seen", "answered", "slot_free")


def test_everything_unended_is_superseded_at_once(story: Story) -> None:
    story.starts("w").cancels("w").starts("x").cancels("x").accepts("x").starts("y")
    assert story.states == {"w": CANCEL_SENT, "x": ENDED, "y": RUNNING}
    assert EndRelays("w") in story.effects
    assert EndRelays("x") in story.effects
