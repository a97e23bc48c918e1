"""What watching costs: the scanner beside a plain line-by-line parser, in the same run.

Run it with `python tests/bench/bench_sse.py`. The peer does what SSE clients usually do (split into
lines, partition each, collect a dict): it decodes everything and knows no offsets, limit or CR.
"""

import time
from collections.abc import Callable, Iterable

from proxy.sse import Scanner

RUNS = 7
CHUNK = 64 * 1024
STREAM_ID = "27dcd2568fd743a6a1e3185d86898d62"


class LineParser:
    """The peer: buffers text, splits it at LF, and builds a dict of each frame's fields."""

    def __init__(self) -> None:
        self._rest = ""
        self._fields: dict[str, str] = {}

    def feed(self, chunk: bytes) -> list[dict[str, str]]:
        frames = []
        *lines, self._rest = (self._rest + chunk.decode("utf-8", "replace")).split("\n")
        for line in lines:
            if not line:
                frames.append(self._fields)
                self._fields = {}
            else:
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                joined = name == "data" and "data" in self._fields
                self._fields[name] = f"{self._fields[name]}\n{value}" if joined else value
        return frames


def tokens(count: int) -> list[bytes]:
    """Frames as Hermes streams them, one a token."""
    head = f"id: {STREAM_ID}"
    return [f'{head}:{n}\nevent: token\ndata: {{"text": "A{n} "}}\n\n'.encode() for n in range(count)]


def in_chunks(stream: bytes) -> list[bytes]:
    return [stream[i : i + CHUNK] for i in range(0, len(stream), CHUNK)]


def seconds(make_feed: Callable[[], Callable[[bytes], object]], chunks: Iterable[bytes]) -> float:
    """The best of some runs over all chunks."""

    def once() -> float:
        feed = make_feed()
        begun = time.process_time()
        for chunk in chunks:
            feed(chunk)
        return time.process_time() - begun

    return min(once() for _ in range(RUNS))


def report(title: str, chunks: list[bytes]) -> None:
    ours = seconds(lambda: Scanner().feed, chunks)
    peer = seconds(lambda: LineParser().feed, chunks)
    rate = sum(map(len, chunks)) / ours / 1e6
    each = ours / len(chunks) * 1e6
    line = f"{title:24}{rate:6.0f} MB/s {each:8.2f} us/chunk, {ours / peer:.2f} of the peer's time"
    print(line)  # noqa: T201  a script reports on its standard output


if __name__ == "__main__":
    frames = tokens(50_000)
    report("tokens, 64 KiB chunks", in_chunks(b"".join(frames)))
    report("tokens, one a chunk", frames)
    report("a 6 MiB done", in_chunks(b'event: done\ndata: "' + b"abcdefg " * 786_432 + b'"\n\n'))
