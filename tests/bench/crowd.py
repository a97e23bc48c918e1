"""Many browsers that watch one turn each."""

import asyncio
import json
import time
from array import array
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from tests.bench.backend import Backend
from tests.bench.browser import Caller, Watcher
from tests.bench.feeds import Feed

T = TypeVar("T")

AT_ONCE = 16
"""How many browsers arrive at the same time."""

_DELIVERY = 20.0
"""Seconds in which all that was written has to have been read."""

LOOK = 0.002
"""Seconds between two looks whether something has happened."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, and the browser that watches it."""

    feed: Feed
    watcher: Watcher


class Crowd:
    """Open streams, each of a session of its own.

    Attributes:
        turns: The streams.
        delays: Nanoseconds that each token was under way; emptied by whoever measures.
    """

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.delays: array[int] = array("q")

    @classmethod
    async def open(cls, port: int, backend: Backend, streams: int) -> Self:
        """Start as many turns, and open their streams.

        Raises:
            BrokenError: one was refused.
        """
        crowd = cls()
        callers = await asyncio.gather(*(Caller.connect(port) for _ in range(min(AT_ONCE, streams))))
        await share_out(range(streams), callers, lambda n, caller: crowd.join(port, backend, caller, n))
        for caller in callers:
            caller.close()
        return crowd

    async def join(self, port: int, backend: Backend, caller: Caller, number: int) -> Turn:
        """One more turn, with a browser that has read its first event."""
        body = b'{"session_id": "session-%d", "message": "Count, please."}' % number
        answer = await caller.ask("POST", "/api/chat/start", body)
        feed = backend.feeds[json.loads(answer)["stream_id"]]
        turn = Turn(feed, await Watcher.open(port, feed.stream_id, self.delays))
        self.turns.append(turn)
        return turn

    @property
    def feeds(self) -> list[Feed]:
        return [turn.feed for turn in self.turns]

    @property
    def pieces(self) -> int:
        """How many pieces the streams have come in so far."""
        return sum(turn.watcher.reading.pieces for turn in self.turns)

    async def read(self, tokens: int) -> bool:
        """Wait until so many tokens have been read in all; whether they came."""
        return await happens(lambda: len(self.delays) >= tokens, _DELIVERY)

    async def finish(self) -> list[str]:
        """Let every turn come to its end, and say what was wrong with its stream."""
        for turn in self.turns:
            turn.feed.finish()
        return await self.conclude()

    async def conclude(self) -> list[str]:
        """Wait until every stream is over, and say what was wrong with it."""
        await asyncio.wait([turn.watcher.ended for turn in self.turns], timeout=_DELIVERY)
        for turn in self.turns:
            turn.watcher.leave()
            turn.watcher.reading.compare(turn.feed)
        return [
            f"stream {number}: {fault}"
            for number, turn in enumerate(self.turns)
            for fault in turn.watcher.reading.faults
        ]


async def share_out(
    items: Iterable[int], callers: Sequence[Caller], work: Callable[[int, Caller], Awaitable[T]]
) -> None:
    """Have the callers do the work on all items, each one after another."""
    waiting = iter(items)

    async def go_on(caller: Caller) -> None:
        for item in waiting:
            await work(item, caller)

    await asyncio.gather(*(go_on(caller) for caller in callers))


async def happens(condition: Callable[[], bool], within: float) -> bool:
    """Wait until something is so; whether it was in so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOOK)
    return True
