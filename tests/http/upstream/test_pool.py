"""Idle connections: few, and not for long."""

from __future__ import annotations

import asyncio

from proxy.http.upstream.pool import IdlePool
from tests.http.upstream.backend import Wire
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_one_used_last_is_used_next() -> None:
    pool, old, new = IdlePool(limit=lambda: 2, timeout=8.0), Wire(), Wire()
    for wire in (old, new):
        pool.put(wire.connection)
    assert [pool.take(), pool.take(), pool.take()] == [new.connection, old.connection, None]


@in_virtual_time
async def test_there_are_only_so_many() -> None:
    pool, kept, closed = IdlePool(limit=lambda: 1, timeout=8.0), Wire(), Wire()
    for wire in (kept, closed):
        pool.put(wire.connection)
    assert (kept.is_open, closed.is_open) == (True, False)


@in_virtual_time
async def test_they_are_kept_for_so_long() -> None:
    pool, wire = IdlePool(limit=lambda: 1, timeout=8.0), Wire()
    pool.put(wire.connection)
    await asyncio.sleep(8.1)
    assert not wire.is_open
    assert pool.take() is None


@in_virtual_time
async def test_one_that_the_backend_closed_or_used_is_not_used_again() -> None:
    pool, closed, used, gone = IdlePool(limit=lambda: 3, timeout=8.0), Wire(), Wire(), Wire()
    pool.put(closed.connection)
    pool.put(used.connection)
    await closed.hang_up()
    await used.say(b"HTTP/1.1 408 Late\r\n\r\n")
    assert pool.take() is None
    assert used.transport.was_aborted
    await gone.hang_up()
    pool.put(gone.connection)
    assert pool.take() is None


@in_virtual_time
async def test_all_of_them_are_closed_together() -> None:
    pool, wires = IdlePool(limit=lambda: 2, timeout=8.0), [Wire(), Wire()]
    for wire in wires:
        pool.put(wire.connection)
    pool.close()
    await turns()
    assert not any(wire.is_open for wire in wires)
