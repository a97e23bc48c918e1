"""Three ways to the backend, each with a bound, so that none can starve another.

Hermes serves 128 requests at once, and every open event stream holds one (F7). Without bounds 128 idle tabs keep a
Stop from getting through. While requests wait, the client with the fewest slots is served next, and whoever holds a
slot for a browser that is late loses it (`slots.py`).
"""

from __future__ import annotations

import asyncio
import random
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from proxy.http.errors import NoCapacityError
from proxy.http.upstream.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.http.upstream.slots import Holder

RETRY_AFTER: Final = (2, 6)
"""Smallest and largest ``Retry-After``, in seconds; each answer draws one, so that clients do not return together."""


RELIEF: Final = 1.0
"""Seconds that a new stream waits for a slot, once a relay with a late browser was told to give up its own."""


class Lane(StrEnum):
    """The kind of a request, by how long it keeps one of the backend's threads busy."""

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
            One of ``RELAYS`` is refused at once, as what holds that lane may hold it for hours, unless a relay with
            a late browser can be ended; then it waits for at most `RELIEF`.
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
        self._slots = {lane: Slots(bounds[lane]) for lane in Lane}
        self._jitter = jitter

    def in_use(self, lane: Lane) -> int:
        """How many slots of a lane are taken."""
        return self._slots[lane].in_use

    def bound(self, lane: Lane) -> int:
        """How many slots a lane has."""
        return self._slots[lane].bound

    def resize(self, bounds: Mapping[Lane, int]) -> None:
        """Other bounds from now on. Requests that are over a smaller bound are still finished."""
        for lane, slots in self._slots.items():
            slots.resize(bounds[lane])

    def take_at_once(self, lane: Lane, who: Holder | None = None) -> bool:
        """Take one slot of ``lane``, if one is free that nobody waits for; ``who`` as in `take`."""
        return self._slots[lane].take_at_once(who)

    async def take(self, lane: Lane, who: Holder | None = None) -> None:
        """Take one slot of ``lane`` for a request; the caller has to give it back.

        Slots are shared out by the client of ``who``, which is told to give way if others need its slot.

        Raises:
            NoCapacityError: there is none after ``wait`` (P7); for ``RELAYS`` at once, or after `RELIEF`.
        """
        slots = self._slots[lane]
        if slots.take_at_once(who):
            return
        if lane is Lane.RELAYS and not slots.relieve(1):
            raise self._busy(lane)
        try:
            async with asyncio.timeout(RELIEF if lane is Lane.RELAYS else self.wait):
                await slots.take(who)
        except TimeoutError:
            raise self._busy(lane) from None

    def hand_over(self, lane: Lane, before: Holder | None, after: Holder) -> None:
        """The slot of one is held for another from now on."""
        self._slots[lane].hand_over(before, after)

    def give_back(self, lane: Lane, who: Holder | None = None) -> None:
        """Give back one slot of ``lane``, which was taken for ``who``."""
        self._slots[lane].give_back(who)

    def _busy(self, lane: Lane) -> NoCapacityError:
        low, high = RETRY_AFTER
        return NoCapacityError(
            f"All {self.bound(lane)} connections for {lane.value} are in use; try again shortly.",
            retry_after=low + int(self._jitter() * (high - low + 1)),
        )
