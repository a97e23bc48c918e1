"""Small JSON calls, each browser's one after another on a connection that is kept."""

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.backend import SMALL, Backend
from tests.bench.browser import Caller
from tests.bench.contenders import Target
from tests.bench.measuring import US_PER_S, Cell, Keep, Meter, percentiles
from tests.bench.waiting import happens, together

_WARM_UP = 0.1
"""Share of the time that is spent before it counts."""

_WRITTEN = 2.0
"""Seconds in which the log has to have a line of every call."""


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
        await ask_all(callers, self.seconds * _WARM_UP, array("q"))
        delays: array[int] = array("q")
        lines, meter = lines_of(target), Meter(target)
        faults = await ask_all(callers, self.seconds, delays)
        values = meter.per("call", len(delays)) | percentiles("call", delays)
        faults += await unlogged(target, lines, len(delays))
        if "CPU us/call" in values:
            values["call/CPU-s"] = US_PER_S / values["CPU us/call"]
        for caller in callers:
            caller.close()
        keep(Cell(self.cell, values, faults))


def lines_of(target: Target) -> int:
    """How many lines a target has written so far."""
    return target.processes.lines() if target.processes else 0


async def unlogged(target: Target, before: int, calls: int) -> list[str]:
    """Wait until as many lines were written as there were calls, and say so if they were not: its log is off."""
    if not target.logs or await happens(lambda: lines_of(target) - before >= calls, _WRITTEN):
        return []
    return [f"{calls} calls left {lines_of(target) - before} lines in the log"]


async def ask_all(callers: Sequence[Caller], seconds: float, delays: "array[int]") -> list[str]:
    """Ask until the time is over, and say what was wrong with the answers."""
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
