"""What is handed over belongs to its giver: it comes back, or is not taken, and nobody waits for ever."""

import asyncio

import pytest

from proxy.guard.handover import Handover
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_giver_has_it_back_once_the_taker_is_done() -> None:
    handover: Handover[str] = Handover()
    giving = asyncio.create_task(handover.give("bread"))

    async with handover.taken() as taken:
        await asyncio.sleep(1.0)
        assert (taken, giving.done()) == ("bread", False)
    await giving

    assert asyncio.get_running_loop().time() == 1.0


@in_virtual_time
async def test_nobody_waits_for_a_taker_who_has_left() -> None:
    handover: Handover[str] = Handover()
    taking = asyncio.create_task(_take(handover))
    await asyncio.sleep(1.0)
    taking.cancel()
    await asyncio.wait({taking})

    await handover.give("bread")

    assert taking.cancelled()


@in_virtual_time
async def test_a_taker_who_leaves_with_it_in_hand_gives_it_back() -> None:
    handover: Handover[str] = Handover()
    taking = asyncio.create_task(_take(handover))
    giving = asyncio.create_task(handover.give("bread"))
    await asyncio.sleep(1.0)
    taking.cancel()

    await giving


@in_virtual_time
async def test_an_error_before_it_is_the_takers() -> None:
    handover: Handover[str] = Handover()
    with handover.giving():
        raise LookupError("no bread")

    with pytest.raises(LookupError, match="no bread"):
        await _take(handover)


@in_virtual_time
async def test_an_error_after_it_is_the_givers() -> None:
    handover: Handover[str] = Handover()
    taking = asyncio.create_task(_take(handover))
    await asyncio.sleep(0)

    async def give() -> None:
        with handover.giving():
            await asyncio.wait_for(handover.give("bread"), timeout=1.0)

    with pytest.raises(TimeoutError):
        await give()
    taking.cancel()


@in_virtual_time
async def test_nobody_waits_for_a_giver_who_was_cancelled() -> None:
    handover: Handover[str] = Handover()

    async def never() -> None:
        with handover.giving():
            await asyncio.sleep(1000.0)

    giving = asyncio.create_task(never())
    taking = asyncio.create_task(_take(handover))
    await asyncio.sleep(1.0)
    giving.cancel()

    await asyncio.wait({taking, giving})

    assert taking.cancelled()


async def _take(handover: Handover[str]) -> None:
    async with handover.taken():
        await asyncio.sleep(1000.0)
