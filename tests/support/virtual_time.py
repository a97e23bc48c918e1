"""Time that passes only while nothing else happens, so that waits are exact and cost nothing."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


_MOST_TURNS = 1000
_TICK = 1e-9
"""After so many turns at one time, it goes on by so many seconds. asyncio calls a timer up to this much too early, and
whoever then sets it again, for the rest of its time, would have no time pass by."""


class _Idle(selectors.DefaultSelector):
    """Counts the seconds that a loop means to wait, in place of waiting for them."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now.

        Raises:
            AssertionError: nothing is, and no timer is set: every task waits for what never comes.
        """
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits, and nothing will ever happen"
            self._turns = 0 if timeout > 0 else self._turns + 1
            self.waited += max(timeout, _TICK if self._turns > _MOST_TURNS else 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 and jumps to the next timer whenever nothing is ready. No sockets."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        """Seconds that were waited for so far."""
        return self._idle.waited


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs an asynchronous test on a `VirtualTimeLoop` of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
