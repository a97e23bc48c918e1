"""Slots while somebody waits for them: whose the next one is, and who gives way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.http.account import Account
from proxy.http.errors import CrowdedOutError
from proxy.http.upstream.slots import GRACE, Slots
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.errors import ProxyError


class Asker:
    """A request of some client, which holds its slot for as long as its browser is waited for."""

    def __init__(self, slots: Slots, client: str) -> None:
        self.client = client
        self.told: list[ProxyError] = []
        self.account = Account(asyncio.get_running_loop().time)
        self.account.browser = self
        self.serving = asyncio.create_task(self._hold(slots))
        self._ended = asyncio.Event()
        self.is_served = False

    def give_way(self, error: ProxyError) -> None:
        self.told.append(error)
        self.end()

    def end(self) -> None:
        self._ended.set()

    async def _hold(self, slots: Slots) -> None:
        await slots.take(self.account)
        self.is_served = True
        with self.account.pace.waiting():
            await self._ended.wait()
        slots.give_back(self.account)


async def come(slots: Slots, *clients: str) -> list[Asker]:
    askers = [Asker(slots, client) for client in clients]
    await asyncio.sleep(0.01)
    return askers


async def finish(*askers: Asker) -> None:
    for asker in askers:
        asker.end()
    await asyncio.gather(*(asker.serving for asker in askers))


@in_virtual_time
async def test_the_next_slot_is_for_the_client_that_has_fewest() -> None:
    slots = Slots(3)
    held = await come(slots, "10.0.0.1", "10.0.0.1", "10.0.0.2")
    many, few, none = await come(slots, "10.0.0.1", "10.0.0.2", "10.0.0.3")
    held[0].end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [asker.is_served for asker in (many, few, none)] == [False, False, True]
    await finish(*held, many, few, none)


@in_virtual_time
async def test_one_network_of_ipv6_is_one_client() -> None:
    slots = Slots(2)
    held = await come(slots, "2001:db8::1", "2001:db8::2")
    same, other = await come(slots, "2001:db8::3", "2001:db8:1::1")
    held[0].end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [same.is_served, other.is_served] == [False, True]
    await finish(*held, same, other)


@in_virtual_time
async def test_who_is_late_gives_way_as_soon_as_somebody_has_waited() -> None:
    slots = Slots(2)
    held = await come(slots, "10.0.0.1", "10.0.0.1")
    (waiting,) = await come(slots, "10.0.0.2")
    await asyncio.sleep(GRACE)
    assert waiting.is_served
    assert sum(len(asker.told) for asker in held) == 1, "one waits, so one gives way"
    assert all(isinstance(error, CrowdedOutError) for asker in held for error in asker.told)
    await finish(*held, waiting)


@in_virtual_time
async def test_nobody_gives_way_while_nobody_waits() -> None:
    slots = Slots(2)
    held = await come(slots, "10.0.0.1", "10.0.0.1")
    await asyncio.sleep(100)
    assert [asker.told for asker in held] == [[], []]
    await finish(*held)


@in_virtual_time
async def test_those_of_the_client_with_most_slots_give_way_first() -> None:
    slots = Slots(3)
    (patient,) = await come(slots, "10.0.0.2")
    await asyncio.sleep(GRACE)
    greedy = await come(slots, "10.0.0.1", "10.0.0.1")
    await asyncio.sleep(GRACE)
    (waiting,) = await come(slots, "10.0.0.3")
    assert waiting.is_served
    assert patient.told == []
    await finish(patient, *greedy, waiting)


class Stream:
    """An event stream that nobody follows at the moment."""

    client = "10.0.0.9"
    lateness = float("inf")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def give_way(self, _error: ProxyError) -> None:
        self._slots.give_back(self)


@in_virtual_time
async def test_what_a_slot_was_handed_over_to_gives_way_for_it() -> None:
    slots = Slots(1)
    (asker,) = await come(slots, "10.0.0.1")
    slots.hand_over(asker.account, Stream(slots))
    assert slots.in_use == 1
    (waiting,) = await come(slots, "10.0.0.2")
    assert waiting.is_served
    assert asker.told == []
    await finish(waiting)
    assert slots.in_use == 0
    asker.serving.cancel()


@in_virtual_time
async def test_work_that_belongs_to_nobody_gives_no_way() -> None:
    slots = Slots(1)
    await slots.take(None)
    (waiting,) = await come(slots, "10.0.0.1")
    await asyncio.sleep(10 * GRACE)
    assert not waiting.is_served
    slots.give_back(None)
    await finish(waiting)
    assert slots.in_use == 0
