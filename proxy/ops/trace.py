"""The trace: one JSON line for each thing that matters to the promises P1-P11; `proxy.verify` reads it."""

import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from proxy import __version__
from proxy.events.event import Event
from proxy.events.process import (
    DrainBegan,
    DrainResumed,
    DrainSettled,
    DrainTimedOut,
    Reloaded,
    ReloadRefused,
    Started,
    TraceBegun,
    TraceGap,
)
from proxy.events.requests import RequestEnded, RequestRefused, RequestSlow
from proxy.reporting import Report

log = logging.getLogger(__name__)

UNTRACED: Final[frozenset[type[Event]]] = frozenset(
    {
        *(RequestEnded, RequestSlow, RequestRefused),
        *(Started, Reloaded, ReloadRefused),
        *(DrainBegan, DrainSettled, DrainResumed, DrainTimedOut),
    }
)
"""What says nothing of the promises; the log has it."""


def fan_out(*reports: Report) -> Report:
    """One report that tells all of `reports`, in their order."""

    def report(event: Event, /) -> None:
        for each in reports:
            each(event)

    return report


def leaving_out(kinds: frozenset[type[Event]], told: Report) -> Report:
    """A report that tells `told` of everything but these kinds, whatever it would make of them."""

    def report(event: Event, /) -> None:
        if type(event) not in kinds:
            told(event)

    return report


class Trace:
    """Writes what the guard reports, and rotates by size: `path` is the newest file, `path.1` the one before it.

    Every line is `{"t": seconds of the clock, "event": …, fields…}`, and goes to the system in one write: nothing is
    buffered here, so a crash loses nothing and no timer is needed. A write to a local disk's cache takes microseconds;
    a disk that refuses it costs the line, never the request. What was lost is counted, and told by a `trace_gap` once
    writing works again. The first line of a file, and of a process in a file that it goes on with, is `trace_begun`.

    Ids are written as they are, for operators to match, so the files are the owner's alone to read.

    Args:
        path: Of the newest file.
        max_size: Bytes at which a file is rotated.
        keep: Rotated files that are kept.
        clock: Monotonic seconds; the same one that the guard uses.
        settings: The limits in force, in seconds and counts; `verify` measures by them.

    Attributes:
        dropped: Events that could not be written so far.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self, path: Path, *, max_size: int, keep: int, clock: Callable[[], float], settings: Mapping[str, float]
    ) -> None:
        self.dropped = 0
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self._clock = clock
        self._settings = dict(settings)
        self._run = secrets.token_hex(4)
        self._part = 0
        self._untold = 0
        self._file: int | None = None
        self._size = 0
        if _is_torn(path):
            self._shift()
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; what is reported afterwards opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def measure_by(self, settings: Mapping[str, float]) -> None:
        """The limits in force from now on; if they are others, a new part begins with the next event."""
        if settings != self._settings:
            self._settings = dict(settings)
            self.close()

    def __call__(self, event: Event, /) -> None:
        """Writes one event, unless it is `UNTRACED`. Never raises; see `proxy.reporting.Report`."""
        if type(event) in UNTRACED:
            return
        line = self._line(event)
        try:
            file = self._room_for(len(line))
            if self._untold:
                self._write(file, self._line(TraceGap(self._untold)))
                self._untold = 0
            self._write(file, line)
        except OSError as error:
            self._drop(error)

    def _line(self, event: Event) -> bytes:
        said = {"t": round(self._clock(), 6), "event": event.name, **event.fields()}
        return json.dumps(said, separators=(",", ":"), default=str).encode() + b"\n"

    def _room_for(self, count: int) -> int:
        """The open file, a new one if the line would be too much for the last one."""
        if self._file is not None and self._size + count > self._max_size:
            self.close()
            self._shift()
        return self._begin() if self._file is None else self._file

    def _shift(self) -> None:
        """`path.2` becomes `path.3`, `path.1` becomes `path.2`, `path` becomes `path.1`; the last one goes."""
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, self._keep + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)

    def _begin(self) -> int:
        file = self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(file).st_size
        self._part += 1
        begun = TraceBegun(__version__, self._run, self._part, round(time.time(), 3), self._settings)
        try:
            self._write(file, self._line(begun))
        except OSError:
            self.close()  # no line without that one before it
            raise
        return file

    def _write(self, file: int, line: bytes) -> None:
        """Appends a whole line or nothing.

        Raises:
            OSError: nothing was written.
        """
        if os.write(file, line) != len(line):
            os.ftruncate(file, self._size)
            raise OSError(f"no room for a whole line in {self._path}")
        self._size += len(line)

    def _drop(self, error: OSError) -> None:
        if not self.dropped:
            log.error("the trace cannot be written, its events are dropped until it can: %s", error)
        self.dropped += 1
        self._untold += 1


def _is_torn(path: Path) -> bool:
    """Whether the file ends within a line, as a crash of the machine may leave it."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
