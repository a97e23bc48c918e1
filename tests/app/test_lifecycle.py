"""What signals do to the process, in this one."""

import asyncio
import os
import signal

import pytest

from proxy.app.lifecycle import until_signalled
from tests.support.lab import PATIENCE


class Life:
    """Ends when it is told to, if it listens."""

    def __init__(self, *, listens: bool = True) -> None:
        self.listens = listens
        self.was_told = asyncio.Event()
        self.was_broken_off = False

    async def __call__(self, told_to_end: asyncio.Event) -> None:
        try:
            await told_to_end.wait()
            self.was_told.set()
            if not self.listens:
                await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            self.was_broken_off = True
            raise


def signals_are_the_systems() -> bool:
    return (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == (
        signal.SIG_DFL,
        signal.default_int_handler,
    )


async def begin(life: Life) -> asyncio.Task[int]:
    living = asyncio.create_task(until_signalled(life))
    await asyncio.sleep(0)
    return living


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_tells_it_to_end(number: signal.Signals) -> None:
    life = Life()
    living = await begin(life)

    os.kill(os.getpid(), number)

    async with asyncio.timeout(PATIENCE):
        assert await living == 0
    assert not life.was_broken_off
    assert signals_are_the_systems()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_the_second_one_breaks_it_off(number: signal.Signals, code: int) -> None:
    """And leaves the third to the system, in case that even this takes too long."""
    life = Life(listens=False)
    living = await begin(life)

    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await life.was_told.wait()
        os.kill(os.getpid(), number)
        assert await living == code
    assert life.was_broken_off
    assert signals_are_the_systems()


async def test_what_breaks_in_it_is_told() -> None:
    async def broken(_: asyncio.Event) -> None:
        raise OSError("cannot listen")

    with pytest.raises(OSError, match="cannot listen"):
        await until_signalled(broken)


async def test_it_is_not_left_behind() -> None:
    """Whoever runs it is broken off: so is it."""
    life = Life()
    living = await begin(life)
    await asyncio.sleep(0)

    living.cancel()

    await asyncio.wait({living})
    assert life.was_broken_off
