"""What is done with a cancel, a start, a conflict or a relay, in every state that a stream can be in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.records import Ending, SessionRecord, Slot, StreamRecord, StreamState
from proxy.core.verdicts import (
    Coalesce,
    ConflictVerdict,
    Forward,
    Patience,
    RelayLimit,
    Repeat,
    Stale,
    StartVerdict,
    judge_cancel,
    judge_change,
    judge_conflict,
    judge_relay,
    judge_start,
)
from tests.core.conftest import ALICE, BOB, UNACCEPTED

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
PATIENCE = Patience(settle_timeout=5, linger=4)


# -- cancels --------------------------------------------------------------------------------------


def test_a_cancel_of_an_unknown_stream_is_forwarded(story: Story) -> None:
    """P8: transparent when unsure."""
    assert judge_cancel(story.record, "x", ALICE) == Forward()


def test_a_cancel_of_the_owner_is_forwarded(story: Story) -> None:
    assert judge_cancel(story.starts("x").record, "x", ALICE) == Forward()


def test_the_same_callers_cancels_wait_for_the_same_answer(story: Story) -> None:
    """F4: duplicate Stops."""
    assert judge_cancel(story.starts("x").cancels("x").record, "x", ALICE) == Coalesce("c-1")


def test_another_callers_cancel_goes_on_its_own(story: Story) -> None:
    """P9: no authority of its own, and none of another's."""
    story.starts("x").cancels("x", "c-1", ALICE)
    assert judge_cancel(story.record, "x", BOB) == Forward()
    story.cancels("x", "c-2", BOB)
    assert judge_cancel(story.record, "x", BOB) == Coalesce("c-2")
    assert judge_cancel(story.record, "x", ALICE) == Coalesce("c-1")


def test_nobody_waits_for_a_cancel_that_is_overdue(story: Story) -> None:
    """P11: a Stop does not hang behind a request that the backend does not answer."""
    story.starts("x").cancels("x", "c-1").waits_in_vain("x", "c-1")
    assert judge_cancel(story.record, "x", ALICE) == Forward()
    story.cancels("x", "c-2")
    assert judge_cancel(story.record, "x", ALICE) == Coalesce("c-2")


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED])
def test_a_stream_that_ended_while_its_cancel_was_on_its_way_is_not_cancelled_by_another(
    story: Story, ending: Ending
) -> None:
    """P1. Whoever sent that cancel waits for its answer."""
    story.starts("x").cancels("x", "c-1", ALICE).ends("x", ending)
    assert judge_cancel(story.record, "x", BOB) == Stale(ending)
    assert judge_cancel(story.record, "x", ALICE) == Coalesce("c-1")
    assert judge_cancel(story.waits_in_vain("x", "c-1").record, "x", ALICE) == Stale(ending)


def test_a_stream_that_was_superseded_while_its_cancel_was_on_its_way_needs_proof(story: Story) -> None:
    story.starts("x").cancels("x", "c-1", ALICE).starts("y")
    assert judge_cancel(story.record, "x", BOB) == Stale(Ending.SUPERSEDED, "y", proven=False)


def test_a_stream_whose_cancel_is_told_before_its_answer_is_cancelled_by_another(story: Story) -> None:
    """F5: the event may come before the answer. P11: it does not say that the worker is gone."""
    story.starts("x").cancels("x", "c-1", ALICE).ends("x", Ending.CANCELLED)
    assert judge_cancel(story.record, "x", BOB) == Forward()


def test_a_restart_proves_nothing_about_a_stream_that_nobody_knows(story: Story) -> None:
    """P8: transparent when unsure."""
    story.cancels("x", "c-1", ALICE).restarts()
    assert judge_cancel(story.record, "x", BOB) == Forward()


def test_a_stream_that_settles_is_cancelled_once_more(story: Story) -> None:
    """P11. Whoever's cancel was accepted is given that answer (F4); another caller, the backend's own (P9)."""
    story.starts("x").cancels("x").accepts("x")
    assert judge_cancel(story.record, "x", ALICE) == Repeat(shared=True, first="c-1")
    assert judge_cancel(story.record, "x", BOB) == Repeat(shared=False, first="c-1")


def test_a_stream_whose_worker_was_seen_gone_settles_all_the_same_until_everybody_knows(story: Story) -> None:
    story.starts("x").cancels("x").accepts("x").slot("x", Slot.FREE)
    assert judge_cancel(story.record, "x", ALICE) == Repeat(shared=True, first="c-1", is_worker_gone=True)
    assert judge_cancel(story.record, "x", "bob's credentials") == Stale(Ending.CANCELLED)


def test_a_settling_stream_without_its_cancel_passes() -> None:
    """P8: transparent when unsure."""
    assert judge_cancel(SessionRecord("s", (StreamRecord("x", SETTLING, 1),)), "x", ALICE) == Forward()


def test_after_it_settled_a_cancel_is_stale(story: Story) -> None:
    story.starts("x").cancels("x").accepts("x").settles("x")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.CANCELLED)


