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
    """Browsers that watch turns.

    Attributes:
        name: What it is chosen by.
        streams: How many.
        rates: Bursts a second on each stream, one after another.
        seconds: Length of each.
        relays: Width of the lane for streams.
        burst: Tokens at once.
        weigh: Whether to see what an open stream holds, which takes a contender that has not carried any yet.
        known: Whether a proxy can know whose turns they are; see `Crowd`.
        browsers: How many watch each turn.
    """

    name: str
    streams: int
    rates: tuple[float, ...]
    seconds: float
    relays: int
    burst: int = 1
    weigh: bool = False
    known: bool = True
    browsers: int = 1

    async def run(self, target: Target, backend: Backend, keep: Keep) -> None:
        before = target.processes.private() if target.processes else 0
        crowd = Crowd(target.port, backend, known=self.known, browsers=self.browsers)
        await crowd.arrive(self.streams)
        await asyncio.sleep(_SETTLE)
        opened = percentiles("first byte", (turn.watcher.first_byte for turn in crowd.turns))
        if self.weigh and target.processes is not None:
            opened["KiB/stream"] = (target.processes.private() - before) / len(crowd.turns) / KIB
        keep(Cell(self.opened, opened))
        faults = await _say_the_first_words(crowd)
        for rate in self.rates:
            keep(await self._relay(target, crowd, rate))
        await crowd.finish()
        keep(Cell(self.ended, await count_orphans(backend), [*faults, *crowd.faults]))

    async def _relay(self, target: Target, crowd: Crowd, rate: float) -> Cell:
        del crowd.delays[:]
        pieces = crowd.pieces
        meter = Meter(target)
        written = self.browsers * await stream(crowd.feeds, rate, self.seconds, burst=self.burst)
        whole = await crowd.read(written)
        values = meter.per("event", len(crowd.delays)) | percentiles("event", crowd.delays)
        values |= {"events at once": written / (crowd.pieces - pieces), "streams": self.streams, "rate": rate}
        return Cell(self.relayed(rate), values, [] if whole else [f"{len(crowd.delays)} of {written} tokens came"])

    @property
    def opened(self) -> str:
        """The name of the cell for the open streams."""
        return f"{self.streams} open {self._what}"

    def relayed(self, rate: float) -> str:
        """The name of the cell for one rate."""
        each = f"{rate:g}/s" if self.burst == 1 else f"{self.burst} tokens at once, {rate:g}/s"
        return f"{self.streams} {self._what} x {each}"

    @property
    def ended(self) -> str:
        """The name of the cell for their end."""
        return f"{self.streams} {self._what} ended"

    @property
    def _what(self) -> str:
        each = "" if self.browsers == 1 else f" of {self.browsers} browsers"
        return f"{'' if self.known else 'unknown '}stream{'' if self.streams == 1 else 's'}{each}"


async def _say_the_first_words(crowd: Crowd) -> list[str]:
    """Write one token to each stream, and wait for them; what was wrong.

    A turn's first word may cost a proxy more than its others. It belongs to opening the stream (see `Churn`), and would
    weigh the more on the first load, and on one with more streams.
    """
    del crowd.delays[:]
    for feed in crowd.feeds:
        feed.tokens(1)
    return [] if await crowd.read(len(crowd.turns)) else ["not every stream's first token came"]
