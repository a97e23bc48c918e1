"""Streams in pieces, as a network may bring them."""

from itertools import pairwise


def segments(stream: bytes, sizes: list[int]) -> list[bytes]:
    """The stream in pieces of these sizes in turn."""
    edges = [0]
    while edges[-1] < len(stream):
        edges.append(edges[-1] + sizes[len(edges) % len(sizes)])
    return [stream[start:end] for start, end in pairwise(edges)]