def test_a_worker_that_was_not_seen_gone_is_cancelled_again(story: Story) -> None:
    """P11: Stop means stopped."""
    story.reaches("x", SETTLING).times_out("x")
    assert judge_cancel(story.record, "x", ALICE) == Forward()
    assert judge_cancel(story.cancels("x", "c-2").record, "x", ALICE) == Coalesce("c-2")


def test_a_worker_that_went_late_is_not(story: Story) -> None:
    story.reaches("x", SETTLING).times_out("x").slot("x", Slot.FREE)
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.CANCELLED)


def test_a_stream_that_somebody_cancelled_elsewhere_is_cancelled_again(story: Story) -> None:
    """P11: its event tells of a cancel, and nothing of its worker."""
    assert judge_cancel(story.starts("x").ends("x", Ending.CANCELLED).record, "x", ALICE) == Forward()


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.LOST])
def test_a_cancel_of_an_ended_stream_is_stale(story: Story, ending: Ending) -> None:
    """P1: no stale forward."""
    assert judge_cancel(story.starts("x").ends("x", ending).record, "x", ALICE) == Stale(ending)


def test_a_cancel_of_a_superseded_stream_names_the_owner(story: Story) -> None:
    """F20: that another turn began proves nothing."""
    story.starts("x").starts("y")
    stale = Stale(Ending.SUPERSEDED, active_stream_id="y", proven=False)
    assert judge_cancel(story.record, "x", ALICE) == stale


def test_a_superseded_stream_stays_so_when_its_successor_has_ended(story: Story) -> None:
    story.starts("x").starts("y").ends("y")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.SUPERSEDED, proven=False)


def test_a_superseded_stream_that_told_its_own_end_is_stale_for_good(story: Story) -> None:
    """P1: no journal is needed to refuse it."""
    story.starts("x").starts("y").ends("x")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.SUPERSEDED, active_stream_id="y")


def test_a_superseded_stream_whose_cancel_settled_is_stale_for_good(story: Story) -> None:
    story.starts("x").cancels("x").starts("y").accepts("x").settles("x")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.SUPERSEDED, active_stream_id="y")


def test_streams_that_run_side_by_side_are_each_cancelled(story: Story) -> None:
    """F20: a runner's."""
    story.starts("x", hosted=False).starts("y", hosted=False)
    assert judge_cancel(story.record, "x", ALICE) == Forward()
    assert judge_cancel(story.record, "y", ALICE) == Forward()


def test_an_ended_stream_is_stale_even_if_nobody_knows_how(story: Story) -> None:
    story.starts("x").cancels("x").refuses("x", gone=True)
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.UNKNOWN)
    without_ending = SessionRecord("s", (StreamRecord("x", ENDED, 1),))
    assert judge_cancel(without_ending, "x", ALICE) == Stale(Ending.UNKNOWN)


@pytest.mark.parametrize("answer", ["refuses", "fails"])
def test_a_cancel_that_was_not_accepted_may_be_sent_again(story: Story, answer: str) -> None:
    story.starts("x").cancels("x").does_not_accept("x", answer)
    assert judge_cancel(story.record, "x", ALICE) == Forward()


# -- starts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, RUNNING, ENDED])
def test_a_start_is_forwarded_where_nothing_is_being_cancelled(story: Story, state: StreamState | None) -> None:
    """A running turn is the backend's own to defend, with its 409."""
    assert judge_start(story.reaches("x", state).record) is StartVerdict.FORWARD


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_a_start_is_held_while_a_cancel_settles(story: Story, state: StreamState) -> None:
    """P3: settle before start. F1: the next turn inherits the cancelled one's fate."""
    assert judge_start(story.reaches("x", state).record) is StartVerdict.HOLD


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_what_does_not_say_who_is_being_cancelled_holds_nothing(state: StreamState) -> None:
    record = SessionRecord("s", (StreamRecord("x", state, 1),))
    assert judge_start(record) is StartVerdict.FORWARD
    assert judge_change(record) is StartVerdict.FORWARD


def test_a_start_is_held_by_a_superseded_stream_that_is_being_cancelled(story: Story) -> None:
    assert judge_start(story.starts("x").cancels("x").starts("y").record) is StartVerdict.HOLD


def test_a_start_is_held_until_the_last_of_several_cancels_is_answered(story: Story) -> None:
    story.starts("x").cancels("x", "c-1", ALICE).cancels("x", "c-2", BOB).fails("x", "c-1")
    assert judge_start(story.record) is StartVerdict.HOLD
    assert judge_start(story.fails("x", "c-2").record) is StartVerdict.FORWARD


def test_a_start_is_held_by_an_overdue_cancel_too(story: Story) -> None:
    assert judge_start(story.starts("x").cancels("x").waits_in_vain("x").record) is StartVerdict.HOLD


def test_a_start_is_released_when_the_cancel_has_settled(story: Story) -> None:
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x")
    assert judge_start(story.record) is StartVerdict.HOLD
    assert judge_start(story.slot("x", Slot.FREE).record) is StartVerdict.FORWARD


def test_a_cancel_behind_the_accepted_one_does_not_hold_a_start(story: Story) -> None:
    story.starts("x").cancels("x", "c-1", ALICE).cancels("x", "c-2", BOB).accepts("x", "c-1").settles("x")
    assert judge_start(story.record) is StartVerdict.FORWARD


