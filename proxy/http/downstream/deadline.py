"""How long a browser may take for what it does next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """One time by which something has to happen, or something else does."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float, otherwise: Callable[[], None]) -> None:
        """From now on so many seconds, in place of what was set before."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, otherwise)

    def cancel(self) -> None:
        """It has happened."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def set_for_progress(self, seconds: float, left: Callable[[], int], otherwise: Callable[[], None]) -> None:
        """As `set`, and again as long as there is less ``left`` each time."""
        before = left()

        def look() -> None:
            if left() < before:
                self.set_for_progress(seconds, left, otherwise)
            else:
                otherwise()

        self.set(seconds, look)
