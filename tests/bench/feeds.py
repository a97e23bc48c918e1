"""The turns that the backend streams, in frames as Hermes writes them: numbered, stamped and summed."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from zlib import crc32

HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
)
NAMED = b'"session_id": "%b", '
FIRST = b'id: %b:1\nevent: context_status\ndata: {%b"prefill": {"status": "not_configured"}}\n\n'
TOKEN = b'id: %b:%d\nevent: token\ndata: {"text": "A%d ", "seq": %d, "at": %d}\n\n'
DONE = b'event: done\ndata: {%b"usage": {}}\n\nevent: stream_end\ndata: {%b"ok": true}\n\n'
CANCELLED = b'event: cancel\ndata: {"message": "Cancelled by user", "type": "cancelled"}\n\n'

TICK = 0.001
"""Seconds between two looks at what is due; the event loop's clock is no finer."""


class Feed:
    """One turn, written to every connection that opened its stream.

    Args:
        stream_id: Its name.
        session_id: The session that its frames name; None to have no frame name one.

    Attributes:
        stream_id: As above.
        seq: How many tokens were written; each carries its number and the monotonic time in nanoseconds.
        crc: Sum of every byte written, and `size` their count: what a reader must have come to as well.
        cancelled_at: When a Stop reached the backend, in monotonic nanoseconds.
    """

    def __init__(self, stream_id: str, session_id: str | None) -> None:
        self.stream_id = stream_id
        self.seq = self.crc = self.size = 0
        self.cancelled_at: int | None = None
        self._name = stream_id.encode()
        self._session = NAMED % session_id.encode() if session_id is not None else b""
        self._transports: list[asyncio.WriteTransport] = []
        self._first = FIRST % (self._name, self._session)
        self._over = False

    def open(self, transport: asyncio.WriteTransport) -> None:
        """Answer whoever opened the stream, all of them before the first token."""
        if not self._transports:
            self._count(self._first)
        self._transports.append(transport)
        transport.write(HEAD)
        transport.write(self._first)

    def tokens(self, count: int) -> None:
        """Write the next tokens, each by itself as a model says them; none once the turn is over."""
        for _ in range(0 if self._over else count):
            self.seq = seq = self.seq + 1
            self._write(TOKEN % (self._name, seq + 1, seq, seq, time.monotonic_ns()))

    def finish(self) -> None:
        """End the turn as one that has come to its end."""
        self._end(DONE % (self._session, self._session))

    def cancel(self) -> None:
        """End the turn as one that was stopped."""
        self.cancelled_at = time.monotonic_ns()
        self._end(CANCELLED)

    def _end(self, frames: bytes) -> None:
        self._over = True
        self._write(frames)
        for transport in self._transports:
            transport.close()

    def _write(self, frame: bytes) -> None:
        self._count(frame)
        for transport in self._transports:
            transport.write(frame)

    def _count(self, frame: bytes) -> None:
        self.crc = crc32(frame, self.crc)
        self.size += len(frame)


async def stream(feeds: Sequence[Feed], rate: float, seconds: float, *, burst: int = 1) -> int:
    """Write `burst` tokens to every feed `rate` times a second, the feeds spread evenly over the time between.

    Returns:
        How many tokens were written.
    """
    period, begun = 1 / rate, time.monotonic()
    rounds = max(1, round(seconds * rate))
    due = deque((begun + period * n / len(feeds), 1, feed) for n, feed in enumerate(feeds))
    while due:
        while due and due[0][0] <= time.monotonic():
            at, turn, feed = due.popleft()
            feed.tokens(burst)
            if turn < rounds:
                due.append((at + period, turn + 1, feed))
        await asyncio.sleep(TICK)
    return rounds * burst * len(feeds)
