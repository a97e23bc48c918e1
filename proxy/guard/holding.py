"""Holding a request back until its session's cancelled turn has settled (P3, F17)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from proxy.core.records import SessionRecord
from proxy.core.verdicts import StartVerdict
from proxy.events.event import Event
from proxy.events.guard import Subject
from proxy.events.starts import ChangeHeld, ChangeHoldExpired, StartHeld, StartHoldExpired
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open

Judge = Callable[[SessionRecord], StartVerdict]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that may have to wait, and what is reported of that."""

    session_id: str
    about: Subject
    step: str
    held: Event
    expired: Event


def waiting_start(start_id: str, session_id: str) -> Waiting:
    """A start, as `hold` takes it."""
    held, expired = StartHeld(start_id, session_id), StartHoldExpired(start_id, session_id)
    return Waiting(session_id, {"start": start_id, "session": session_id}, "holding a start", held, expired)


def waiting_change(change_id: str, session_id: str) -> Waiting:
    """A change, as `hold` takes it."""
    held, expired = ChangeHeld(change_id, session_id), ChangeHoldExpired(change_id, session_id)
    return Waiting(session_id, {"change": change_id, "session": session_id}, "holding a change", held, expired)


async def hold(ownership: Ownership, waiting: Waiting, judge: Judge, *, deadline: float, report: Report) -> bool:
    """Waits until `judge` lets the request go, until `deadline` at most (P7); whether it had to wait.

    Args:
        ownership: Asked for the session, and when that changes.
        waiting: The request.
        judge: Says of the session's record whether the request may go.
        deadline: In seconds of the event loop's clock.
        report: Told when it is held, when its time is up, and of internal errors.
    """
    held = False
    with failing_open(report, waiting.step, **waiting.about):
        record = await ownership.session(waiting.session_id)
        while judge(record) is StartVerdict.HOLD:
            if not held:
                report(waiting.held)
            held = True
            try:
                async with asyncio.timeout_at(deadline):
                    record = await ownership.changed(record)
            except TimeoutError:
                report(waiting.expired)
                break
    return held
