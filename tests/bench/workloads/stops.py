"""Stop, with every way to the backend full but the one for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.crowd import Crowd, Turn, happens
from tests.bench.feeds import Feed, stream
from tests.bench.measuring import Cell, count_orphans, percentiles

_GROWN = 1.0
"""Seconds after which a turn hears a Stop at once; before, our proxy has it wait (F13)."""

_ARRIVAL = 5.0
"""Seconds in which the calls that are to be held have to reach the backend."""


@dataclass(frozen=True, slots=True)
class Stops:
    """Every stream is stopped, one after another, while all others go on and as many calls hang as may.

    Attributes:
        streams: How many; all that the lane takes.
        rate: Tokens a second on each.
        calls: Calls that hang at the backend; all that our proxy lets through.
        pause: Seconds between two Stops.
        relays: Width of the lane for streams.
    """

    streams: int
    rate: float
    calls: int
    pause: float
    relays: int
    name: str = "stops"

    async def run(self, target: Target, backend: Backend) -> AsyncIterator[Cell]:
        crowd = await Crowd.open(target.port, backend, self.streams)
        hanging = [asyncio.create_task(_hang(target.port)) for _ in range(self.calls)]
        full = await happens(lambda: len(backend.held) == self.calls, _ARRIVAL)
        seconds = _GROWN + self.streams * self.pause
        streaming = asyncio.create_task(stream(crowd.feeds, self.rate, seconds))
        await asyncio.sleep(_GROWN)
        stopped = await self._stop_all(target.port, crowd.turns)
        await streaming
        backend.release()
        await asyncio.gather(*hanging)
        faults = await crowd.conclude()
        if not full:
            faults.append(f"{len(backend.held)} of {self.calls} hanging calls reached the backend")
        values = percentiles("Stop seen", (seen for seen, _ in stopped))
        values |= percentiles("Stop answered", (took for _, took in stopped))
        yield Cell(
            f"Stop among {self.streams} streams x {self.rate:g}/s", values | await count_orphans(backend), faults
        )

    async def _stop_all(self, port: int, turns: list[Turn]) -> list[tuple[int, int]]:
        """For every Stop, nanoseconds until the backend had seen it, and until it was answered."""
        stops = []
        for turn in turns:
            stops.append(asyncio.create_task(_stop(port, turn.feed)))
            await asyncio.sleep(self.pause)
        return await asyncio.gather(*stops)


async def _stop(port: int, feed: Feed) -> tuple[int, int]:
    caller = await Caller.connect(port)
    asked = time.monotonic_ns()
    await caller.ask("GET", f"/api/chat/cancel?stream_id={feed.stream_id}")
    answered = time.monotonic_ns()
    caller.close()
    return (feed.cancelled_at or answered) - asked, answered - asked


async def _hang(port: int) -> None:
    caller = await Caller.connect(port)
    await caller.ask("GET", "/api/held")
    caller.close()
