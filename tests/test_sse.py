"""The scanner sees what a browser would, however the stream is cut into chunks."""

import itertools
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sse import Frame, Scanner
from tests.support.event_stream import Event, reference, reference_frames

VECTORS = json.loads((Path(__file__).parent / "sse_vectors.json").read_text("utf-8"))["cases"]

# What streams are made of here: every line end, the fields and the marks that matter, rubbish.
PIECES = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b":", b" ", b"\0", b"\xef\xbb\xbf", b"\xef", b"\xff"),
    *(b"data", b"data:", b"data: ", b"event: done", b"event", b"id: a:7", b"id", b"id:\0", b"retry: 1"),
    *(b": heartbeat\n\n", b"event: token\ndata: {}\n\n", b"x", "…".encode(), b"data: a long enough line"),
]
streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4)).map(b"".join)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def chunkings(stream: bytes) -> Iterator[list[bytes]]:
    """Every way to cut a short stream."""
    places = range(1, len(stream))
    for count in range(len(stream)):
        for cuts in itertools.combinations(places, count):
            yield cut(stream, list(cuts))


def scan(chunks: list[bytes], limit: int = 1 << 20) -> list[Frame]:
    """All frames, `end` counted from the start of the stream and with a late LF counted in."""
    scanner, frames, offset = Scanner(limit), [], 0
    stream = b"".join(chunks)
    for chunk in chunks:
        for frame in scanner.feed(chunk):
            assert 0 < frame.end <= len(chunk)
            end = offset + frame.end
            if end == offset + len(chunk) and stream[end - 1 : end + 1] == b"\r\n":
                end += 1
            frames.append(frame._replace(end=end))
        offset += len(chunk)
    return frames


def dispatched(frames: list[Frame]) -> list[Event]:
    return [Event(f.event, f.data.decode("utf-8", "replace"), f.last_event_id) for f in frames if f.event is not None]


@pytest.mark.parametrize("vector", VECTORS, ids=[v["source"] for v in VECTORS])
def test_events_are_those_of_the_published_vectors(vector: dict[str, str]) -> None:
    stream = vector["stream"].encode()
    expected = [Event(*event) for event in vector["events"]]
    assert reference(stream) == expected
    assert dispatched(scan([stream])) == expected
    assert dispatched(scan([bytes([byte]) for byte in stream])) == expected


@given(streams, st.lists(st.integers(0, 400), max_size=12))
def test_events_and_ends_are_the_references_for_any_chunking(stream: bytes, cuts: list[int]) -> None:
    frames = scan(cut(stream, cuts))
    assert dispatched(frames) == reference(stream)
    assert [frame.end for frame in frames] == [end for _, _, end in reference_frames(stream)]


@pytest.mark.parametrize(
    "stream",
    [
        b"data:1\r\n\r\n",
        b"data\r\rdata\n\n",
        b"\xef\xbb\xbfdata\n\r\n",
        b"\xef\xbb\xbf\n:\r\n\n",
        b"\r\n\r\r\n\n\r",
        b"data:\xe2\x80\xa6\n\n",
        b"id:1\n\ndata\n\n",
    ],
)
def test_every_chunking_of_a_short_stream_gives_the_same(stream: bytes) -> None:
    expected = scan([stream])
    assert dispatched(expected) == reference(stream)
    assert all(scan(chunks) == expected for chunks in chunkings(stream))


@given(streams, st.lists(st.integers(0, 400), max_size=12), st.integers(16, 40))
def test_a_frame_over_the_limit_is_truncated_for_any_chunking(stream: bytes, cuts: list[int], limit: int) -> None:
    whole = scan([stream])
    limited = scan(cut(stream, cuts), limit)
    assert limited == scan([stream], limit)
    spans = reference_frames(stream)
    assert [f.truncated for f in limited] == [blank - start > limit for start, blank, _ in spans]
    for frame, unlimited in zip(limited, whole, strict=True):
        assert frame.end == unlimited.end
        assert frame.data == (b"" if frame.truncated else unlimited.data)
        assert (frame.event is None) == (unlimited.event is None)


@given(streams, st.lists(st.integers(0, 400), max_size=12))
def test_a_boundary_is_where_no_frame_is_unfinished(stream: bytes, cuts: list[int]) -> None:
    scanner, fed = Scanner(), b""
    assert scanner.at_boundary
    for chunk in cut(stream, cuts):
        scanner.feed(chunk)
        fed += chunk
        ends = [end for _, _, end in reference_frames(fed)]
        assert scanner.at_boundary == (ends[-1:] == [len(fed)])


def test_an_unfinished_frame_is_known_by_its_size_and_its_name_so_far() -> None:
    scanner, seen = Scanner(), []
    for byte in b"\nevent: done\ndata: {}\n\n":
        scanner.feed(bytes([byte]))
        seen.append(scanner.unfinished)
    names = [name for _, name in seen]
    assert [size for size, _ in seen] == [0, *range(1, 22), 0]
    assert names == [""] * 12 + ["done"] * 10 + [""]


