"""Small JSON calls, each browser's one after another on a connection that is kept."""

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.backend import SMALL, Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.measuring import US_PER_S, Cell, Keep, Meter, percentiles
from tests.bench.waiting import together

_WARM_UP = 0.1
"""Share of the time that is spent before it counts."""


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

    @property
    def cell(self) -> str:
        """The name of its cell."""
        return f"{self.callers} callers"

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        callers = await together(Caller.connect(target.port) for _ in range(self.callers))
        await _ask_all(callers, self.seconds * _WARM_UP, array("q"))
        delays: array[int] = array("q")
        meter = Meter(target)
        faults = await _ask_all(callers, self.seconds, delays)
        values = meter.per("call", len(delays)) | percentiles("call", delays)
        if "CPU us/call" in values:
            values["call/CPU-s"] = US_PER_S / values["CPU us/call"]
        for caller in callers:
            caller.close()
        keep(Cell(self.cell, values, faults))


async def _ask_all(callers: Sequence[Caller], seconds: float, delays: "array[int]") -> list[str]:
    until = time.monotonic() + seconds
    return [fault for faults in await together(_ask(caller, until, delays) for caller in callers) for fault in faults]


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
