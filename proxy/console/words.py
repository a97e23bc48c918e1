"""How things are said: numbers, durations, and what each step that is missing means. As `page/words.js` does."""

from datetime import datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_EXACT: Final = 10

MISSING: Final = {
    "backend_acked": "Hermes has not accepted it",
    "terminal_seen": "no event has told every tab",
    "answered": "it has not been answered",
    "slot_free": "Hermes' worker has not been seen to end",
}
"""What a step of a Stop that has not happened leaves open."""


def count(number: int, one: str, many: str | None = None) -> str:
    """A number of things."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _EXACT:
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds) // _MINUTE} min {int(seconds) % _MINUTE} s"
    return f"{int(seconds) // _HOUR} h {int(seconds) % _HOUR // _MINUTE} min"


def time_of_day(iso: str) -> str:
    """The time here, such as 14:03:22, of an ISO 8601 time."""
    return f"{datetime.fromisoformat(iso).astimezone():%H:%M:%S}"
