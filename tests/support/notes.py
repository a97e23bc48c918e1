"""What the guard's parts are given in their unit tests: a report that is kept, and beliefs in memory."""

import asyncio
from dataclasses import replace
from typing import Any

from proxy.events.event import Event
from proxy.ownership.limits import Limits, Live
from proxy.ownership.ownership import Ownership
from proxy.store.memory import MemoryStore


class Notes:
    """Keeps what is reported, as `proxy.reporting.Report`."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: Event, /) -> None:
        self.said.append((event.name, event.fields()))

    def of(self, event: str) -> list[dict[str, object]]:
        """The fields of every report of that name."""
        return [fields for name, fields in self.said if name == event]


def ownership(notes: Notes) -> Ownership:
    """Nothing is believed yet, and effects mean nothing; to be made on a running loop, whose clock it takes."""
    clock = asyncio.get_running_loop().time
    believed = Ownership(MemoryStore(clock, sessions=100, forget_after=1e6), clock, notes)
    believed.carry_out = lambda _effect: None
    return believed


_LIMITS = Limits(
    settle_timeout=10.0,
    linger=5.0,
    answer_timeout=1.0,
    answer_gap=0.015,
    log=1 << 20,
    log_keep=60.0,
    reattach=0.0,
    stop_timeout=30.0,
    idle_timeout=90.0,
    buffer=1 << 20,
    start_body_limit=8 << 20,
    repeat_starts=True,
)


def live(**limits: Any) -> Live:
    """The limits in force: those that are named, and the defaults."""
    return Live(replace(_LIMITS, **limits))
