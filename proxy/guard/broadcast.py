"""One upstream's bytes, on their way to its browsers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator


class Subscription:
    """One browser's share of a broadcast.

    Args:
        limit: Most bytes that wait for this browser before the upstream is held back (P7).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._backlog: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._error: Exception | None = None
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether everything published so far has been taken."""
        return not self._backlog

    def put(self, chunk: bytes) -> None:
        """Adds a chunk, whatever waits already; `room` says when another one is welcome."""
        if chunk:
            self._backlog.append(chunk)
        self._size += len(chunk)
        self._filled.set()

    async def room(self) -> bool:
        """Waits until less than `limit` bytes are waiting (backpressure); whether there was a wait."""
        full = self._size >= self._limit
        while self._size >= self._limit:
            self._drained.clear()
            await self._drained.wait()
        return full

    def close(self, error: Exception | None = None) -> None:
        """Ends the iteration once the backlog has been taken, by raising `error` if there is one."""
        self._over = True
        self._error = error
        self._filled.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What was published, in as few pieces as it can be taken."""
        while True:
            if self._backlog:
                chunk = b"".join(self._backlog)
                self._backlog.clear()
                self._size = 0
                self._drained.set()
                yield chunk
            elif self._over:
                break
            else:
                self._filled.clear()
                await self._filled.wait()
        if self._error is not None:
            raise self._error


class Broadcast:
    """Joins the reader of an upstream to the browsers that watch it; today there is one of each."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def subscribe(self, limit: int) -> Subscription:
        """Another browser, which gets what is published from now on."""
        subscription = Subscription(limit)
        self._subscriptions.append(subscription)
        return subscription

    async def publish(self, chunk: bytes) -> bool:
        """Gives every browser the chunk, then waits until all have room for another; whether that took a wait."""
        for subscription in self._subscriptions:
            subscription.put(chunk)
        waits = [await subscription.room() for subscription in self._subscriptions]
        return any(waits)

    def close(self, last: bytes = b"", error: Exception | None = None) -> None:
        """Ends every browser's share after what was published and `last`, without waiting for room."""
        for subscription in self._subscriptions:
            subscription.put(last)
            subscription.close(error)
