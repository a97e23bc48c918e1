"""Slots: who has them, who waits for them, and who gives way to those who wait."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from proxy.http.errors import CrowdedOutError

if TYPE_CHECKING:
    from proxy.http.errors import ProxyError

GRACE: Final = 1.0
"""Seconds for which a browser may be late while others wait for what it holds."""

LOOK_AGAIN: Final = 0.25
"""Seconds between looks at who is late, while somebody waits."""

RETRY_AFTER: Final = 5
"""Whole seconds."""


class Holder(Protocol):
    """Who holds a slot: a request, or an event stream that several browsers follow."""

    @property
    def client(self) -> str:
        """The client that it counts for."""

    @property
    def lateness(self) -> float:
        """Seconds for which whoever it is held for has neither sent nor taken what is due; 0 if nothing is."""

    def give_way(self, error: ProxyError, /) -> None:
        """Others need the slot: whatever it is held for ends with `error`."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    served: asyncio.Future[None]
    who: Holder | None
    client: str


class Slots:
    """A semaphore whose bound may change, shared among clients while some of them wait.

    The next slot goes to the client that has fewest, and to the one of its requests that came first. Whoever holds one
    for a browser that neither sends nor takes what is due loses it, those first whose client has most.

    Args:
        bound: How many there are.

    Attributes:
        bound: As above.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._holders: list[Holder | None] = []
        self._waiting: deque[_Waiting] = deque()
        self._leaving: set[Holder] = set()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def in_use(self) -> int:
        """How many are taken."""
        return len(self._holders)

    @property
    def is_full(self) -> bool:
        """Whether none is free."""
        return self.in_use >= self.bound

    def resize(self, bound: int) -> None:
        """Another bound from now on."""
        self.bound = bound
        self._serve()

    def take_at_once(self, who: Holder | None) -> bool:
        """A slot, if there is one that nobody waits for."""
        if len(self._holders) >= self.bound or self._waiting:
            return False
        self._holders.append(who)
        return True

    async def take(self, who: Holder | None) -> None:
        """A slot, once there is one; the caller bounds the wait."""
        served = asyncio.get_running_loop().create_future()
        mine = _Waiting(served, who, who.client if who else "")
        self._waiting.append(mine)
        self._serve()
        self._look()
        try:
            await served
        except asyncio.CancelledError:
            if not served.cancelled():  # it was served in the same moment
                self.give_back(who)
            raise
        finally:
            self._waiting.remove(mine)

    def give_back(self, who: Holder | None) -> None:
        """One slot less for ``who``."""
        self._holders.remove(who)
        if who is not None and who not in self._holders:
            self._leaving.discard(who)
        self._serve()

    def hand_over(self, before: Holder | None, after: Holder) -> None:
        """The slot of one is held for another from now on."""
        self._holders.remove(before)
        self._holders.append(after)

    def relieve(self, count: int) -> bool:
        """Have so many of those who hold slots for late browsers give way; whether any does by now."""
        late = {who for who in self._holders if who is not None and who.lateness >= GRACE} - self._leaving
        shares = self._shares()
        by_share = sorted(late, key=lambda who: (shares[who.client], who.lateness), reverse=True)
        for who in by_share[: max(0, count - len(self._leaving))]:
            self._leaving.add(who)
            who.give_way(CrowdedOutError("Others waited while this did not get on.", retry_after=RETRY_AFTER))
        return bool(self._leaving)

    def _look(self) -> None:
        """While somebody waits, see again and again who is late."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        count = sum(not each.served.done() for each in self._waiting)
        if count:
            self.relieve(count)
            self._watch = asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look)

    def _serve(self) -> None:
        while not self.is_full and (following := self._following()) is not None:
            self._holders.append(following.who)
            following.served.set_result(None)

    def _following(self) -> _Waiting | None:
        waiting = [each for each in self._waiting if not each.served.done()]
        if not waiting:
            return None
        shares = self._shares()
        return min(waiting, key=lambda each: shares[each.client])

    def _shares(self) -> Counter[str]:
        """How many slots each client has."""
        return Counter(who.client for who in self._holders if who is not None)
