"""Reading an event stream and finding fault with it: a gap, a duplicate, another order, a byte too many."""

import time
from typing import TYPE_CHECKING
from zlib import crc32

from tests.bench.feeds import Feed

if TYPE_CHECKING:
    from array import array

_ENDINGS = (b"event: stream_end\n", b"event: cancel\n")
"""The last event of a turn that ends by itself, and of one that is stopped."""


class Reading:
    """One stream as it is read.

    Args:
        delays: Where the nanoseconds that each token was under way are added.

    Attributes:
        seq: The last token's number.
        pieces: How many pieces the stream came in.
        ended: Whether the turn's last event has been read.
        faults: What was wrong, in words.
    """

    def __init__(self, delays: "array[int]") -> None:
        self.seq = self.crc = self.size = self.pieces = 0
        self.ended = False
        self.faults: list[str] = []
        self._delays = delays
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the stream."""
        now = time.monotonic_ns()
        self.pieces += 1
        self.crc = crc32(data, self.crc)
        self.size += len(data)
        *frames, self._rest = (self._rest + data).split(b"\n\n")
        for frame in frames:
            _, token, told = frame.partition(b'"seq": ')
            if token:
                seq, _, at = told.partition(b', "at": ')
                self._token(int(seq))
                self._delays.append(now - int(at[:-1]))
            elif any(ending in frame for ending in _ENDINGS):
                self._end()

    def _token(self, seq: int) -> None:
        if self.ended:
            self.faults.append(f"token {seq} came after the last event")
        if seq != self.seq + 1:
            self.faults.append(f"token {seq} came after {self.seq}: {_what_is_wrong(seq, self.seq)}")
        self.seq = seq

    def _end(self) -> None:
        if self.ended:
            self.faults.append("a second last event came")
        self.ended = True

    def compare(self, feed: Feed) -> None:
        """Hold what was read against what the backend wrote."""
        if not self.ended:
            self.faults.append("it ended without its last event")
        if (self.size, self.crc) != (feed.size, feed.crc):
            self.faults.append(f"{self.size} bytes were read of {feed.size} written, or not the same ones")


def _what_is_wrong(seq: int, last: int) -> str:
    if seq > last + 1:
        return "a gap"
    return "a duplicate" if seq == last else "another order"
