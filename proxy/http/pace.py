"""How long a browser keeps everything waiting that is held for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE: Final = 16_384
"""Bytes a second, sent or taken, that make up for any wait."""


def _none() -> int:
    return 0


class Pace:
    """Seconds in which a browser was waited for, less those that its bytes make up for.

    Args:
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_debt", "_progress", "_since", "_waits")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._debt = 0.0
        self._since = 0.0
        self._waits = 0
        self._progress = _none

    @property
    def lateness(self) -> float:
        """What a browser that is waited for now owes, in seconds; 0 for one that is not."""
        return self._owed if self._waits else 0.0

    @property
    def _owed(self) -> float:
        return max(0.0, self._debt + self._clock() - self._since - self._progress() / RATE)

    def moved(self, count: int) -> None:
        """It sent so many bytes, or is about to take them."""
        self._debt = max(0.0, self._debt - count / RATE)

    @contextmanager
    def waiting(self, progress: Callable[[], int] = _none) -> Iterator[None]:
        """It is waited for in here; while it is in two ways, that counts once.

        Args:
            progress: Says how many bytes it has taken meanwhile.
        """
        if not self._waits:
            self._since, self._progress = self._clock(), progress
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if not self._waits:
                self._debt, self._progress = self._owed, _none
