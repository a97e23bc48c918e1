"""What one measurement gives, and the means to take it."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tests.bench.backend import Backend
from tests.bench.browser import BrokenError
from tests.bench.contenders import Target
from tests.bench.processes import waited
from tests.bench.waiting import happens

NS_PER_S = 1e9
NS_PER_MS = 1e6
NS_PER_US = 1e3
US_PER_S = 1e6
KIB = 1024

ORPHANS_LOOKED_FOR = {"orphans after 100 ms": 0.1, "orphans after 1 s": 1.0, "orphans after 5 s": 5.0}


@dataclass(frozen=True, slots=True)
class Cell:
    """The figures of one contender under one load, in one round.

    Attributes:
        name: Of the load.
        values: By metric, whose name says its unit.
        faults: What was wrong with what arrived, in words.
    """

    name: str
    values: dict[str, float]
    faults: list[str] = field(default_factory=list)


Keep = Callable[[Cell], None]


class Workload(Protocol):
    """One kind of load."""

    @property
    def name(self) -> str:
        """What it is chosen by."""

    @property
    def relays(self) -> int:
        """The most streams that a contender has to carry; our proxy's lane is made that wide."""

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        """Load the target, and hand over the figures as they are taken.

        Raises:
            OSError: the target broke something off.
        """


class Meter:
    """Measures time, and whose processor time it was, from its making on."""

    def __init__(self, target: Target) -> None:
        self._processes = target.processes
        self._cpu = target.processes.cpu() if target.processes else 0
        self._own = time.process_time_ns()
        self._waited = self._kept_waiting()
        self._begun = time.monotonic_ns()

    def per(self, thing: str, count: int) -> dict[str, float]:
        """How many things a second, their cost to the contender, and how busy and how disturbed both sides were.

        Raises:
            BrokenError: there were none.
        """
        if not count:
            raise BrokenError(f"not one {thing} came about")
        wall = time.monotonic_ns() - self._begun
        values = {
            f"{thing}/s": count / wall * NS_PER_S,
            "instrument busy": (time.process_time_ns() - self._own) / wall,
            "disturbed": max(now - before for now, before in zip(self._kept_waiting(), self._waited, strict=True))
            / wall,
        }
        if self._processes is not None:
            cpu = self._processes.cpu() - self._cpu
            values |= {f"CPU us/{thing}": cpu / count / NS_PER_US, "contender busy": cpu / wall}
        return values

    def _kept_waiting(self) -> tuple[int, int]:
        """Nanoseconds in which the instrument, and the contender, could have run and did not."""
        return waited(os.getpid()), self._processes.kept_waiting() if self._processes else 0


def percentiles(what: str, nanoseconds: Iterable[int]) -> dict[str, float]:
    """The median and the 99th percentile, in milliseconds; nothing of nothing."""
    ordered = sorted(nanoseconds)
    if not ordered:
        return {}
    return {
        f"{what} p50 ms": ordered[len(ordered) // 2] / NS_PER_MS,
        f"{what} p99 ms": ordered[len(ordered) * 99 // 100] / NS_PER_MS,
    }


async def count_orphans(backend: Backend) -> dict[str, float]:
    """How many streams the backend still carries, a while after the last browser left."""
    left, counted = time.monotonic(), {}
    for name, after in ORPHANS_LOOKED_FOR.items():
        await happens(lambda: not backend.streaming, left + after - time.monotonic())
        counted[name] = float(len(backend.streaming))
    return counted
