"""Tasks that are ended in an orderly way."""

from __future__ import annotations

import asyncio

from proxy.http.settling import settle
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time


async def _fail_late() -> None:
    try:
        await asyncio.sleep(10.0)
    finally:
        raise ValueError("late")


@in_virtual_time
async def test_they_are_cancelled_and_seen_to_their_ends() -> None:
    waits, fails = asyncio.create_task(asyncio.sleep(10.0)), asyncio.create_task(_fail_late())
    done = asyncio.create_task(asyncio.sleep(0))
    await turns()
    await settle(waits, fails, done)
    assert waits.cancelled()
    assert isinstance(fails.exception(), ValueError)
    assert done.result() is None


@in_virtual_time
async def test_whoever_leaves_the_wait_has_cancelled_them_all_the_same() -> None:
    waits = asyncio.create_task(asyncio.sleep(10.0))
    settling = asyncio.create_task(settle(waits))
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.wait({settling, waits})
    assert waits.cancelled()
