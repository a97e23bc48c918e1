"""The latest bytes of a stream, and the events in them, by their offset from its beginning."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 1 << 14
"""Bytes after which a new block is begun.

A limit is kept to within the oldest block, which is dropped only as a whole, and the newest bytes, which are no block
yet: two of them, and the chunk that filled the oldest.
"""

_BLANK_LINE = b"\n\n"
"""What Hermes ends a frame with."""


class Mark(NamedTuple):
    """Events that are complete at an offset: the names of those that were looked at, and how many all were."""

    offset: int
    events: tuple[str, ...]
    passed: int


class Retained:
    """Bytes that were appended, of which the oldest can be dropped.

    Attributes:
        begin: Offset of the first byte that is kept.
        end: Offset behind the last one.
    """

    __slots__ = ("_begins", "_blocks", "_marks", "_newest", "begin", "end")

    def __init__(self) -> None:
        self.begin = self.end = 0
        self._blocks: list[bytes] = []
        self._newest: list[bytes] = []
        self._begins = [0]  # of the blocks, and of the newest bytes, which are no block yet
        self._marks: list[Mark] = []

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self.end - self.begin

    @property
    def settled(self) -> int:
        """How many bytes are in whole blocks; the newest ones, fewer than a block's, are not."""
        return self._begins[-1] - self.begin

    def append(self, chunk: bytes) -> bool:
        """Keeps the next bytes; whether they fill a block. Called with every event: it touches few objects."""
        self._newest.append(chunk)
        self.end += len(chunk)
        if self.end - self._begins[-1] < BLOCK:
            return False
        self.seal()
        return True

    def seal(self) -> None:
        """Makes a block of the newest bytes."""
        if self._newest:
            self._blocks.append(b"".join(self._newest))
            self._begins.append(self.end)
            self._newest.clear()

    def mark(self, events: tuple[str, ...], passed: int) -> Mark:
        """Takes note of events that end in the bytes appended last."""
        mark = Mark(self.end, events, passed)
        self._marks.append(mark)
        return mark

    def marks(self, after: int, until: int) -> Iterator[Mark]:
        """The marks behind one offset, up to and including another."""
        for mark in self._marks[bisect_right(self._marks, after, key=_offset) :]:
            if mark.offset > until:
                return
            yield mark

    def read(self, at: int) -> bytes:
        """Bytes from an offset that is kept on: up to the end of their block."""
        number = bisect_right(self._begins, at) - 1
        block = self._blocks[number] if number < len(self._blocks) else b"".join(self._newest)
        return block[at - self._begins[number] :]

    def trim(self, size: int) -> None:
        """Drops the oldest blocks without which `size` bytes stay; see `BLOCK` for how much more that may be."""
        number = 0
        while number < len(self._blocks) and self.end - self._begins[number + 1] >= size:
            number += 1
        if number:
            del self._blocks[:number], self._begins[:number]
            self.begin = self._begins[0]
            del self._marks[: bisect_right(self._marks, self.begin, key=_offset)]

    def clear(self) -> None:
        """Drops all of it."""
        self._blocks.clear()
        self._newest.clear()
        self._begins, self.begin = [self.end], self.end
        self._marks.clear()

    def frames(self) -> tuple[int, bytes]:
        """The offset of the first frame whose beginning is kept, and all from there on."""
        kept = b"".join((*self._blocks, *self._newest))
        first = 0 if self.begin == 0 else kept.find(_BLANK_LINE) + len(_BLANK_LINE)
        return (self.begin + first, kept[first:]) if first != 1 else (self.end, b"")

    def boundary(self, until: int) -> int | None:
        """Offset behind the last frame that is complete at an offset; None if it is not kept any more."""
        begin, kept = self.frames()
        found = kept.rfind(_BLANK_LINE, 0, max(until - begin, 0))
        if found >= 0:
            return begin + found + len(_BLANK_LINE)
        return begin if until >= begin else None


def _offset(mark: Mark) -> int:
    return mark.offset
