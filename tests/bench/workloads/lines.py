"""What a line of the access log costs: the same calls to the same process, with the log on and off in turns."""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.backend import Backend
from tests.bench.browser import Caller
from tests.bench.contenders import LEVEL, Target
from tests.bench.measuring import NS_PER_US, Cell, Keep
from tests.bench.processes import Processes
from tests.bench.waiting import together
from tests.bench.workloads.calls import ask_all, lines_of, unlogged

CELL = "log on and off"

_TURNS = ("info", "error", "error", "info") * 2
"""Levels that are taken in turn. What grows slower or faster with time weighs the same on both."""

_APPLIED = 0.05
"""Seconds in which a changed level is in force."""

_STRAY = 10
"""Most lines of other things while the access log is off."""


@dataclass(slots=True)
class Spent:
    """Processor time of calls.

    Attributes:
        cpu: Nanoseconds of it.
        calls: How many calls.
    """

    cpu: int = 0
    calls: int = 0

    @property
    def each(self) -> float:
        """Microseconds a call."""
        return self.cpu / self.calls / NS_PER_US


@dataclass(slots=True)
class Tally:
    """What the turns took, with the log and without, and what was wrong."""

    logged: Spent = field(default_factory=Spent)
    silent: Spent = field(default_factory=Spent)
    faults: list[str] = field(default_factory=list)

    def values(self) -> dict[str, float]:
        """The figures; none if no calls were made."""
        if not (self.logged.calls and self.silent.calls):
            return {}
        with_line, without = self.logged.each, self.silent.each
        return {"us/call, log on": with_line, "us/call, log off": without, "us/log line": with_line - without}


@dataclass(frozen=True, slots=True)
class Lines:
    """Calls as in `Calls`, to contenders that log each of them; the level changes several times, by SIGHUP.

    Both levels are taken of one process, as two processes of the same program differ by as much as a line costs.

    Attributes:
        callers: Browsers that ask at the same time.
        seconds: For how long with each level.
        relays: Width of the lane for streams.
    """

    callers: int
    seconds: float
    relays: int
    name: str = "lines"

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        if not target.logs or target.processes is None:
            return
        callers = await together(Caller.connect(target.port) for _ in range(self.callers))
        tally = Tally()
        for level in _TURNS:
            await _set_level(target.processes, level)
            await _take(callers, target, level, 2 * self.seconds / len(_TURNS), tally)
        await _set_level(target.processes, "info")
        for caller in callers:
            caller.close()
        keep(Cell(CELL, tally.values(), tally.faults))


async def _set_level(processes: Processes, level: str) -> None:
    (processes.folder / LEVEL).write_text(level)
    processes.reload()
    await asyncio.sleep(_APPLIED)


async def _take(callers: Sequence[Caller], target: Target, level: str, seconds: float, tally: Tally) -> None:
    """One turn. It lasts until the lines are in the file, whoever writes them in batches."""
    delays: array[int] = array("q")
    lines, cpu = lines_of(target), _cpu(target)
    tally.faults += await ask_all(callers, seconds, delays)
    logged = level == "info"
    if logged:
        tally.faults += await unlogged(target, lines, len(delays))
    elif (stray := lines_of(target) - lines) > _STRAY:
        tally.faults.append(f"{stray} lines were logged while the log was off")
    spent = tally.logged if logged else tally.silent
    spent.cpu += _cpu(target) - cpu
    spent.calls += len(delays)


def _cpu(target: Target) -> int:
    return target.processes.cpu() if target.processes else 0
