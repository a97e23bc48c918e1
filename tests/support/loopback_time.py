"""Time that passes only while nothing else happens, for tests over the loopback interface.

A test of the whole proxy waits for limits to run out and for the stand-in to say its next word. Here neither takes
long, and since work takes no time at all, a busy machine makes nothing late. A test that measures how long the proxy
works needs a true clock: it carries the mark `realtime`.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, TypeVarTuple, Unpack

import pytest

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

HASTE = 20
"""A wait of 1 s takes one part in so many of a second. In that time a byte has to reach the other end, which it does at
once on the loopback interface."""

TURN = 1e-4
"""Seconds that a turn of the loop takes, so that what happens in two of them happens at two times."""


class _Brief(selectors.DefaultSelector):
    """Waits for a fraction of what it is told to, and counts the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = time.monotonic()
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready. How long a thread takes nobody knows, and so nothing is cut while one runs."""
        ready = super().select(timeout if timeout is None or self.threads else timeout / HASTE)
        self.passed += TURN if ready or timeout is None else max(timeout, TURN)
        return ready


class LoopbackTimeLoop(asyncio.SelectorEventLoop):
    """An event loop for a test whose sockets have both ends in this process.

    `time.monotonic` is its clock until it is closed, as the stand-in reads that.
    """

    def __init__(self) -> None:
        self._brief = _Brief()
        super().__init__(self._brief)
        self._monotonic = time.monotonic
        time.monotonic = self.time

    def time(self) -> float:
        """The seconds that were waited for, since some time in the past."""
        return self._brief.passed

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """As ever, in a thread."""
        self._brief.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._is_back)
        return future

    def close(self) -> None:
        """Ends it, and gives the time back."""
        if not self.is_closed():
            time.monotonic = self._monotonic
        super().close()

    def _is_back(self, _: asyncio.Future[Any]) -> None:
        self._brief.threads -= 1


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Runs every test of a folder on such a loop, if its conftest.py imports this; though not what measures time."""
    return {"asyncio": asyncio.new_event_loop if item.get_closest_marker("realtime") else LoopbackTimeLoop}
