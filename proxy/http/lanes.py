"""Three ways to the backend, each with a bound, so that none can starve another.

Hermes serves 128 requests at once, and every open event stream holds one (F7). Without bounds
128 idle tabs keep a Stop from getting through.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from proxy.http.errors import NoCapacityError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

    Attributes:
        wait: As above; holds for whoever comes from now on.
    """

    def __init__(
        self,
        bounds: Mapping[Lane, int] = DEFAULT_BOUNDS,
        *,
        wait: float = 10.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.wait = wait
        self._slots = {lane: _Slots(bounds[lane]) for lane in Lane}
        self._jitter = jitter

    def in_use(self, lane: Lane) -> int:
        """How many slots of a lane are taken."""
        return self._slots[lane].in_use

    def bound(self, lane: Lane) -> int:
        """How many slots a lane has."""
        return self._slots[lane].bound

    def resize(self, bounds: Mapping[Lane, int]) -> None:
        """Other bounds from now on. What a smaller lane has too many of in use goes on to its end."""
        for lane, slots in self._slots.items():
            slots.resize(bounds[lane])

    async def take(self, lane: Lane) -> None:
        """Take one slot of ``lane``, which is to be given back.

        Raises:
            NoCapacityError: there is none: at once for ``RELAYS``, after ``wait`` for the others (P7).
        """
        slots = self._slots[lane]
        if slots.take_at_once():
            return
        if lane is Lane.RELAYS:
            raise self._busy(lane)
        try:
            async with asyncio.timeout(self.wait):
                await slots.take()
        except TimeoutError:
            raise self._busy(lane) from None

    def give_back(self, lane: Lane) -> None:
        """Give back one slot of ``lane``."""
        self._slots[lane].give_back()

    def _busy(self, lane: Lane) -> NoCapacityError:
        low, high = RETRY_AFTER
        return NoCapacityError(
            f"All {self.bound(lane)} connections for {lane.value} are in use; try again shortly.",
            retry_after=low + int(self._jitter() * (high - low + 1)),
        )


class _Slots:
    """A semaphore whose bound may change. First come, first served."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_full(self) -> bool:
        return self.in_use >= self.bound

    def resize(self, bound: int) -> None:
        self.bound = bound
        self._serve()

    def take_at_once(self) -> bool:
        """A slot, if there is one that nobody waits for."""
        if self.is_full or self._waiting:
            return False
        self.in_use += 1
        return True

    async def take(self) -> None:
        """A slot, once there is one; the caller bounds the wait."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        self._serve()
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it was served in the same moment
                self.give_back()
            raise
        finally:
            self._waiting.remove(mine)

    def give_back(self) -> None:
        self.in_use -= 1
        self._serve()

    def _serve(self) -> None:
        for waiting in self._waiting:
            if self.is_full:
                return
            if not waiting.done():
                self.in_use += 1
                waiting.set_result(None)
