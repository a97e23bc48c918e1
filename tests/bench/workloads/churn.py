"""Browsers that come and go: a turn is started, its stream opened, its first event read, and the tab closed."""

import time
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.crowd import Crowd
from tests.bench.measuring import Cell, Keep, Meter, count_orphans, percentiles
from tests.bench.waiting import together


@dataclass(frozen=True, slots=True)
class Churn:
    """Streams that are opened and left as fast as it goes.

    Attributes:
        browsers: How many come and go at the same time.
        seconds: For how long.
        relays: Width of the lane for streams.
    """

    browsers: int
    seconds: float
    relays: int
    name: str = "churn"

    @property
    def cell(self) -> str:
        """The name of its cell."""
        return f"{self.browsers} browsers come and go"

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        crowd = Crowd(target.port, backend)
        callers = await together(Caller.connect(target.port) for _ in range(self.browsers))
        meter = Meter(target)
        until = time.monotonic() + self.seconds
        await together(_come_and_go(crowd, caller, until) for caller in callers)
        values = meter.per("opening", len(crowd.turns))
        values |= percentiles("first byte", (turn.watcher.first_byte for turn in crowd.turns))
        for caller in callers:
            caller.close()
        keep(Cell(self.cell, values | await count_orphans(backend), crowd.faults))


async def _come_and_go(crowd: Crowd, caller: Caller, until: float) -> None:
    while time.monotonic() < until:
        turn = await crowd.join(caller)
        turn.watcher.leave()
