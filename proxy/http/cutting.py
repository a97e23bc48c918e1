"""Cutting what is read behind every message head. Pure.

aiohttp's parser drops the messages that it has already read when it meets an error in the same read. A request would
then get the answer of a malformed one behind it, and an answer be lost to a stray byte behind it: whenever TCP happened
to deliver both at once.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BLANK_LINE: Final = re.compile(rb"\r\n\r\n")
"""Where a head ends (RFC 9112 §2.1), and a chunked body."""

MOST: Final = 64
"""Most cuts of one read, so that a body full of blank lines costs little more than another."""


class Cutter:
    """Cuts one stream of messages, as it is read."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before = b""

    def cut(self, data: bytes, *, enough: Callable[[], bool]) -> Iterable[bytes]:
        """``data`` in pieces, each of which holds no more than one end of a head, and that at its end.

        Args:
            data: What was read; nothing of it is left out.
            enough: Whether the rest is to come in one piece, since it will be held in any case.
        """
        stream, before = self._before + data, len(self._before)
        self._before = stream[-3:]
        if b"\r\n\r\n" not in stream:  # nearly always, while a body passes
            return (data,)
        found = (line.end() - before for line in islice(BLANK_LINE.finditer(stream), MOST))
        return _pieces(data, [end for end in found if end < len(data)], enough)


def _pieces(data: bytes, ends: list[int], enough: Callable[[], bool]) -> Iterator[bytes]:
    start = 0
    for end in ends:
        yield data[start:end]
        start = end
        if enough():
            break
    yield data[start:]
