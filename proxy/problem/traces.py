"""The files of a trace: as much of them as a report has room for, and `verify` can still read."""

import json
from collections.abc import Sequence
from typing import Any, Final

KEPT: Final = 20_000
"""Lines kept of all files, the latest."""

Lines = Sequence[dict[str, Any]]


def parsed(text: str) -> Lines:
    """The lines of a file; one that is not whole, or no JSON object, ends it."""
    lines: list[dict[str, Any]] = []
    *whole, _unfinished = text.split("\n")
    for line in whole:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(said, dict):
            break
        lines.append(said)
    return lines


def latest(files: Sequence[tuple[str, Lines]], kept: int = KEPT) -> list[tuple[str, Lines]]:
    """The latest lines of all files, oldest first. If some of a file are left out, a `trace_gap` says how many."""
    found: list[tuple[str, Lines]] = []
    for name, lines in reversed(files):
        if kept <= 0 or not lines:
            break
        found.insert(0, (name, _end(lines, kept)))
        kept -= len(lines)
    return found


def _end(lines: Lines, kept: int) -> Lines:
    if len(lines) <= kept:
        return lines
    cut = len(lines) - kept
    begun = [line for line in lines[: cut + 1] if line.get("event") == "trace_begun"]
    if not begun:
        return lines[cut:]
    gap = {"t": lines[cut].get("t"), "event": "trace_gap", "dropped": cut}
    return [begun[-1], gap, *lines[cut:]]
