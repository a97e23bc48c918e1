"""Waiting for one's turn: one start at a time in a session, in the order in which they arrived."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """A fair lock for each session that has a start under way."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def turn(self, session_id: str, deadline: float) -> AsyncIterator[bool]:
        """This session's turn for as long as the context lasts; False if it had not come by the deadline (P7)."""
        queue = self._queues.setdefault(session_id, _Queue())
        queue.users += 1
        in_order = False
        try:
            in_order = await _acquire(queue.lock, deadline)
            yield in_order
        finally:
            if in_order:
                queue.lock.release()
            queue.users -= 1
            if not queue.users:
                del self._queues[session_id]


async def _acquire(lock: asyncio.Lock, deadline: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline):
            return await lock.acquire()
    except TimeoutError:
        return False