def test_a_start_is_released_where_the_backend_fences_by_itself(story: Story) -> None:
    """F3: since v0.51.327 the backend refuses a start until the worker has unwound."""
    story.reaches("x", SETTLING).slot("x", Slot.FENCED)
    assert judge_start(story.record) is StartVerdict.HOLD
    assert judge_start(story.tells_every_relay("x").answers("x").record) is StartVerdict.FORWARD


def test_a_start_is_released_at_the_limit(story: Story) -> None:
    """P3, P7: it waits for at most so long."""
    assert judge_start(story.reaches("x", SETTLING).times_out("x").record) is StartVerdict.FORWARD


@pytest.mark.parametrize("answer", UNACCEPTED)
def test_a_start_is_released_by_a_cancel_that_was_not_accepted(story: Story, answer: str) -> None:
    story.starts("x").cancels("x").does_not_accept("x", answer)
    assert judge_start(story.record) is StartVerdict.FORWARD


# -- changes of the transcript --------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, RUNNING, ENDED])
def test_a_change_is_forwarded_where_nothing_is_being_cancelled(story: Story, state: StreamState | None) -> None:
    assert judge_change(story.reaches("x", state).record) is StartVerdict.FORWARD


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_a_change_is_held_while_a_cancel_settles(story: Story, state: StreamState) -> None:
    assert judge_change(story.reaches("x", state).record) is StartVerdict.HOLD


def test_a_change_is_held_until_the_worker_is_gone(story: Story) -> None:
    """F17: it writes late, fenced or not."""
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x").slot("x", Slot.FENCED)
    assert judge_change(story.record) is StartVerdict.HOLD
    assert judge_change(story.slot("x", Slot.FREE).record) is StartVerdict.FORWARD


def test_a_change_is_released_at_the_limit(story: Story) -> None:
    assert judge_change(story.reaches("x", SETTLING).times_out("x").record) is StartVerdict.FORWARD


# -- conflicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (None, ConflictVerdict.REAL),
        (RUNNING, ConflictVerdict.REAL),
        (CANCEL_SENT, ConflictVerdict.RETRY),
        (SETTLING, ConflictVerdict.RETRY),
        (ENDED, ConflictVerdict.RETRY),
    ],
)
def test_a_conflict_with_what_is_over_is_spurious(
    story: Story, state: StreamState | None, verdict: ConflictVerdict
) -> None:
    """F2: a spurious 409."""
    assert judge_conflict(story.reaches("x", state).record, "x") is verdict


def test_a_conflict_with_another_stream_is_real_though_one_settles(story: Story) -> None:
    assert judge_conflict(story.reaches("x", SETTLING).record, "y") is ConflictVerdict.REAL


# -- relays ---------------------------------------------------------------------------------------


def test_a_relay_of_an_unknown_or_running_stream_has_no_limit(story: Story) -> None:
    assert judge_relay(None, PATIENCE) is None
    assert judge_relay(story.starts("x").stream("x"), PATIENCE) is None


def test_a_relay_waits_for_a_cancels_answer(story: Story) -> None:
    assert judge_relay(story.starts("x").cancels("x").stream("x"), PATIENCE) is None


def test_a_relay_of_a_cancelled_stream_is_given_a_cancel_once_it_was_silent_for_the_settle_timeout(
    story: Story,
) -> None:
    story.reaches("x", SETTLING)
    limit = RelayLimit(Ending.CANCELLED, since=3, within=5)
    assert judge_relay(story.stream("x"), PATIENCE) == limit
    assert judge_relay(story.times_out("x").stream("x"), PATIENCE) == limit


def test_a_relay_of_a_cancelled_stream_whose_worker_is_gone_is_not_kept_waiting_for_long(story: Story) -> None:
    """F4: a cancel may be accepted and never be followed by its event."""
    story.reaches("x", SETTLING).slot("x", Slot.FREE)
    assert judge_relay(story.stream("x"), PATIENCE) == RelayLimit(Ending.CANCELLED, since=4, within=2)


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT])
def test_a_relay_of_a_superseded_stream_may_be_silent_for_the_grace(story: Story, state: StreamState) -> None:
    story.reaches("x", state).starts("y")
    limit = judge_relay(story.stream("x"), PATIENCE)
    assert limit == RelayLimit(Ending.SUPERSEDED, story.stream("x").since, within=2)


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.LOST])
def test_a_relay_of_an_ended_stream_may_be_quiet_for_a_while(story: Story, ending: Ending) -> None:
    """F6: `done` may be the last word of a stream that heartbeats for ever, and may come amid a replay."""
    story.starts("x").ends("x", ending)
    assert judge_relay(story.stream("x"), PATIENCE) == RelayLimit(ending, since=2, within=4)


def test_a_relay_of_a_stream_that_ended_nobody_knows_how_is_ended_too() -> None:
    limit = RelayLimit(Ending.UNKNOWN, since=1, within=4)
    assert judge_relay(StreamRecord("x", ENDED, 1), PATIENCE) == limit
