"""Stop, with every way to the backend full but the one for it."""

import asyncio
import time
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.crowd import Crowd
from tests.bench.feeds import Feed, stream
from tests.bench.measuring import Cell, Keep, count_orphans, percentiles
from tests.bench.waiting import happens, together

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

    @property
    def cell(self) -> str:
        """The name of its cell."""
        return f"Stop among {self.streams} streams x {self.rate:g}/s"

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        crowd = Crowd(target.port, backend)
        await crowd.arrive(self.streams)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.calls):
                group.create_task(_hang(target.port))
            full = await happens(lambda: len(backend.held) == self.calls, _ARRIVAL)
            group.create_task(stream(crowd.feeds, self.rate, _GROWN + self.streams * self.pause))
            await asyncio.sleep(_GROWN)
            stopped = await together(
                _stop(target.port, feed, number * self.pause) for number, feed in enumerate(crowd.feeds)
            )
            backend.release()
        await crowd.conclude()
        values = percentiles("Stop seen", (seen for seen, _ in stopped))
        values |= percentiles("Stop answered", (answered for _, answered in stopped))
        faults = crowd.faults if full else [*crowd.faults, f"not all of {self.calls} hanging calls got through"]
        keep(Cell(self.cell, values | await count_orphans(backend), faults))


async def _stop(port: int, feed: Feed, after: float) -> tuple[int, int]:
    """Nanoseconds until the backend had seen a Stop, and until it was answered."""
    caller = await Caller.connect(port)
    await asyncio.sleep(after)
    asked = time.monotonic_ns()
    await caller.ask("GET", f"/api/chat/cancel?stream_id={feed.stream_id}")
    answered = time.monotonic_ns()
    caller.close()
    return (feed.cancelled_at or answered) - asked, answered - asked


async def _hang(port: int) -> None:
    caller = await Caller.connect(port)
    await caller.ask("GET", "/api/held")
    caller.close()
