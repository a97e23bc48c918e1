"""Waiting for the answer of a cancel under way, where an ending must not go before it."""

import asyncio
from contextlib import suppress

from proxy.core.records import StreamState
from proxy.ownership.ownership import Ownership


async def let_the_answer_come(ownership: Ownership, stream_id: str, deadline: float) -> None:
    """While a cancel is under way, its answer must not come long after the event that makes a page idle (F5).

    The page would take the late answer for one about its next turn.

    Args:
        ownership: Asked for the stream, and when that changes.
        stream_id: Whose cancel.
        deadline: Until when to wait at most, in seconds of the event loop's clock (P7).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            while await _is_cancel_under_way(ownership, stream_id):
                session_id = await ownership.locate(stream_id)
                await ownership.changed(await ownership.session(session_id))


async def _is_cancel_under_way(ownership: Ownership, stream_id: str) -> bool:
    stream = await ownership.stream(stream_id)
    return stream is not None and stream.state is StreamState.CANCEL_SENT
