"""Holding a request back until its session's cancelled turn has settled (P3, F17)."""

import asyncio
from collections.abc import Callable
from typing import Literal

from proxy.core.records import SessionRecord
from proxy.core.verdicts import StartVerdict
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open

Judge = Callable[[SessionRecord], StartVerdict]
What = Literal["start", "change"]


async def hold(  # noqa: PLR0913 - what waits, for what, and how long
    ownership: Ownership, session_id: str, judge: Judge, *, what: What = "start", deadline: float, report: Report
) -> bool:
    """Waits until `judge` lets the request go, until `deadline` at most (P7); whether it had to wait.

    Args:
        ownership: Asked for the session, and when that changes.
        session_id: Whose request it is.
        judge: Says of the session's record whether the request may go.
        what: What it is.
        deadline: In seconds of the event loop's clock.
        report: Told `start_held` and `start_hold_expired`, or `change_held` and `change_hold_expired`, and of internal
            errors.
    """
    held = False
    with failing_open(report, f"holding a {what}"):
        record = await ownership.session(session_id)
        while judge(record) is StartVerdict.HOLD:
            if not held:
                report(f"{what}_held")
            held = True
            try:
                async with asyncio.timeout_at(deadline):
                    record = await ownership.changed(record)
            except TimeoutError:
                report(f"{what}_hold_expired")
                break
    return held
