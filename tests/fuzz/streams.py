"""Event streams: the scanner sees what a browser does, however the stream is cut and whatever it holds."""

from proxy.sse import Frame, Scanner
from tests.support.event_stream import Event, reference, reference_frames

BOM = 3


def check_stream(data: bytes) -> None:
    """The first byte is the size of chunks, the second one how much of a frame is kept, the rest the stream."""
    size, limit, stream = 1 + (data[:1] or b"\0")[0], 16 + (data[1:2] or b"\0")[0], data[2:]
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    whole, limited = _scan([stream], 1 << 20), _scan(chunks, limit)
    spans = reference_frames(stream)
    assert [Event(f.event, f.data.decode("utf-8", "replace"), f.last_event_id) for f in whole if f.event] == reference(
        stream
    )
    assert [frame.end for frame in whole] == [frame.end for frame in limited] == [end for _, _, end in spans]
    assert [frame.truncated for frame in limited] == [blank - start > limit for start, blank, _ in spans]
    for frame, unlimited in zip(limited, whole, strict=True):
        assert frame.data == (b"" if frame.truncated else unlimited.data)
        assert (frame.event is None) == (unlimited.event is None)


def _scan(chunks: list[bytes], limit: int) -> list[Frame]:
    """All frames, ``end`` counted from the start of the stream and with a late LF counted in."""
    scanner, frames, offset, stream = Scanner(limit), [], 0, b"".join(chunks)
    for chunk in chunks:
        for frame in scanner.feed(chunk):
            assert 0 < frame.end <= len(chunk)
            end = offset + frame.end
            late = end == offset + len(chunk) and stream[end - 1 : end + 1] == b"\r\n"
            frames.append(frame._replace(end=end + late))
        offset += len(chunk)
        _check_memory(scanner, limit)
    return frames


def _check_memory(scanner: Scanner, limit: int) -> None:
    """P7, bounded: what is kept between two chunks."""
    assert len(scanner._line) <= limit + BOM + 1
    assert sum(map(len, scanner._data)) <= limit
    assert len(scanner._event) <= limit
    assert len(scanner._last_event_id) <= limit
