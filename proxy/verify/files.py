"""The files of a rotation, oldest first, and what was found in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy.verify.audit import verify
from proxy.verify.lines import Line, Place, TraceError, Violation


class TraceFileError(Exception):
    """A file that is no trace; says which, the line, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A line, and where it is from."""

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        """Such as `trace.jsonl:12`."""
        return f"{self.path}:{self.number}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What files hold, in the order of time, and the violations in it; their lines are counted from 1 in `lines`."""

    lines: tuple[Source, ...]
    violations: tuple[Violation, ...]


def verify_files(paths: Iterable[Path]) -> Findings:
    """Checks the files as one trace, in whatever order they are given.

    A last line without its end is left out: it is being written.

    Raises:
        OSError: a file cannot be read.
        TraceFileError: a file is no trace.
    """
    files = sorted((_read(path) for path in paths), key=lambda file: (file[0].time, file[0].part))
    lines = tuple(line for _, lines in files for line in lines)
    try:
        return Findings(lines, tuple(verify(line.text for line in lines)))
    except TraceError as error:
        raise TraceFileError(f"{lines[error.number - 1]} {error.why}") from error


def _read(path: Path) -> tuple[Place, list[Source]]:
    *whole, _unfinished = path.read_bytes().decode("utf-8", "replace").split("\n")
    try:
        begun = Line.parse(1, whole[0] if whole else "")
        place = Place.of(begun)
    except TraceError as error:
        raise TraceFileError(f"{path}:1 {error.why}; the first line of a trace is trace_begun") from error
    return place, [Source(path, number, text) for number, text in enumerate(whole, 1)]
