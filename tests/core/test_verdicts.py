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
    Replay,
    Stale,
    StartVerdict,
    judge_cancel,
    judge_conflict,
    judge_relay,
    judge_start,
)

if TYPE_CHECKING:
    from tests.core.conftest import Story

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
ALICE, BOB = "alice's credentials", "bob's credentials"
PATIENCE = Patience(settle_timeout=5, orphan_grace=2, linger=4)


# -- cancels --------------------------------------------------------------------------------------


def test_a_cancel_of_an_unknown_stream_is_forwarded(story: Story) -> None:
    """P8: transparent when unsure."""
    assert judge_cancel(story.record, "x", ALICE) == Forward()


def test_a_cancel_of_the_owner_is_forwarded(story: Story) -> None:
    assert judge_cancel(story.starts("x").record, "x", ALICE) == Forward()


def test_cancels_that_arrive_meanwhile_wait_for_the_same_answer(story: Story) -> None:
    story.starts("x").cancels("x")
    assert judge_cancel(story.record, "x", ALICE) == Coalesce(shared=True)
    assert judge_cancel(story.record, "x", BOB) == Coalesce(shared=False)


def test_the_first_answer_is_given_again_while_it_settles(story: Story) -> None:
    """F4: duplicate Stops. P9: another caller is confirmed first."""
    story.starts("x").cancels("x").accepts("x")
    assert judge_cancel(story.record, "x", ALICE) == Replay(shared=True, cancel_id="c-1", overtaken_by=None)
    assert judge_cancel(story.record, "x", BOB) == Replay(shared=False, cancel_id="c-1", overtaken_by=None)


def test_what_overtook_the_cancel_is_said_again(story: Story) -> None:
    """P2: a cancel that was too late does not become true by asking again."""
    story.starts("x").cancels("x").ends("x").accepts("x")
    assert judge_cancel(story.record, "x", ALICE) == Replay(shared=True, cancel_id="c-1", overtaken_by=Ending.FINISHED)


def test_after_it_settled_a_cancel_is_stale(story: Story) -> None:
    story.starts("x").cancels("x").accepts("x").settles("x")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.CANCELLED)


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.CANCELLED])
def test_a_cancel_of_an_ended_stream_is_stale(story: Story, ending: Ending) -> None:
    """P1: no stale forward."""
    assert judge_cancel(story.starts("x").ends("x", ending).record, "x", ALICE) == Stale(ending)


def test_a_cancel_of_a_superseded_stream_names_the_owner(story: Story) -> None:
    story.starts("x").starts("y")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.SUPERSEDED, active_stream_id="y")


def test_a_superseded_stream_stays_so_when_its_successor_has_ended(story: Story) -> None:
    story.starts("x").starts("y").ends("y")
    assert judge_cancel(story.record, "x", ALICE) == Stale(Ending.SUPERSEDED)


def test_a_stream_that_runs_beside_the_owner_does_not_own_the_session() -> None:
    record = SessionRecord("s", (StreamRecord("x", RUNNING, 1), StreamRecord("y", RUNNING, 2)))
    assert judge_cancel(record, "x", ALICE) == Stale(Ending.SUPERSEDED, active_stream_id="y")


def test_an_ended_stream_is_stale_even_if_nobody_knows_how(story: Story) -> None:
    assert judge_cancel(story.starts("x").cancels("x").refuses("x").record, "x", ALICE) == Stale(Ending.UNKNOWN)
    without_ending = SessionRecord("s", (StreamRecord("x", ENDED, 1),))
    assert judge_cancel(without_ending, "x", ALICE) == Stale(Ending.UNKNOWN)


def test_a_failed_cancel_may_be_sent_again(story: Story) -> None:
    assert judge_cancel(story.starts("x").cancels("x").fails("x").record, "x", ALICE) == Forward()


# -- starts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, RUNNING, ENDED])
def test_a_start_is_forwarded_where_nothing_is_being_cancelled(story: Story, state: StreamState | None) -> None:
    """A running turn is the backend's own to defend, with its 409."""
    assert judge_start(story.reaches("x", state).record) is StartVerdict.FORWARD


@pytest.mark.parametrize("state", [CANCEL_SENT, SETTLING])
def test_a_start_is_held_while_a_cancel_settles(story: Story, state: StreamState) -> None:
    """P3: settle before start. F1: the next turn inherits the cancelled one's fate."""
    assert judge_start(story.reaches("x", state).record) is StartVerdict.HOLD


def test_a_start_is_held_by_a_superseded_stream_that_is_being_cancelled(story: Story) -> None:
    assert judge_start(story.starts("x").cancels("x").starts("y").record) is StartVerdict.HOLD


def test_a_start_is_released_when_the_cancel_has_settled(story: Story) -> None:
    story.reaches("x", SETTLING).tells_every_relay("x").answers("x")
    assert judge_start(story.record) is StartVerdict.HOLD
    assert judge_start(story.slot("x", Slot.FREE).record) is StartVerdict.FORWARD


def test_a_start_is_released_where_the_backend_fences_by_itself(story: Story) -> None:
    """F3: since v0.51.327 the backend refuses a start until the worker has unwound."""
    story.reaches("x", SETTLING).slot("x", Slot.FENCED)
    assert judge_start(story.record) is StartVerdict.HOLD
    assert judge_start(story.tells_every_relay("x").answers("x").record) is StartVerdict.FORWARD


def test_a_start_is_released_at_the_limit(story: Story) -> None:
    """P3, P7: for at most `settle_timeout`."""
    assert judge_start(story.reaches("x", SETTLING).times_out("x").record) is StartVerdict.FORWARD


@pytest.mark.parametrize("answer", ["refuses", "fails"])
def test_a_start_is_released_by_a_cancel_that_was_not_accepted(story: Story, answer: str) -> None:
    story.starts("x").cancels("x")
    story.refuses("x") if answer == "refuses" else story.fails("x")
    assert judge_start(story.record) is StartVerdict.FORWARD


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


def test_a_relay_of_a_cancelled_stream_is_given_a_cancel_at_the_settle_timeout(story: Story) -> None:
    story.reaches("x", SETTLING)
    limit = RelayLimit(Ending.CANCELLED, since=3, within=5, quiet=False)
    assert judge_relay(story.stream("x"), PATIENCE) == limit
    assert judge_relay(story.times_out("x").stream("x"), PATIENCE) == limit


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT])
def test_a_relay_of_a_superseded_stream_is_ended_after_the_grace(story: Story, state: StreamState) -> None:
    story.reaches("x", state).starts("y")
    limit = judge_relay(story.stream("x"), PATIENCE)
    assert limit == RelayLimit(Ending.SUPERSEDED, story.stream("x").since, within=2, quiet=False)


@pytest.mark.parametrize("ending", [Ending.FINISHED, Ending.FAILED, Ending.LOST])
def test_a_relay_of_an_ended_stream_may_be_quiet_for_a_while(story: Story, ending: Ending) -> None:
    """F6: `done` may be the last word of a stream that heartbeats for ever, and may come amid a replay."""
    story.starts("x").ends("x", ending)
    assert judge_relay(story.stream("x"), PATIENCE) == RelayLimit(ending, since=2, within=4, quiet=True)


def test_a_relay_of_a_stream_that_ended_nobody_knows_how_is_ended_too() -> None:
    limit = RelayLimit(Ending.UNKNOWN, since=1, within=4, quiet=True)
    assert judge_relay(StreamRecord("x", ENDED, 1), PATIENCE) == limit
