"""The open relays, by stream."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Revisable(Protocol):
    """An open relay."""

    def revise(self) -> None:
        """What is believed about its stream has changed: its limit may be another now."""


class Relays:
    """Which relays of a stream are open, and how many of their browsers have not been told that its turn is over."""

    def __init__(self) -> None:
        self._open: defaultdict[str, list[Revisable]] = defaultdict(list)
        self._untold: Counter[str] = Counter()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def opened(self, stream_id: str, relay: Revisable) -> "Opened":
        """Counts a relay as open for as long as the context lasts.

        Its function is to be called once the browser has been given the event that ends its turn.
        """
        return Opened(self, stream_id, relay)

    def add(self, stream_id: str, relay: Revisable) -> None:
        """One more is open, whose browser has not been told."""
        self._open[stream_id].append(relay)
        self._untold[stream_id] += 1

    def tell(self, stream_id: str) -> None:
        """One browser more has been told, or will not be."""
        self._untold[stream_id] -= 1
        if not self._untold[stream_id]:
            del self._untold[stream_id]
        self._changed(stream_id)

    def remove(self, stream_id: str, relay: Revisable) -> None:
        """One is not open any more."""
        self._open[stream_id].remove(relay)
        if not self._open[stream_id]:
            del self._open[stream_id]
        self._changed(stream_id)

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

    def _changed(self, stream_id: str) -> None:
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


class Opened:
    """An open relay, as a context."""

    __slots__ = ("_is_told", "_relay", "_relays", "_stream_id")

    def __init__(self, relays: Relays, stream_id: str, relay: Revisable) -> None:
        self._relays = relays
        self._stream_id = stream_id
        self._relay = relay
        self._is_told = False

    def __enter__(self) -> Callable[[], None]:
        self._relays.add(self._stream_id, self._relay)
        return self.tell

    def tell(self) -> None:
        """Its browser has been given the event that ends its turn, if it was not before."""
        if not self._is_told:
            self._is_told = True
            self._relays.tell(self._stream_id)

    def __exit__(self, *_: object) -> None:
        self._relays.remove(self._stream_id, self._relay)
        self.tell()


def _discard(members: defaultdict[str, set[T]], stream_id: str, member: T) -> None:
    if stream_id in members:
        members[stream_id].discard(member)
        if not members[stream_id]:
            del members[stream_id]
