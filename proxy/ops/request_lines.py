"""Lines of the log that every request has: rendered without general machinery, and written in batches.

Every request pays for its line. Two things would make it slow: structlog's chain of processors, which a fixed set of
fields does not need, and one write for each line, which may wake the process that reads the log.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, TextIO

from proxy.events.event import Event
from proxy.ops.ids import with_short_ids

BATCH: Final = 64
"""Lines that are held at most (P7: every buffer has a size)."""

HELD_FOR: Final = 0.1
"""Seconds for which a line is held at most."""

_encode: Final = json.JSONEncoder(default=repr).encode


def as_json(seconds: float, event: Event) -> str:
    """The line that structlog would render for the same report at the level "info".

    Args:
        seconds: When it was reported, since the epoch.
        event: What; session and stream ids are shortened here.
    """
    timestamp = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    return _encode({"timestamp": timestamp, "level": "info", "event": event.name, **with_short_ids(event.fields())})


class BatchHandler(logging.StreamHandler[TextIO]):
    """A handler that is also given reports directly; it writes those in batches while it is `on` a loop.

    The order of lines is kept: held lines are written before any log record. They are written when the handler is
    flushed, too, as `logging` does when the interpreter ends; a crash loses what was held, `HELD_FOR` at most.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._held: deque[tuple[float, Event]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def on(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Lines are held as long as the context lasts, in which `add` is called from this loop only."""
        self._loop = loop
        try:
            yield
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
            self._on_time()

    def add(self, event: Event) -> None:
        """Takes a report. Never raises."""
        self._held.append((time.time(), event))
        if self._loop is None or len(self._held) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(HELD_FOR, self._on_time)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record at once, after what is held."""
        if self._held:
            self.flush()
        super().emit(record)

    def flush(self) -> None:
        """Writes what is held. Never raises."""
        self.acquire()
        try:
            if self._held:
                self.stream.write(self._take_held())
            super().flush()
        except Exception:  # noqa: BLE001 - as in logging's own handlers: lines may be lost, no request is
            self.handleError(logging.makeLogRecord({"msg": "lines of requests"}))
        finally:
            self.release()

    def _on_time(self) -> None:
        self._timer = None
        self.flush()

    def _take_held(self) -> str:
        # Not swapped for an empty one: another thread's record may have it written while the loop adds to it.
        lines = [as_json(*self._held.popleft()) for _ in range(len(self._held))]
        return "\n".join([*lines, ""])
