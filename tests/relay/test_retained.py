"""The bytes of a stream that are kept, by their offsets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.relay.retained import Mark, Retained

FRAMES = [b"event: token\ndata: %d\n\n" % number for number in range(2_000)]


def kept(*chunks: bytes) -> Retained:
    retained = Retained()
    for chunk in chunks:
        retained.append(chunk)
    return retained


def read_all(retained: Retained, at: int) -> bytes:
    pieces = []
    while at < retained.end:
        pieces.append(retained.read(at))
        at += len(pieces[-1])
    return b"".join(pieces)


def test_nothing_is_kept_at_first() -> None:
    retained = Retained()

    assert (retained.begin, retained.end, retained.size) == (0, 0, 0)
    assert retained.boundary(0) == 0


@given(st.lists(st.binary(min_size=1, max_size=9_000), max_size=12), st.integers(0, 60_000))
def test_whatever_is_kept_is_read_from_any_offset(chunks: list[bytes], size: int) -> None:
    """P7: no more than was asked for and one block, whose length is a chunk's more at most."""
    whole, retained = b"".join(chunks), kept(*chunks)

    retained.trim(size)

    assert retained.size <= size + (1 << 14) + 9_000
    assert retained.end == len(whole)
    for at in {retained.begin, (retained.begin + retained.end) // 2, retained.end}:
        assert read_all(retained, at) == whole[at:]


def test_what_is_dropped_is_dropped_from_the_beginning() -> None:
    retained = kept(*FRAMES)

    retained.trim(1)

    assert 0 < retained.size < 2 * (1 << 14)
    assert read_all(retained, retained.begin) == b"".join(FRAMES)[retained.begin :]


def test_only_whole_blocks_count_as_settled() -> None:
    retained = kept(*FRAMES[:10])
    assert retained.settled == 0
    assert not retained.append(b"x" * 100)
    assert retained.append(b"x" * (1 << 14))
    assert retained.settled == retained.size
    retained.append(b"y")
    assert retained.settled == retained.size - 1
    retained.seal()
    retained.seal()
    assert retained.settled == retained.size


def test_after_clearing_nothing_is_kept_and_offsets_go_on() -> None:
    retained = kept(b"one\n\n")
    retained.mark(("one",), 1)

    retained.clear()
    retained.append(b"two\n\n")

    assert (retained.begin, retained.end) == (5, 10)
    assert retained.read(5) == b"two\n\n"
    assert not list(retained.marks(0, 10))


def test_marks_are_found_by_what_was_sent_and_what_is_being_sent() -> None:
    retained = Retained()
    for frame in (b"one\n\n", b"two\n\n", b"three\n\n"):
        retained.append(frame)
        retained.mark((frame.decode().strip(),), 1)

    assert list(retained.marks(5, 10)) == [Mark(10, ("two",), 1)]
    assert [mark.events for mark in retained.marks(0, 17)] == [("one",), ("two",), ("three",)]


def test_marks_go_with_their_bytes() -> None:
    retained = Retained()
    for frame in FRAMES:
        retained.append(frame)
        retained.mark((), 1)

    retained.trim(1)

    assert all(mark.offset > retained.begin for mark in retained.marks(0, retained.end))


@pytest.mark.parametrize(("until", "boundary"), [(0, 0), (4, 0), (5, 5), (9, 5), (10, 10), (12, 10)], ids=str)
def test_a_boundary_is_behind_the_last_whole_frame(until: int, boundary: int) -> None:
    assert kept(b"one\n\ntwo\n", b"\nth").boundary(until) == boundary


def test_where_no_beginning_of_a_frame_is_kept_there_is_no_boundary() -> None:
    retained = kept(b"data: " + b"x" * 20_000, b"y" * 20_000, b"z\n\n")
    retained.trim(1)

    assert retained.boundary(retained.end - 1) is None
    assert retained.boundary(retained.end) == retained.end


def test_frames_begin_where_one_does() -> None:
    retained = kept(*FRAMES)
    assert retained.frames() == (0, b"".join(FRAMES))

    retained.trim(1)
    begin, data = retained.frames()

    assert begin > retained.begin
    assert data.startswith(b"event: token\n")
    assert data == b"".join(FRAMES)[begin:]


def test_in_the_middle_of_one_long_frame_there_are_none() -> None:
    retained = kept(b"x" * 20_000, b"y" * 20_000)
    retained.trim(1)

    assert retained.frames() == (40_000, b"")
