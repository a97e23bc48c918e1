"""Those who wait for long are woken in time, once, and share a timer."""

import asyncio

from proxy.relay.alarms import NEAR, FarAlarms
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_who_waits_for_long_is_woken_shortly_before_its_time() -> None:
    loop, alarms = asyncio.get_running_loop(), FarAlarms()
    woken: list[float] = []
    at = loop.time() + 90
    alarms.set("one", at, lambda: woken.append(loop.time()))
    await asyncio.sleep(100)
    assert [at - NEAR <= moment <= at for moment in woken] == [True]


@in_virtual_time
async def test_each_is_woken_at_its_own_time() -> None:
    alarms, woken = FarAlarms(), list[str]()
    loop = asyncio.get_running_loop()
    for name, seconds in (("late", 60.0), ("early", 30.0)):
        alarms.set(name, loop.time() + seconds, lambda name=name: woken.append(name))  # type: ignore[misc]  # a default
    await asyncio.sleep(31)
    assert woken == ["early"]
    await asyncio.sleep(31)
    assert woken == ["early", "late"]


@in_virtual_time
async def test_who_waits_no_more_is_not_woken_and_nobody_leaves_no_timer() -> None:
    alarms, woken = FarAlarms(), list[str]()
    alarms.set("one", asyncio.get_running_loop().time() + 30, lambda: woken.append("one"))
    alarms.cancel("one")
    alarms.cancel("one")
    assert alarms._timer is None
    await asyncio.sleep(31)
    assert woken == []


@in_virtual_time
async def test_who_is_woken_may_wait_again() -> None:
    loop, alarms = asyncio.get_running_loop(), FarAlarms()
    woken: list[float] = []

    def wake() -> None:
        woken.append(loop.time())
        if len(woken) < 3:
            alarms.set("one", loop.time() + 30, wake)

    alarms.set("one", loop.time() + 30, wake)
    await asyncio.sleep(100)
    assert len(woken) == 3
