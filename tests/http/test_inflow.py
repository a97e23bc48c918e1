"""Bytes that wait to be read."""

from __future__ import annotations

import asyncio

import pytest

from proxy.http.inflow import BUFFER, Inflow
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time


class Changes:
    """How often the connection was told to look again."""

    def __init__(self) -> None:
        self.count = 0
        self.inflow = Inflow(self._changed)

    def _changed(self) -> None:
        self.count += 1


@in_virtual_time
async def test_what_waits_is_read_at_once_and_whole() -> None:
    inflow = Changes().inflow
    for piece in (b"a", b"b", b"c"):
        inflow.feed(piece)
    assert (inflow.size, inflow.total) == (3, 3)
    assert await inflow.read() == b"abc"
    assert (inflow.size, inflow.total) == (0, 3)


@in_virtual_time
async def test_a_reader_waits_for_what_comes() -> None:
    inflow = Changes().inflow
    reading = asyncio.create_task(inflow.read())
    await turns()
    assert not reading.done()
    inflow.feed(b"a")
    inflow.feed(b"b")
    assert await reading == b"ab"


@in_virtual_time
async def test_a_reader_that_gives_up_leaves_what_comes_to_the_next() -> None:
    inflow = Changes().inflow
    reading = asyncio.create_task(inflow.read())
    await turns()
    reading.cancel()
    await asyncio.wait({reading})
    inflow.feed(b"a")
    assert await inflow.read() == b"a"


@in_virtual_time
async def test_at_the_end_there_is_nothing() -> None:
    inflow = Changes().inflow
    inflow.feed(b"a")
    inflow.end()
    assert inflow.is_complete
    assert [await inflow.read(), await inflow.read(), await inflow.read()] == [b"a", b"", b""]


@in_virtual_time
async def test_an_error_comes_behind_what_came_before_it() -> None:
    inflow = Changes().inflow
    inflow.feed(b"a")
    inflow.fail(ConnectionError("first"))
    inflow.fail(ConnectionError("second"))
    assert inflow.is_ended
    assert not inflow.is_complete
    assert await inflow.read() == b"a"
    with pytest.raises(ConnectionError, match="first"):
        await inflow.read()


def test_what_has_ended_does_not_fail() -> None:
    inflow = Changes().inflow
    inflow.end()
    inflow.fail(ConnectionError())
    assert inflow.is_complete


def test_the_connection_looks_again_whenever_something_comes_or_goes() -> None:
    changes = Changes()
    changes.inflow.feed(bytes(BUFFER - 1))
    assert not changes.inflow.is_full
    changes.inflow.feed(b"a")
    assert changes.inflow.is_full
    assert len(changes.inflow.take()) == BUFFER
    assert not changes.inflow.is_full
    assert changes.count == 3
    assert changes.inflow.take() == b""


def test_small_pieces_cost_no_more_than_large_ones() -> None:
    """P7: what waits is bounded by its bytes, and so is what it is kept in."""
    inflow = Changes().inflow
    for _ in range(1000):
        inflow.feed(b"a")
    assert len(inflow._pieces) <= 64
    assert inflow.take() == b"a" * 1000
