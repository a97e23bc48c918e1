"""Three ways to the backend, each with a bound, so that none can starve another.

Hermes serves 128 requests at once, and every open event stream holds one (F7). Without bounds
128 idle tabs keep a Stop from getting through.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from proxy.http.errors import NoCapacityError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

RETRY_AFTER: Final = (2, 6)
"""Seconds between which ``Retry-After`` is drawn."""


class Lane(Enum):
    """What a request is to the backend's threads."""

    CONTROL = "control"
    """Start, cancel, status, health: short, and never behind the others."""
    CALLS = "calls"
    """Everything else that is answered and done with."""
    RELAYS = "relays"
    """Long-lived: event streams and WebSockets."""


DEFAULT_BOUNDS: Final[Mapping[Lane, int]] = MappingProxyType({Lane.CONTROL: 16, Lane.CALLS: 24, Lane.RELAYS: 80})
"""Together 120, under the backend's 128 with room for idle connections (F7)."""


class Lanes:
    """Slots of the three lanes.

    Args:
        bounds: Slots a lane; together under 128.
        wait: Seconds that a request of ``CONTROL`` or ``CALLS`` waits for a slot of its own lane.
            One of ``RELAYS`` does not wait: what holds that lane may hold it for hours.
        jitter: Returns a number in [0, 1).
    """

    def __init__(
        self,
        bounds: Mapping[Lane, int] = DEFAULT_BOUNDS,
        *,
        wait: float = 5.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._bounds = {lane: bounds[lane] for lane in Lane}
        self._slots = {lane: asyncio.Semaphore(bound) for lane, bound in self._bounds.items()}
        self._in_use = dict.fromkeys(Lane, 0)
        self._wait = wait
        self._jitter = jitter

    def in_use(self, lane: Lane) -> int:
        """How many slots of a lane are taken."""
        return self._in_use[lane]

    @asynccontextmanager
    async def slot(self, lane: Lane) -> AsyncIterator[None]:
        """One slot of ``lane``, for as long as the context lasts.

        Raises:
            NoCapacityError: there is none: at once for ``RELAYS``, after ``wait`` for the others (P7).
        """
        await self._take(lane)
        self._in_use[lane] += 1
        try:
            yield
        finally:
            self._in_use[lane] -= 1
            self._slots[lane].release()

    async def _take(self, lane: Lane) -> None:
        slots = self._slots[lane]
        if lane is Lane.RELAYS and slots.locked():
            raise self._busy(lane)
        try:
            async with asyncio.timeout(self._wait):
                await slots.acquire()
        except TimeoutError:
            raise self._busy(lane) from None

    def _busy(self, lane: Lane) -> NoCapacityError:
        low, high = RETRY_AFTER
        return NoCapacityError(
            f"All {self._bounds[lane]} connections for {lane.value} are in use; try again shortly.",
            retry_after=low + int(self._jitter() * (high - low + 1)),
        )
