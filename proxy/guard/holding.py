"""Holding a request back until its session's cancelled turn has settled (P3, F17)."""

import asyncio
from collections.abc import Callable

from proxy.core.records import SessionRecord
from proxy.core.verdicts import StartVerdict
from proxy.guard.ownership import Ownership
from proxy.guard.reporting import Report, failing_open

Judge = Callable[[SessionRecord], StartVerdict]


async def hold(ownership: Ownership, session_id: str, judge: Judge, *, deadline: float, report: Report) -> bool:
    """Waits until `judge` lets the request go, until `deadline` at most (P7); whether it had to wait.

    Args:
        ownership: Asked for the session, and when that changes.
        session_id: Whose request it is.
        judge: Says of the session's record whether the request may go.
        deadline: In seconds of the event loop's clock.
        report: Told `start_held` and `start_hold_expired`, and of internal errors.
    """
    held = False
    with failing_open(report, "holding a start"):
        record = await ownership.session(session_id)
        while judge(record) is StartVerdict.HOLD:
            if not held:
                report("start_held")
            held = True
            try:
                async with asyncio.timeout_at(deadline):
                    record = await ownership.changed(record)
            except TimeoutError:
                report("start_hold_expired")
                break
    return held
