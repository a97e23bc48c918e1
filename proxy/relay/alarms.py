"""Waking those who wait for a time that is far away."""

import asyncio
from collections.abc import Callable

NEAR = 2.0
"""Seconds: whoever waits for longer is woken this long before its time at the latest, and sets a timer of its own."""


class FarAlarms:
    """One timer for all who wait for long: a timer of the event loop's is half a kilobyte."""

    def __init__(self) -> None:
        self._waiting: dict[object, tuple[float, Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, who: object, at: float, wake: Callable[[], None]) -> None:
        """Calls `wake` some time before `at`, once, in seconds of the event loop's clock."""
        self._waiting[who] = at, wake
        if self._timer is None:
            self._look_later()

    def cancel(self, who: object) -> None:
        """Whoever it is waits no more."""
        self._waiting.pop(who, None)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(NEAR / 2, self._look)

    def _look(self) -> None:
        self._look_later()
        near = asyncio.get_running_loop().time() + NEAR
        for who, (at, wake) in tuple(self._waiting.items()):
            if at <= near:
                self.cancel(who)
                wake()
