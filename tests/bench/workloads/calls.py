"""Small JSON calls, each browser's one after another on a connection that is kept."""

import asyncio
import time
from array import array
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.bench.backend import SMALL, Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.measuring import Cell, Meter, percentiles


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls as fast as they are answered.

    Attributes:
        callers: Browsers that ask at the same time.
        seconds: For how long.
        relays: Width of the lane for streams.
    """

    callers: int
    seconds: float
    relays: int
    name: str = "calls"

    async def run(self, target: Target, backend: Backend) -> AsyncIterator[Cell]:
        callers = await asyncio.gather(*(Caller.connect(target.port) for _ in range(self.callers)))
        await asyncio.gather(*(_ask(caller, time.monotonic() + self.seconds / 10, array("q")) for caller in callers))
        delays: array[int] = array("q")
        meter = Meter(target)
        until = time.monotonic() + self.seconds
        faults = [fault for each in await asyncio.gather(*(_ask(c, until, delays) for c in callers)) for fault in each]
        values = meter.per("call", len(delays)) | percentiles("call", delays)
        if "CPU us/call" in values:
            values["call/CPU-s"] = 1e6 / values["CPU us/call"]
        for caller in callers:
            caller.close()
        yield Cell(f"{self.callers} callers", values, faults)


async def _ask(caller: Caller, until: float, delays: "array[int]") -> list[str]:
    """Ask until then, and say what was wrong with the answers."""
    faults = []
    while time.monotonic() < until:
        asked = time.monotonic_ns()
        answer = await caller.ask("GET", "/api/auth/status")
        delays.append(time.monotonic_ns() - asked)
        if answer != SMALL:
            faults.append(f"a call was answered {answer[:80]!r}")
    return faults
