"""Every head ends its own piece, however the stream came."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.http.cutting import MOST, Cutter

STREAMS = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"\r\n\r\n", b"GET / HTTP/1.1"])).map(b"".join)


def never() -> bool:
    return False


def reads(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[a:b] for a, b in pairwise(edges)]


@given(STREAMS, st.lists(st.integers(0, 100), max_size=8))
def test_pieces_are_the_stream_and_a_blank_line_ends_one(stream: bytes, cuts: list[int]) -> None:
    cutter, fed, ends = Cutter(), b"", []
    for read in reads(stream, cuts):
        for piece in cutter.cut(read, enough=never):
            assert piece
            fed += piece
            ends.append(len(fed))
    assert fed == stream
    for end in range(4, len(stream) + 1):
        overlapping = stream[:end].endswith(b"\r\n\r\n\r\n")
        assert end in ends or overlapping or not stream[:end].endswith(b"\r\n\r\n")


def test_nothing_is_one_piece() -> None:
    """aiohttp is fed nothing when it is to go on with what it holds."""
    assert list(Cutter().cut(b"", enough=never)) == [b""]


def test_the_rest_comes_in_one_piece_once_there_is_enough() -> None:
    heads = b"a\r\n\r\nb\r\n\r\nc\r\n\r\n"
    assert list(Cutter().cut(heads, enough=lambda: True)) == [b"a\r\n\r\n", b"b\r\n\r\nc\r\n\r\n"]


def test_one_read_is_cut_only_so_often() -> None:
    """P7, bounded."""
    assert len(list(Cutter().cut(b"\r\n\r\n" * 10_000, enough=never))) == MOST + 1
