"""Where a browser that comes back goes on in a turn's stream, read as Hermes reads it."""

import re
from typing import NamedTuple

from proxy.hermes.contract import split
from proxy.hermes.events import is_terminal

_BLANK_LINE = b"\n\n"
_LONGEST = 18
"""Digits of an event's number."""


def resume_after(target: str, last_event_id: str) -> int | None:
    """The number of the last event that the browser has; 0 to begin at the beginning, None to begin now (F12).

    Hermes numbers the events of a turn from 1, in their ids: `STREAM:NUMBER`. What the target says counts before the
    header; a cursor that Hermes could not use has it begin at the beginning.

    Args:
        target: The request's target, of `GET /api/chat/stream`.
        last_event_id: Its `Last-Event-ID`, or nothing.
    """
    _, query = split(target)
    stream_id, event_id = _first(query, "stream_id"), _first(query, "after_event_id").strip()
    if not (event_id or _first(query, "after_seq") or _first(query, "replay")):
        return _number_in(last_event_id.strip(), stream_id) if last_event_id.strip() else None
    if ":" in event_id:
        return _number_in(event_id, stream_id)
    return _number(_first(query, "after_seq"))


def _first(query: dict[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0]


def _number_in(event_id: str, stream_id: str) -> int:
    stream, _, number = event_id.rpartition(":")
    return _number(number) if stream == stream_id else 0


def _number(said: str) -> int:
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _LONGEST else 0


def place(data: bytes, stream_id: str, after: int) -> int | None:
    """Offset in `data` from where a browser that has the event of that number goes on; None if they do not tell.

    It goes on behind the last event of that number. Not counted are those that have no number of their own, but that of
    the event before them, as `cancel` (F11): the browser may not have them. Releases before v0.51.294 write the number
    of the last event that they know of, so that several may have one; the browser is taken to have all of these but one
    that ends the stream, without which it would come back for ever.

    Args:
        data: Frames of the stream, of which the last one may be unfinished.
        stream_id: Of the turn.
        after: The event's number, or 0 for the beginning of the turn.
    """
    spelled = _spelled(stream_id)
    last = _last_up_to(data, spelled, after)
    if last is None:
        first = _next(data, spelled, 0)
        return 0 if first is not None and first.number == after + 1 else None
    if last.number < after and _next(data, spelled, last.end) is None:
        return None
    before = _last_up_to(data, spelled, last.number - 1)
    return _behind(data, spelled, before, last)


def _behind(data: bytes, spelled: re.Pattern[bytes], before: "_Numbered | None", last: "_Numbered") -> int:
    """Offset behind the last frame up to `last` that the browser has, of those with its number."""
    behind, at, number = 0, 0, None
    if before is not None:
        behind, at, number = before.end, before.end, before.number
    while at < last.end and (frame := _next(data, spelled, at)) is not None:
        if not frame.is_extra(number):
            behind = frame.end
        at, number = frame.end, frame.number
    return behind


def _last_up_to(data: bytes, spelled: re.Pattern[bytes], number: int) -> "_Numbered | None":
    """The last frame that has that number or a smaller one, found by halving: numbers grow from frame to frame."""
    low, high, last = 0, len(data), None
    while low < high:
        middle = (low + high) // 2
        frame = _next(data, spelled, middle)
        if frame is None or frame.number > number:
            high = middle
        else:
            low, last = frame.end, frame
    return last


_UNNUMBERED = frozenset({b"cancel", b"bg_task_complete", b"process_complete"})
"""Events that are sent with the number of the event before them."""


class _Numbered(NamedTuple):
    """A whole frame that has a number, and where it ends."""

    number: int
    event: bytes
    end: int

    def is_extra(self, last: int | None) -> bool:
        """Whether a browser that has the frame before, with the number `last`, may not have this one of that number."""
        ends_the_stream = is_terminal(self.event.decode("utf-8", "replace"))
        return self.event in _UNNUMBERED or (ends_the_stream and self.number == last)


def _spelled(stream_id: str) -> re.Pattern[bytes]:
    return re.compile(
        rb"^id: %b:(\d{1,%d})\nevent: ([^\n]*)\n" % (re.escape(stream_id.encode()), _LONGEST), re.MULTILINE
    )


def _next(data: bytes, spelled: re.Pattern[bytes], at: int) -> _Numbered | None:
    """The first whole frame with a number that begins at an offset or behind it."""
    found = spelled.search(data, at)
    end = data.find(_BLANK_LINE, found.end() - 1) if found else -1
    return _Numbered(int(found[1]), found[2], end + len(_BLANK_LINE)) if found and end >= 0 else None
