"""Records are values: what they say of themselves, and how many streams they keep."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from proxy.core.records import Cancel, Ending, SessionRecord, Slot, StreamRecord, StreamState

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState

SENT = Cancel("c-1", "credentials", sent_at=1)
ACKED = replace(SENT, acked_at=2)
SEEN_AND_ANSWERED = replace(ACKED, terminal_at=3, answered_at=4)


def ended(stream_id: str, ending: Ending = Ending.FINISHED) -> StreamRecord:
    return StreamRecord(stream_id, ENDED, 1, ending)


def running(stream_id: str) -> StreamRecord:
    return StreamRecord(stream_id, RUNNING, 1)


def test_records_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        SessionRecord("s").session_id = "t"  # type: ignore[misc]  # that it cannot be assigned is the test


@pytest.mark.parametrize(
    ("cancel", "missing"),
    [
        (SENT, ("backend_acked", "terminal_seen", "answered", "slot_free")),
        (ACKED, ("terminal_seen", "answered", "slot_free")),
        (SEEN_AND_ANSWERED, ("slot_free",)),
        (replace(SEEN_AND_ANSWERED, slot=Slot.FENCED), ("slot_free",)),
        (replace(ACKED, slot=Slot.FREE), ("terminal_seen", "answered")),
        (replace(SEEN_AND_ANSWERED, slot=Slot.FREE), ()),
    ],
)
def test_a_cancel_says_what_it_still_misses(cancel: Cancel, missing: tuple[str, ...]) -> None:
    assert cancel.missing == missing


@pytest.mark.parametrize(
    ("cancel", "holds"),
    [
        (SENT, True),
        (replace(SENT, slot=Slot.FREE), True),
        (replace(ACKED, slot=Slot.FENCED), True),
        (replace(ACKED, slot=Slot.FREE, terminal_at=3), True),
        (SEEN_AND_ANSWERED, True),
        (replace(SEEN_AND_ANSWERED, slot=Slot.FENCED), False),
        (replace(SEEN_AND_ANSWERED, slot=Slot.FREE), False),
    ],
)
def test_starts_are_held_until_only_a_fenced_slot_is_missing(cancel: Cancel, *, holds: bool) -> None:
    """P3: settle before start. F3: a backend that fences by itself needs no more help."""
    assert cancel.holds_starts is holds


def test_the_owner_is_the_last_stream_that_has_not_ended() -> None:
    record = SessionRecord("s", (ended("w"), running("x"), ended("y")))
    assert record.owner == running("x")


def test_a_superseded_stream_whose_cancel_is_unanswered_is_not_the_owner() -> None:
    superseded = StreamRecord("x", CANCEL_SENT, 1, Ending.SUPERSEDED, sent=(SENT,))
    assert SessionRecord("s", (superseded,)).owner is None
    assert SessionRecord("s", (running("w"), superseded)).owner == running("w")


def test_an_unknown_session_has_no_owner_and_is_not_busy() -> None:
    record = SessionRecord("s")
    assert record.owner is None
    assert not record.busy
    assert record.stream("x") is None


@pytest.mark.parametrize(("state", "busy"), [(RUNNING, True), (CANCEL_SENT, True), (SETTLING, True), (ENDED, False)])
def test_a_record_is_busy_while_a_stream_runs_or_settles(state: StreamState, *, busy: bool) -> None:
    assert SessionRecord("s", (ended("w"), StreamRecord("x", state, 1))).busy is busy


def test_put_replaces_a_stream_in_its_place_and_adds_a_new_one_last() -> None:
    record = SessionRecord("s", (running("x"), running("y"))).put(ended("x")).put(running("z"))
    assert record.streams == (ended("x"), running("y"), running("z"))


def test_drop_forgets_one_stream() -> None:
    record = SessionRecord("s", (running("x"), running("y")))
    assert record.drop("x").streams == (running("y"),)
    assert record.drop("nobody") == record


def test_only_the_latest_endings_are_kept() -> None:
    """P7: every buffer has a size."""
    record = SessionRecord("s")
    for number in range(SessionRecord.KEPT_ENDINGS + 3):
        record = record.put(ended(f"x{number}"))
    assert [s.stream_id for s in record.streams] == [f"x{n}" for n in range(3, SessionRecord.KEPT_ENDINGS + 3)]


def test_a_running_stream_is_kept_however_many_ended_after_it() -> None:
    record = SessionRecord("s").put(running("first"))
    for number in range(2 * SessionRecord.KEPT_ENDINGS):
        record = record.put(ended(f"x{number}"))
    assert record.stream("first") == running("first")
    assert len(record.streams) == 1 + SessionRecord.KEPT_ENDINGS


def test_the_bound_counts_endings_not_streams() -> None:
    record = SessionRecord("s", tuple(ended(f"x{n}") for n in range(SessionRecord.KEPT_ENDINGS)))
    assert len(record.put(running("y")).streams) == SessionRecord.KEPT_ENDINGS + 1


@pytest.mark.parametrize("state", [RUNNING, CANCEL_SENT, SETTLING])
def test_a_stream_that_has_not_ended_may_have_a_worker(state: StreamState) -> None:
    assert StreamRecord("x", state, 1).may_have_worker


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.CANCELLED])
def test_a_stream_that_ended_by_itself_has_no_worker(ending: Ending) -> None:
    assert not StreamRecord("x", ENDED, 1, ending, replace(ACKED, slot=Slot.BUSY)).may_have_worker


@pytest.mark.parametrize(
    ("cancel", "may"),
    [
        (None, True),
        (replace(SEEN_AND_ANSWERED, slot=Slot.BUSY), True),
        (replace(SEEN_AND_ANSWERED, slot=Slot.FENCED), True),
        (replace(SEEN_AND_ANSWERED, slot=Slot.FREE), False),
    ],
)
def test_a_cancelled_stream_may_have_a_worker_until_that_was_seen_gone(cancel: Cancel | None, *, may: bool) -> None:
    """P11: a Stop is believed by proof. F14: an accepted cancel may be lost."""
    assert StreamRecord("x", ENDED, 1, Ending.CANCELLED, cancel).may_have_worker is may


@pytest.mark.parametrize(
    ("ending", "uncertain"),
    [
        (Ending.FINISHED, False),
        (Ending.FAILED, False),
        (Ending.CANCELLED, False),
        (Ending.SUPERSEDED, True),
        (Ending.LOST, True),
        (Ending.UNKNOWN, True),
    ],
)
def test_an_end_is_uncertain_if_nobody_told_it(ending: Ending, *, uncertain: bool) -> None:
    assert StreamRecord("x", ENDED, 1, ending).is_uncertain is uncertain
    assert not StreamRecord("x", CANCEL_SENT, 1, ending).is_uncertain
