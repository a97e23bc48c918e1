"""What an operator may find: nothing, a Hermes that is away, Stops under way, and Stops that ended in every way."""

from typing import Any

from proxy.core.records import Cancel, Ending, SessionRecord, Slot, SlotFreedBy, StreamRecord, StreamState
from proxy.ops.receipts import Receipt
from tests.ops.admin.conftest import Guard
from tests.support.happenings import happened

STREAM = "57ea3000bbbbbbbb"
SENT = 999.0


def judged(guard: Guard, cancel_id: str) -> None:
    guard.now = SENT
    guard.report(happened("cancel_judged", cancel=cancel_id, stream=STREAM, verdict="forward", shared=None))
    guard.now = 1000.0


def answered(guard: Guard, cancel_id: str, **said: Any) -> None:
    judged(guard, cancel_id)
    answer = {"first": cancel_id, "verdict": "forwarded", "reason": None, "status": 200, "cancelled": True}
    guard.report(happened("cancel_answered", cancel=cancel_id, stream=STREAM, **{**answer, **said}))


def quiet(_guard: Guard) -> None:
    """Nothing has happened."""


def away(guard: Guard) -> None:
    guard.away_since = 990.0


def waiting(guard: Guard) -> None:
    guard.waiting_since = 999.5


def busy(guard: Guard) -> None:
    """A turn is being stopped, another runs unseen, and one whose session is not known."""
    cancel = Cancel("c-1", "credentials", sent_at=SENT, acked_at=999.2)
    judged(guard, "c-1")
    guard.runs, guard.relays = True, {STREAM: 2}
    guard.records = (
        SessionRecord(
            "5e551014aaaaaaaa", (StreamRecord(STREAM, StreamState.SETTLING, 999.2, cancel=cancel, began=940.0),)
        ),
        SessionRecord("stream:x", (StreamRecord("07e4e4e4cccccccc", StreamState.RUNNING, 990.0, began=990.0),)),
    )
    guard.drain.begin(hold=True)
    guard.drain.held, guard.drain.in_hermes = 2, 1


def over(guard: Guard) -> None:
    """Stops have ended in every way, and something of everything was counted."""
    whole = Cancel("c-1", "credentials", SENT, acked_at=999.2, answered_at=999.4, terminal_at=999.3)
    answered(guard, "c-1")
    guard.receipts.add(Receipt.of(STREAM, whole.freed(999.5, SlotFreedBy.HEALTH), Ending.CANCELLED))
    answered(guard, "c-2")
    guard.receipts.add(Receipt.of(STREAM, Cancel("c-2", "credentials", SENT, acked_at=999.2, slot=Slot.FENCED), None))
    answered(guard, "c-3", verdict="stale", reason="superseded", cancelled=False)
    answered(guard, "c-4", reason="finished", cancelled=False)
    answered(guard, "c-5", verdict=None, status=401, cancelled=None)
    judged(guard, "c-6")
    guard.report(happened("cancel_failed", cancel="c-6", stream=STREAM, code="backend_unreachable"))
    judged(guard, "c-7")
    guard.report(happened("cancel_unguarded", cancel="c-7", stream=STREAM))
    judged(guard, "c-8")
    guard.report(happened("cancel_settled", took=0.5, missing=[]))
    guard.report(happened("cancel_settled", missing=["slot_free"]))
    guard.report(happened("cancel_repeated", cancelled=None))
    guard.report(happened("start_answered", held=True, waited=0.1))
    guard.report(happened("upstream_opened"))
    guard.report(happened("upstream_closed", why=None))
    guard.report(happened("relay_wrote", count=3))
