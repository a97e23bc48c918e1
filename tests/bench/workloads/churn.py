"""Browsers that come and go: a turn is started, its stream opened, its first event read, and the tab closed."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.crowd import Crowd
from tests.bench.measuring import Cell, Meter, count_orphans, percentiles


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

    async def run(self, target: Target, backend: Backend) -> AsyncIterator[Cell]:
        crowd = Crowd()
        callers = await asyncio.gather(*(Caller.connect(target.port) for _ in range(self.browsers)))
        meter = Meter(target)
        until = time.monotonic() + self.seconds
        await asyncio.gather(*(self._come_and_go(target, backend, crowd, caller, until) for caller in callers))
        values = meter.per("opening", len(crowd.turns))
        values |= percentiles("first byte", (turn.watcher.first_byte for turn in crowd.turns))
        for caller in callers:
            caller.close()
        yield Cell(f"{self.browsers} browsers come and go", values | await count_orphans(backend))

    @staticmethod
    async def _come_and_go(target: Target, backend: Backend, crowd: Crowd, caller: Caller, until: float) -> None:
        while time.monotonic() < until:
            turn = await crowd.join(target.port, backend, caller, len(crowd.turns))
            turn.watcher.leave()