@given(streams, st.lists(st.integers(0, 400), max_size=12))
def test_bytes_up_to_the_ends_and_the_rest_are_the_stream(stream: bytes, cuts: list[int]) -> None:
    scanner, pieces = Scanner(), []
    for chunk in cut(stream, cuts):
        start = 0
        for frame in scanner.feed(chunk):
            pieces.append(chunk[start : frame.end])
            start = frame.end
        pieces.append(chunk[start:])
    assert b"".join(pieces) == stream


def test_a_stream_is_cut_exactly_after_its_terminal_event() -> None:
    """P4, terminal last: what the backend sent behind it in the same chunk stays unwritten."""
    chunk = b"event: token\ndata: {}\n\nevent: cancel\ndata: {}\n\n: heartbeat\n\n"
    terminal = next(frame for frame in Scanner().feed(chunk) if frame.event == "cancel")
    assert chunk[: terminal.end].endswith(b"event: cancel\ndata: {}\n\n")
    assert chunk[terminal.end :] == b": heartbeat\n\n"


def test_a_heartbeat_is_a_frame_that_dispatches_nothing() -> None:
    """F6, endless heartbeats: a relay can tell them from events."""
    [frame] = Scanner().feed(b": heartbeat\n\n")
    assert frame == Frame(event=None, data=b"", last_event_id="", end=13, truncated=False)


def test_a_named_event_without_data_is_not_dispatched() -> None:
    [frame, after] = Scanner().feed(b"event: cancel\nid: 1\n\ndata: x\n\n")
    assert frame.event is None
    assert (after.event, after.last_event_id) == ("message", "1")


def test_a_frame_closed_by_cr_ends_at_once_and_its_late_lf_is_no_frames() -> None:
    scanner = Scanner()
    [frame] = scanner.feed(b"data: x\r\n\r")
    assert (frame.event, frame.end) == ("message", 10)
    assert scanner.at_boundary
    assert scanner.feed(b"") == []
    assert scanner.feed(b"\n") == []
    assert scanner.at_boundary
    assert [frame.end for frame in scanner.feed(b"data: y\n\n")] == [9]


def test_a_huge_done_keeps_its_type_and_id_but_not_its_data() -> None:
    """P7, bounded: a `done` that carries a whole session is still seen to be a `done`."""
    scanner = Scanner(limit=64)
    assert scanner.feed(b"id: s:9\ndata: " + b"x" * 100) == []
    assert scanner.feed(b"y" * 100 + b"\nevent: do") == []
    assert not scanner.at_boundary
    [frame] = scanner.feed(b"ne\n\n")
    assert frame == Frame(event="done", data=b"", last_event_id="s:9", end=4, truncated=True)
    [after] = scanner.feed(b"data: z\n\n")
    assert (after.event, after.data, after.truncated) == ("message", b"z", False)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_limit_is_the_longest_frame_whose_data_is_kept(size: int) -> None:
    stream = b"data: 345678901234\n\ndata: 3456789012345\n\n"
    at_limit, over = scan([stream[i : i + size] for i in range(0, len(stream), size)], limit=19)
    assert (at_limit.data, at_limit.truncated) == (b"345678901234", False)
    assert (over.event, over.data, over.truncated) == ("message", b"", True)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_an_event_or_id_line_over_the_limit_is_ignored(size: int, bom: bytes) -> None:
    stream = bom + b"event: 89012345678\nid: 567890123456789\ndata: x\n\n"
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert scan(chunks, limit=19)[0][:3] == ("89012345678", b"", "567890123456789")
    assert scan(chunks, limit=18)[0][:3] == ("89012345678", b"", "")
    assert scan(chunks, limit=17)[0][:3] == ("message", b"", "")


@pytest.mark.parametrize("line", [b"data: " + b"x" * (1 << 16), b"data:x\n" * 9000, b": xxxx\n" * 9000])
def test_memory_stays_bounded_by_the_limit(line: bytes) -> None:
    """P7, bounded: 16 times 64 KiB of one frame are watched with a few KiB kept."""
    scanner = Scanner(limit=4096)
    tracemalloc.start()
    for _ in range(16):
        scanner.feed(line)
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 16384
    assert [frame.truncated for frame in scanner.feed(b"\n\n")][:1] == [True]


def test_many_short_lines_are_kept_in_no_more_than_their_bytes() -> None:
    """P7, bounded: the size that a limit sets is that of the memory, not only of the values."""
    scanner = Scanner()
    tracemalloc.start()
    for _ in range(64):
        scanner.feed(b"data:xy\n" * 1024)
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 64 * 8 * 1024


@pytest.mark.parametrize("before", [b"", b"event: a\rdata: b\r\r"])
def test_frames_that_are_skipped_leave_the_scanner_where_it_was(before: bytes) -> None:
    """What follows is read as behind them: with no BOM to take away, and no CR to complete."""
    scanner = Scanner()
    scanner.feed(before)
    scanner.skip()

    (blank,) = scanner.feed(b"\n")
    (named,) = scanner.feed(b"\xef\xbb\xbfevent: a\ndata: b\n\n")

    assert (blank.event, blank.end) == (None, 1)
    assert named.event == "message"
