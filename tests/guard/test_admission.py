"""Turns are let in, refused, or held."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from proxy.guard.admission import MOST_HELD, Admission
from proxy.guard.order import Order
from proxy.http.errors import DrainingError
from proxy.tasks import Tasks
from tests.support.notes import Notes
from tests.support.virtual_time import in_virtual_time

LIMIT = 25.0


class Door:
    """An admission, and those who went through it, in order."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.order = Order(Tasks())
        self.admission = Admission(self.order, asyncio.get_running_loop().time, self.notes)
        self.through: list[str] = []

    async def come(self, name: str, body: float = 0.0) -> None:
        """One that begins a turn, whose body takes so many seconds to arrive, and whose answer takes one."""
        with self.admission.admitted() as ticket:
            await asyncio.sleep(body)
            async with ticket.passing(name):
                self.through.append(name)
                await asyncio.sleep(1)

    def coming(self, *names: str, **options: Any) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.come(name, **options)) for name in names]

    @property
    def outcomes(self) -> list[tuple[object, object, object]]:
        return [(said["session"], said["outcome"], said["waited"]) for said in self.notes.of("hold_ended")]


async def refused(coming: Coroutine[Any, Any, None] | asyncio.Task[None]) -> None:
    with pytest.raises(DrainingError) as caught:
        await coming
    assert caught.value.retry_after == 5


@in_virtual_time
async def test_all_are_let_in_at_first() -> None:
    door = Door()
    (coming,) = door.coming("a")
    await asyncio.sleep(0.5)
    assert door.order.under_way == 2, "the request, and what is carried out for it"
    await coming
    assert (door.through, door.order.under_way, door.notes.said) == (["a"], 0, [])


@in_virtual_time
async def test_what_is_held_is_not_under_way_and_goes_on_in_order_of_arrival() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    held = door.coming("a", "b", "c")
    await asyncio.sleep(10)
    assert (door.through, door.admission.held, door.order.under_way) == ([], 3, 0)
    door.admission.let_in()
    await asyncio.gather(*held)
    assert (door.through, door.admission.held) == (["a", "b", "c"], 0)
    assert door.outcomes == [("a", "let_in", 10), ("b", "let_in", 10), ("c", "let_in", 10)]


@in_virtual_time
async def test_what_was_let_in_before_goes_on_though_its_body_still_comes() -> None:
    door = Door()
    (before,) = door.coming("a", body=5.0)
    await asyncio.sleep(1)
    door.admission.hold(LIMIT)
    assert door.order.under_way == 1
    await before
    assert (door.through, door.outcomes) == (["a"], [])


@in_virtual_time
async def test_a_hold_has_a_limit_that_counts_from_the_arrival_of_the_request() -> None:
    """P7: whoever waits for the answer has waited since then."""
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a", body=5.0)
    await refused(held)
    assert asyncio.get_running_loop().time() == LIMIT
    assert door.outcomes == [("a", "expired", 20)]
    assert door.admission.held == 0


@in_virtual_time
async def test_the_limit_is_that_of_the_arrival() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    (first,) = door.coming("a")
    await asyncio.sleep(1)
    door.admission.hold(1.0)
    (second,) = door.coming("b")
    await refused(second)
    assert asyncio.get_running_loop().time() == 2
    await refused(first)
    assert asyncio.get_running_loop().time() == LIMIT


@in_virtual_time
async def test_what_is_held_is_refused_once_turns_are() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a")
    await asyncio.sleep(3)
    door.admission.refuse()
    await refused(held)
    await refused(door.come("b"))
    assert (door.through, door.outcomes) == ([], [("a", "refused", 3)])


@in_virtual_time
async def test_a_hold_that_ends_and_begins_again_while_a_body_comes_is_heeded() -> None:
    """It has settled again, and nothing may begin."""
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a", body=3.0)
    await asyncio.sleep(1)
    door.admission.let_in()
    door.admission.hold(LIMIT)
    await asyncio.sleep(5)
    assert door.through == []
    door.admission.let_in()
    await held
    assert door.through == ["a"]


@in_virtual_time
async def test_what_comes_whole_after_a_hold_is_let_in_at_once() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a", body=3.0)
    await asyncio.sleep(1)
    door.admission.let_in()
    await held
    assert (door.through, asyncio.get_running_loop().time()) == (["a"], 4)
    assert door.outcomes == []


@in_virtual_time
async def test_what_comes_whole_when_turns_are_refused_is_refused() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a", body=3.0)
    await asyncio.sleep(1)
    door.admission.refuse()
    await refused(held)
    assert door.outcomes == []


@in_virtual_time
async def test_what_is_let_in_at_its_very_limit_goes_on_as_it_is_told() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a")
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(LIMIT, door.admission.let_in)
    await held
    assert (door.through, door.outcomes) == (["a"], [("a", "let_in", LIMIT)])


@in_virtual_time
async def test_so_many_are_held_and_no_more() -> None:
    """P7."""
    door = Door()
    door.admission.hold(LIMIT)
    held = door.coming(*map(str, range(MOST_HELD)))
    await asyncio.sleep(0)
    await refused(door.come("one more"))
    assert door.notes.of("hold_refused") == [{"session": "one more"}]
    door.admission.let_in()
    await asyncio.gather(*held)
    assert len(door.through) == MOST_HELD


@in_virtual_time
async def test_a_browser_that_leaves_is_held_no_more() -> None:
    door = Door()
    door.admission.hold(LIMIT)
    (held,) = door.coming("a")
    await asyncio.sleep(1)
    held.cancel()
    await asyncio.wait([held])
    assert door.admission.held == 0


@in_virtual_time
async def test_what_there_is_no_room_for_is_refused_in_place_of_being_held() -> None:
    door = Door()
    with door.admission.admitted() as ticket:
        ticket.vouch()
    door.admission.hold(LIMIT)
    with pytest.raises(DrainingError), door.admission.admitted() as ticket:
        ticket.vouch()
    door.admission.free().vouch()


@in_virtual_time
async def test_what_begins_no_turn_passes_whatever_the_rule() -> None:
    door = Door()
    door.admission.refuse()
    async with door.admission.free().passing("a"):
        assert door.order.under_way == 1
