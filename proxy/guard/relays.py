"""The open relays, by stream."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

T = TypeVar("T")


class Revisable(Protocol):
    """An open relay."""

    def revise(self) -> None:
        """What is believed about its stream has changed: its limit may be another now."""


class Relays:
    """Which relays of a stream are open, and which of their browsers have not been told that its turn is over."""

    def __init__(self) -> None:
        self._open: defaultdict[str, set[Revisable]] = defaultdict(set)
        self._untold: defaultdict[str, set[Revisable]] = defaultdict(set)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def opened(self, stream_id: str, relay: Revisable) -> Iterator[Callable[[], None]]:
        """Counts a relay as open for as long as the context lasts.

        Its function is to be called once the browser has been given the event that ends its turn.
        """
        self._open[stream_id].add(relay)
        self._untold[stream_id].add(relay)
        try:
            yield partial(self._tell, stream_id, relay)
        finally:
            _discard(self._open, stream_id, relay)
            self._tell(stream_id, relay)

    def revise(self, stream_id: str) -> None:
        """Has every open relay of the stream look at its limit again."""
        for relay in tuple(self._open.get(stream_id, ())):
            relay.revise()

    @property
    def total(self) -> int:
        """How many relays are open, of whatever stream."""
        return sum(map(len, self._open.values()))

    def count(self, stream_id: str) -> int:
        """How many relays of the stream are open."""
        return len(self._open.get(stream_id, ()))

    async def told(self, stream_id: str) -> None:
        """Waits until every browser of the stream has been told; the caller bounds the wait."""
        await self._until(stream_id, lambda: stream_id not in self._untold)

    async def ended(self, stream_id: str) -> None:
        """Waits until no relay of the stream is open; the caller bounds the wait."""
        await self._until(stream_id, lambda: stream_id not in self._open)

    def _tell(self, stream_id: str, relay: Revisable) -> None:
        _discard(self._untold, stream_id, relay)
        for changed in self._waiting.get(stream_id, ()):
            changed.set()

    async def _until(self, stream_id: str, condition: Callable[[], bool]) -> None:
        changed = asyncio.Event()
        self._waiting[stream_id].add(changed)
        try:
            while not condition():
                changed.clear()
                await changed.wait()
        finally:
            _discard(self._waiting, stream_id, changed)


def _discard(members: defaultdict[str, set[T]], stream_id: str, member: T) -> None:
    if stream_id in members:
        members[stream_id].discard(member)
        if not members[stream_id]:
            del members[stream_id]
