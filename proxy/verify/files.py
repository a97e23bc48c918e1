"""The files of a rotation, oldest first, and what was found in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from proxy.verify.audit import verify
from proxy.verify.lines import Line, Place, TraceError, Violation

REPORT: Final = "== Hermes Stream Guard: a problem report"
"""The first line of a report, which may hold the files of a trace as sections."""
TRACE: Final = "== trace"
"""How the heading of such a section begins."""
_HEADING: Final = "== "


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
    """Checks the files as one trace, in whatever order they are given; each may also be a problem report.

    A last line without its end is left out: it is being written.

    Raises:
        OSError: a file cannot be read.
        TraceFileError: a file is no trace.
    """
    files = sorted((file for path in paths for file in _read(path)), key=lambda file: (file[0].time, file[0].part))
    lines = tuple(line for _, lines in files for line in lines)
    try:
        return Findings(lines, tuple(verify(line.text for line in lines)))
    except TraceError as error:
        raise TraceFileError(f"{lines[error.number - 1]} {error.why}") from error


def _read(path: Path) -> Iterator[tuple[Place, list[Source]]]:
    """The file, or those in a report."""
    *whole, _unfinished = path.read_bytes().decode("utf-8", "replace").split("\n")
    lines = [Source(path, number, text) for number, text in enumerate(whole, 1)]
    if not lines or lines[0].text != REPORT:
        yield _placed(path, lines)
        return
    traces = list(_sections(lines))
    if not traces:
        raise TraceFileError(
            f"{path}:1 is a report without a trace; set trace.path, and make one when it has happened again"
        )
    yield from (_placed(path, trace) for trace in traces)


def _sections(lines: list[Source]) -> Iterator[list[Source]]:
    """The traces of a report: from their heading to the next, or to the end."""
    headings = [number for number, line in enumerate(lines) if line.text.startswith(_HEADING)]
    for start, end in pairwise([*headings, len(lines)]):
        if lines[start].text.startswith(TRACE):
            yield [line for line in lines[start + 1 : end] if line.text]


def _placed(path: Path, lines: list[Source]) -> tuple[Place, list[Source]]:
    number, text = (lines[0].number, lines[0].text) if lines else (1, "")
    try:
        return Place.of(Line.parse(number, text)), lines
    except TraceError as error:
        raise TraceFileError(f"{path}:{number} {error.why}; the first line of a trace is trace_begun") from error
