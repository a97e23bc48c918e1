"""What happens, as it happens: every watcher takes it at its own pace, and none is ever waited for."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from proxy.events.event import Event
from proxy.events.guard import Observed, WorkersListed, WorkersUnknown
from proxy.events.relays import RelayWrote, UpstreamHeard, UpstreamKept, UpstreamOpened
from proxy.ops.ids import with_short_ids

WATCHERS = 16
"""Most at once (P7: every buffer has a size)."""

BACKLOG = 256
"""Happenings that wait for one watcher (P7)."""

_LONGEST = 200
"""Characters of a text that are told; a path may be longer."""

_UNTOLD: Final[frozenset[type[Event]]] = frozenset(
    {Observed, RelayWrote, UpstreamHeard, UpstreamKept, UpstreamOpened, WorkersListed, WorkersUnknown}
)
"""Reports that come many times a second, and that nobody could follow."""


class TooManyWatchersError(Exception):
    """As many watch already as may."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One report.

    Attributes:
        at: Seconds since the epoch.
        event: Its name.
        fields: Its fields, with ids shortened.
    """

    at: float
    event: str
    fields: dict[str, object]


class Watcher:
    """Somebody who watches, and what waits for them.

    Attributes:
        over: Whether nothing more will come.
    """

    def __init__(self) -> None:
        self.over = False
        self._waiting: deque[Happening] = deque(maxlen=BACKLOG)
        self._lost = 0
        self._filled = asyncio.Event()

    def put(self, happening: Happening) -> None:
        """Has it wait; the oldest that waits is lost if there is no room."""
        self._lost += len(self._waiting) == BACKLOG
        self._waiting.append(happening)
        self._filled.set()

    def end(self) -> None:
        """Nothing more will come."""
        self.over = True
        self._filled.set()

    async def take(self, within: float) -> tuple[int, list[Happening]]:
        """All that waits, and how many were lost before it; nothing if nothing came within so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._filled.wait()
        self._filled.clear()
        taken, lost = list(self._waiting), self._lost
        self._waiting.clear()
        self._lost = 0
        return lost, taken


class Feed:
    """Tells every watcher what is reported.

    Args:
        wall: Seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._watchers: set[Watcher] = set()

    def __call__(self, event: Event, /) -> None:
        """See `proxy.reporting.Report`."""
        if not self._watchers or type(event) in _UNTOLD:
            return
        clipped = {name: _clip(value) for name, value in with_short_ids(event.fields()).items()}
        happening = Happening(self._wall(), event.name, clipped)
        for watcher in self._watchers:
            watcher.put(happening)

    @contextmanager
    def watched(self) -> Iterator[Watcher]:
        """A watcher, for as long as the context lasts.

        Raises:
            TooManyWatchersError: there are as many as may be.
        """
        if len(self._watchers) >= WATCHERS:
            raise TooManyWatchersError
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Ends every watcher."""
        for watcher in self._watchers:
            watcher.end()


def _clip(value: object) -> object:
    return f"{value[:_LONGEST]}…" if isinstance(value, str) and len(value) > _LONGEST else value
