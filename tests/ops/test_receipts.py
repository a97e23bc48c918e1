"""What is kept of every cancel."""

from proxy.core.records import Cancel, Ending, Slot, SlotFreedBy
from proxy.ops.receipts import Receipt, Receipts


def settled(cancel_id: str = "c-1", terminal_at: float | None = None) -> Receipt:
    cancel = Cancel(
        cancel_id, "credentials", sent_at=100.0, acked_at=100.01, answered_at=100.05, terminal_at=terminal_at
    )
    return Receipt.of("stream-1", cancel.freed(100.1, SlotFreedBy.HEALTH), Ending.CANCELLED)


def test_a_receipt_tells_each_step_and_its_time_after_the_request() -> None:
    receipt = settled(terminal_at=100.02)

    assert receipt.requested_at == 100.0
    assert receipt.fields() == {
        "cancel": "c-1",
        "stream": "stream-1",
        "ending": "cancelled",
        "backend_acked": 0.01,
        "terminal_seen": 0.02,
        "answered": 0.05,
        "slot_free": 0.1,
        "slot_freed_by": "health",
        "took": 0.1,
        "repeats": 0,
        "missing": [],
    }


def test_a_receipt_tells_how_often_its_cancel_was_repeated_and_that_it_found_no_worker_in_the_end() -> None:
    cancel = Cancel("c-1", "credentials", sent_at=100.0, acked_at=100.01, repeats=3)

    fields = Receipt.of("stream-1", cancel.freed(101.5, SlotFreedBy.CANCEL), Ending.CANCELLED).fields()

    assert (fields["repeats"], fields["slot_free"], fields["slot_freed_by"]) == (3, 1.5, "cancel")


def test_a_cancel_under_way_has_come_as_far_as_it_has() -> None:
    receipt = Receipt.of("stream-1", Cancel("c-1", "credentials", sent_at=100.0, acked_at=100.01), None)

    assert receipt.ending is None
    assert receipt.steps == {"backend_acked": 0.01}
    assert receipt.took is None
    assert receipt.missing == ("terminal_seen", "answered", "slot_free")


def test_a_receipt_of_an_unsettled_cancel_says_what_was_missing() -> None:
    cancel = Cancel("c-1", "credentials", sent_at=100.0, acked_at=100.01, slot=Slot.FENCED)

    receipt = Receipt.of("stream-1", cancel, Ending.CANCELLED)

    assert receipt.missing == ("terminal_seen", "answered", "slot_free")
    assert "slot_free" not in receipt.fields()
    assert receipt.fields()["slot"] == "fenced"


def test_receipts_hold_no_credentials() -> None:
    assert "credentials" not in str(settled().fields())


def test_the_oldest_receipts_go_first() -> None:
    receipts = Receipts(kept=2)
    for number in range(3):
        receipts.add(settled(f"c-{number}"))

    assert [receipt.cancel_id for receipt in receipts.latest()] == ["c-2", "c-1"]
    assert receipts.get("c-0") is None
    assert receipts.get("c-2") == receipts.latest()[0]
