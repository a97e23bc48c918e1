"""Whether turns may begin: they are let in, refused, or held until they are let in again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Literal

from proxy.events.starts import HoldEnded, HoldRefused, TurnHeld
from proxy.guard.order import Order
from proxy.http.errors import DrainingError
from proxy.reporting import Report

MOST_HELD = 64
"""What begins turns is held so often at once; let in, all of them get a slot of the lane `control` within its wait.

Their bodies are bounded like those of all others, by `proxy/http/room.py` and `proxy/guard/spool.py`."""

_COME_BACK = 5
"""Whole seconds: a drain takes as long as the turns that run, and a restart some seconds."""

Rule = Literal["let_in", "refuse", "hold"]

_OUTCOMES: Final[Mapping[Rule, Literal["let_in", "refused", "expired"]]] = {
    "let_in": "let_in",
    "refuse": "refused",
    "hold": "expired",
}
"""Of what was held, by the rule that is in force when its wait ends."""


class Ticket:
    """How one request that begins a turn was met at its arrival.

    Attributes:
        deadline: When it is held no longer, in seconds of the event loop's clock; None if it was let in.
    """

    def __init__(self, admission: "Admission", deadline: float | None) -> None:
        self.deadline = deadline
        self._admission = admission

    @asynccontextmanager
    async def passing(self, session_id: str | None) -> AsyncIterator[None]:
        """Waits until it may go on, and is then under way for as long as the context lasts.

        Raises:
            DrainingError: it was held, and is not let in.
        """
        if self.deadline is not None:
            await self._admission.held_until(self.deadline, session_id)
        with self._admission.order.counted():
            yield

    def vouch(self) -> None:
        """For what cannot be held, as there is no room for its body.

        Raises:
            DrainingError: it would have to be.
        """
        if self.deadline is not None:
            raise _refusal()


class Admission:
    """Lets turns begin, refuses them, or holds them.

    Args:
        order: Counts those that are under way.
        clock: Monotonic seconds, the event loop's.
        report: Told of those that are held.

    Attributes:
        rule: What becomes of those that arrive from now on.
        held: How many are held.
    """

    def __init__(self, order: Order, clock: Callable[[], float], report: Report) -> None:
        self.order = order
        self.rule: Rule = "let_in"
        self.held = 0
        self._clock = clock
        self._report = report
        self._limit = 0.0
        self._changed = asyncio.Event()

    def let_in(self) -> None:
        """From now on; those that are held go on, in the order in which they came."""
        self._change("let_in")

    def refuse(self) -> None:
        """From now on, and those that are held as well."""
        self._change("refuse")

    def hold(self, limit: float) -> None:
        """From now on, each for `limit` seconds at most (P7); those that are held keep the limit they came with."""
        self._limit = limit
        self._change("hold")

    @contextmanager
    def admitted(self) -> Iterator[Ticket]:
        """Meets what begins a turn. One that was let in is under way as long as the context lasts, and goes on.

        Raises:
            DrainingError: turns are refused now.
        """
        if self.rule == "refuse":
            raise _refusal()
        if self.rule == "hold":
            yield Ticket(self, self._clock() + self._limit)
            return
        with self.order.counted():
            yield self.free()

    def free(self) -> Ticket:
        """For what begins no turn, and is let in always."""
        return Ticket(self, None)

    async def held_until(self, deadline: float, session_id: str | None) -> None:
        """Returns once turns are let in.

        Raises:
            DrainingError: they are not at `deadline`, turns are refused, or too many are held already.
        """
        if self.rule == "hold":
            await self._hold(deadline, session_id)
        if self.rule != "let_in":
            raise _refusal()

    async def _hold(self, deadline: float, session_id: str | None) -> None:
        """Waits for another rule, until `deadline` at most; not at all if too many do."""
        if self.held >= MOST_HELD:
            self._report(HoldRefused(session_id))
            return
        began, self.held = self._clock(), self.held + 1
        self._report(TurnHeld(session_id))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    while self.rule == "hold":
                        await self._changed.wait()
        finally:
            self.held -= 1
        self._report(HoldEnded(session_id, _OUTCOMES[self.rule], round(self._clock() - began, 4)))

    def _change(self, rule: Rule) -> None:
        self.rule = rule
        self._changed.set()
        self._changed = asyncio.Event()


def _refusal() -> DrainingError:
    sentence = "No new turn can begin now, as the server is about to restart; try again shortly."
    return DrainingError(sentence, retry_after=_COME_BACK)
