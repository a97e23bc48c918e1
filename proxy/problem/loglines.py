"""Lines of a log: which are of use, and what is told of those that are not."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

KEPT: Final = 500
"""Lines kept, the latest."""


@dataclass(frozen=True, slots=True)
class LogLines:
    """What a log said.

    Attributes:
        lines: Those of use, oldest first.
        seen: How many lines there were.
        unread: How many of them were not JSON.
    """

    lines: tuple[Mapping[str, Any], ...]
    seen: int
    unread: int


def read_log(lines: Iterable[str]) -> LogLines:
    """The lines of use, whatever journald or Docker put before each."""
    kept: deque[Mapping[str, Any]] = deque(maxlen=KEPT)
    seen = unread = 0
    for line in lines:
        said = _parsed(line)
        seen += 1
        unread += said is None
        if said is not None and not _is_routine(said):
            kept.append(said)
    return LogLines(tuple(kept), seen, unread)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        said = json.loads(line[line.index("{") :])
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _is_routine(said: Mapping[str, Any]) -> bool:
    """A request that nothing is remarkable about, of which there are thousands."""
    status = said.get("status")
    fine = isinstance(status, int) and status < HTTPStatus.INTERNAL_SERVER_ERROR
    return said.get("event") == "request_ended" and said.get("error") is None and fine
