"""The open relays, by stream."""

import asyncio

import pytest

from proxy.relay.relays import Relays
from tests.support.virtual_time import in_virtual_time


class Relay:
    """Counts how often it was to look at its limit again."""

    def __init__(self) -> None:
        self.revised = 0

    def revise(self) -> None:
        self.revised += 1


def test_a_relay_counts_while_it_is_open() -> None:
    relays = Relays()

    with relays.opened("x", Relay()), relays.opened("x", Relay()), relays.opened("y", Relay()):
        assert (relays.count("x"), relays.count("y"), relays.count("z")) == (2, 1, 0)
        assert relays.total == 3
    assert relays.count("x") == relays.total == 0


def test_a_relay_that_fails_is_closed() -> None:
    relays = Relays()

    with pytest.raises(ConnectionError), relays.opened("x", Relay()):
        raise ConnectionError
    assert relays.count("x") == 0


def test_only_the_streams_own_relays_are_revised() -> None:
    relays, one, two, other = Relays(), Relay(), Relay(), Relay()

    with relays.opened("x", one), relays.opened("x", two), relays.opened("y", other):
        relays.revise("x")
    relays.revise("x")

    assert (one.revised, two.revised, other.revised) == (1, 1, 0)


@in_virtual_time
async def test_a_stream_without_relays_has_ended_already() -> None:
    await Relays().told("x")
    await Relays().ended("x")


@in_virtual_time
async def test_a_stream_is_told_when_its_last_browser_is() -> None:
    """One was given the event that ends its turn; one left without."""
    relays = Relays()
    with relays.opened("x", Relay()) as tell, relays.opened("y", Relay()):
        with relays.opened("x", Relay()):
            told, ended = asyncio.create_task(relays.told("x")), asyncio.create_task(relays.ended("x"))
            await asyncio.sleep(1)
            tell()
            tell()
            await asyncio.sleep(1)
            assert not told.done()
        await told
        assert not ended.done(), "the relay is still open"
    await ended


@in_virtual_time
async def test_a_streams_end_is_the_end_of_its_last_relay() -> None:
    loop, relays = asyncio.get_running_loop(), Relays()

    async def open_for(stream_id: str, seconds: float) -> None:
        with relays.opened(stream_id, Relay()):
            await asyncio.sleep(seconds)

    async def when_ended() -> float:
        await relays.ended("x")
        return loop.time()

    async with asyncio.TaskGroup() as group:
        for stream_id, seconds in (("x", 1), ("x", 3), ("y", 9)):
            group.create_task(open_for(stream_id, seconds))
        await asyncio.sleep(0)
        waiting = [group.create_task(when_ended()) for _ in range(2)]

    assert [task.result() for task in waiting] == [3, 3]


@in_virtual_time
async def test_a_wait_that_is_broken_off_leaves_the_others_waiting() -> None:
    relays = Relays()
    with relays.opened("x", Relay()):
        patient = asyncio.create_task(relays.ended("x"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await relays.ended("x")
        assert not patient.done()

    await patient


@in_virtual_time
async def test_nothing_is_kept_of_streams_that_are_over() -> None:
    """P7: a proxy that runs for months has seen many."""
    relays = Relays()
    for number in range(3):
        with relays.opened(f"x{number}", Relay()), pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await relays.ended(f"x{number}")
        assert relays.count(f"x{number}") == 0

    assert not relays._open
    assert not relays._untold
    assert not relays._waiting
