"""Streams at a steady pace: what relaying an event costs and adds, and what an open stream holds."""

import asyncio
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.contenders import Target
from tests.bench.crowd import Crowd
from tests.bench.feeds import stream
from tests.bench.measuring import KIB, Cell, Keep, Meter, count_orphans, percentiles

_SETTLE = 0.3
"""Seconds after the last stream was opened before memory is looked at."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Browsers that watch one turn each.

    Attributes:
        name: What it is chosen by.
        streams: How many.
        rates: Bursts a second on each stream, one after another.
        seconds: Length of each.
        relays: Width of the lane for streams.
        burst: Tokens at once.
        weigh: Whether to see what an open stream holds, which takes a contender that has not carried any yet.
    """

    name: str
    streams: int
    rates: tuple[float, ...]
    seconds: float
    relays: int
    burst: int = 1
    weigh: bool = False

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        before = target.processes.private() if target.processes else 0
        crowd = Crowd(target.port, backend)
        await crowd.arrive(self.streams)
        await asyncio.sleep(_SETTLE)
        opened = percentiles("first byte", (turn.watcher.first_byte for turn in crowd.turns))
        if self.weigh and target.processes is not None:
            opened["KiB/stream"] = (target.processes.private() - before) / self.streams / KIB
        keep(Cell(self.opened, opened))
        for rate in self.rates:
            keep(await self._relay(target, crowd, rate))
        await crowd.finish()
        keep(Cell(self.ended, await count_orphans(backend), crowd.faults))

    async def _relay(self, target: Target, crowd: Crowd, rate: float) -> Cell:
        del crowd.delays[:]
        pieces = crowd.pieces
        meter = Meter(target)
        written = await stream(crowd.feeds, rate, self.seconds, burst=self.burst)
        whole = await crowd.read(written)
        values = meter.per("event", len(crowd.delays)) | percentiles("event", crowd.delays)
        values |= {"events at once": written / (crowd.pieces - pieces), "streams": self.streams, "rate": rate}
        return Cell(self.relayed(rate), values, [] if whole else [f"{len(crowd.delays)} of {written} tokens came"])

    @property
    def opened(self) -> str:
        """The name of the cell for the open streams."""
        return _counted(self.streams, "open stream")

    def relayed(self, rate: float) -> str:
        """The name of the cell for one rate."""
        each = f"{rate:g}/s" if self.burst == 1 else f"{self.burst} tokens at once, {rate:g}/s"
        return f"{_counted(self.streams, 'stream')} x {each}"

    @property
    def ended(self) -> str:
        """The name of the cell for their end."""
        return f"{_counted(self.streams, 'stream')} ended"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
