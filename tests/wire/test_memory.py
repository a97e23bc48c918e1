"""Bodies stream: what passes through is never held (P7)."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.response import begin
from proxy.http.upstream.lanes import Lane

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start, Wire

SIZE = 96 * 1024 * 1024
PIECE = bytes(256 * 1024)
HELD = 4 * 1024 * 1024


async def pour(wire: Wire, count: int) -> None:
    for _ in range(count // len(PIECE)):
        await wire.send(PIECE)


async def drink(wire: Wire, count: int) -> int:
    """Read ``count`` bytes, keeping none."""
    loop, buffer = asyncio.get_running_loop(), bytearray(1024 * 1024)
    taken = len(wire.buffer)
    while taken < count:
        async with asyncio.timeout(5):
            got = await loop.sock_recv_into(wire.socket, buffer)
        assert got
        taken += got
    return taken


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_large_bodies_are_not_held(proxied: Proxied, backend: Listener, direction: str) -> None:
    browser = await proxied.browser()
    length = b"Content-Length: %d\r\n\r\n" % SIZE
    method = b"POST" if direction == "up" else b"GET"
    await browser.send(method + b" / HTTP/1.1\r\nHost: h\r\n" + (length if direction == "up" else b"\r\n"))
    tracemalloc.start()
    try:
        if direction == "up":
            pouring = asyncio.create_task(pour(browser, SIZE))
            asked = await backend.accept()
            await asked.head()
            assert await drink(asked, SIZE) == SIZE
        else:
            asked = await backend.accept()
            await asked.head()
            await asked.send(b"HTTP/1.1 200 OK\r\n" + length)
            await browser.head()
            pouring = asyncio.create_task(pour(asked, SIZE))
            assert await drink(browser, SIZE) == SIZE
        await pouring
        assert tracemalloc.get_traced_memory()[1] < HELD
    finally:
        tracemalloc.stop()


async def test_a_lasting_answer_keeps_nothing_of_its_request(start: Start, backend: Listener) -> None:
    """Browsers send several KiB of fields, and watch for hours."""
    browsers, cookie = 20, bytes(7000).replace(b"\0", b"c")

    async def relay(request: Request, upstream: Upstream) -> Response:
        async with upstream.request(request.head(), Lane.RELAYS) as stream:
            request.outlast()
            response = begin(request, stream)
            async for chunk in stream.chunks():
                await response.write(chunk)
            response.end()
        return response

    proxied = await start(relay)
    tracemalloc.start()
    try:
        for _ in range(browsers):
            browser = await proxied.browser()
            await browser.send(b"GET /events HTTP/1.1\r\nHost: h\r\nCookie: " + cookie + b"\r\n\r\n")
            asked = await backend.accept()
            assert cookie in await asked.head()
            await asked.send(b"HTTP/1.1 200 OK\r\n\r\nevent: token\n\n")
            await browser.until(b"token")
        gc.collect()
        kept = [trace for trace in tracemalloc.take_snapshot().traces if trace.size >= len(cookie)]
    finally:
        tracemalloc.stop()
    assert len(kept) < browsers / 4, "the last one's may still be in a buffer"
