"""A browser that leaves takes its upstream connection with it (P6), however it leaves.

Measured where it matters: at the backend, until its connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import select
import socket
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from proxy.http.forward import stream_back
from proxy.http.settling import settle
from proxy.http.upstream.lanes import Lane
from tests.wire.conftest import Stopwatch
from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start, Wire

pytestmark = pytest.mark.realtime

AT_ONCE = 0.2
"""Seconds. P6 says 100 ms; how late the backend of the test looks gets as much again."""

PATIENCE = 1.0
GIVEN_UP = 5.0
"""TCP_USER_TIMEOUT is looked at when a retransmission or probe is due, so a little later."""

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n"


async def relay(request: Request, upstream: Upstream) -> Response:
    async with upstream.request(request.head(), Lane.RELAYS, body=request.body()) as stream:
        request.outlast()
        return await stream_back(request, stream)


async def streaming(asked: Wire) -> None:
    while True:
        await asked.send(bytes(65_536))


async def heartbeating(asked: Wire) -> None:
    while True:
        await asked.send(b": heartbeat\n\n")
        await asyncio.sleep(0.01)


async def silent(asked: Wire) -> None:
    await asyncio.Event().wait()


BACKENDS = pytest.mark.parametrize("behave", [streaming, heartbeating, silent])


def leave_by_fin(browser: Wire) -> None:
    browser.close()


def leave_by_rst(browser: Wire) -> None:
    browser.reset()


def leave_by_half_closing(browser: Wire) -> None:
    browser.shut_down()


LEAVING = pytest.mark.parametrize("leave", [leave_by_fin, leave_by_rst, leave_by_half_closing])


def vanish(browser: Wire) -> None:
    """From now on the browser's kernel drops what arrives, so that nothing is ever acknowledged.

    A classic BPF program of one instruction, "accept 0 bytes" (socket(7), SO_ATTACH_FILTER).
    """
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    filter_ = struct.pack("HL", 1, ctypes.addressof(program))
    browser.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_ATTACH_FILTER", 26), filter_)


async def gone(asked: Wire, behave: object, within: float) -> float:
    """Seconds until the backend's connection ends, while the backend behaves as it does."""
    behaving = asyncio.ensure_future(behave(asked))  # type: ignore[operator]  # one of the above
    ending = asyncio.ensure_future(asked.hear_end(within))
    try:
        async with Stopwatch() as watch:
            await asyncio.wait({behaving, ending}, return_when=asyncio.FIRST_COMPLETED)
            return watch.seconds
    finally:
        await settle(behaving, ending)


async def running_for_a_while(asked: Wire, behave: object) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await behave(asked)  # type: ignore[operator]  # one of the above


@BACKENDS
@LEAVING
@pytest.mark.parametrize("pipelined", [0, 500])
async def test_relay_ends_with_its_browser(
    start: Start, backend: Listener, behave: object, leave: object, pipelined: int
) -> None:
    proxied = await start(relay)
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    await browser.send(GET * pipelined)
    await running_for_a_while(asked, behave)
    leave(browser)  # type: ignore[operator]  # one of the above
    assert await gone(asked, behave, AT_ONCE * 5) < AT_ONCE


async def test_relay_takes_whatever_is_pipelined_behind_it_and_keeps_none(start: Start, backend: Listener) -> None:
    """More than any buffer on the way holds: were reading to pause, the FIN could not arrive."""
    proxied = await start(relay)
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    assert await browser.head()
    tracemalloc.start()
    for _ in range(16):
        await browser.send(GET * 40_000)
    assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    tracemalloc.stop()
    browser.close()
    assert await gone(asked, silent, AT_ONCE * 5) < AT_ONCE


async def test_relay_that_discards_input_still_takes_its_own_body(start: Start, backend: Listener) -> None:
    proxied = await start(relay)
    browser = await proxied.browser()
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65542\r\n\r\n" + BEGUN)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    assert await browser.head()
    await browser.send(b"defghi" + GET)
    assert await asked.take(65_542) == BEGUN + b"defghi"
    asked.close()
    assert await browser.rest() == b"0\r\n\r\n"


@BACKENDS
@LEAVING
async def test_ordinary_call_ends_with_its_browser_behind_pipelined_requests(
    proxied: Proxied, backend: Listener, behave: object, leave: object
) -> None:
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    await browser.send(GET * 200)
    await running_for_a_while(asked, behave)
    leave(browser)  # type: ignore[operator]  # one of the above
    assert await gone(asked, behave, AT_ONCE * 5) < AT_ONCE


@BACKENDS
@LEAVING
async def test_upload_nobody_reads_ends_with_its_browser(
    proxied: Proxied, backend: Listener, behave: object, leave: object
) -> None:
    """Both unsent buffers are full: closing either side gracefully would wait for ever."""
    browser = await proxied.browser()
    await browser.send(UPLOAD + BEGUN)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    await fill(proxied, browser)
    await running_for_a_while(asked, behave)
    leave(browser)  # type: ignore[operator]  # one of the above
    assert await gone_unread(asked, behave) < AT_ONCE


async def fill(proxied: Proxied, browser: Wire) -> None:
    """Upload until the proxy stops reading, and little enough more for a FIN to get through."""
    (connection,) = proxied.server.connections
    loop = asyncio.get_running_loop()
    paused_since = loop.time()
    while loop.time() - paused_since < 0.05:
        if not connection._pausing.is_paused:
            await browser.send(bytes(32_768))
            paused_since = loop.time()
        await asyncio.sleep(0.001)  # and the proxy has its turn


async def gone_unread(asked: Wire, behave: object) -> float:
    """As ``gone``, at a backend that never reads: its socket says so."""
    behaving = asyncio.ensure_future(behave(asked))  # type: ignore[operator]  # one of the above
    poll = select.poll()
    poll.register(asked.socket.fileno(), select.POLLRDHUP)
    try:
        async with Stopwatch() as watch, asyncio.timeout(AT_ONCE * 5):
            while not poll.poll(0):  # noqa: ASYNC110 - no event loop waits for POLLRDHUP
                await asyncio.sleep(0.005)
            return watch.seconds
    finally:
        await settle(behaving)


@BACKENDS
async def test_half_open_browser_is_given_up_after_the_stated_time(
    start: Start, backend: Listener, behave: object
) -> None:
    proxied = await start(relay, patience=PATIENCE)
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    assert await browser.head()
    vanish(browser)
    assert await gone(asked, behave, GIVEN_UP) < GIVEN_UP


async def test_browser_that_reads_nothing_is_dropped(start: Start, backend: Listener) -> None:
    proxied = await start(relay, patience=0.3)
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    assert await gone(asked, streaming, GIVEN_UP) < GIVEN_UP


async def test_tunnel_and_call_on_one_connection_leave_nothing_behind(proxied: Proxied, backend: Listener) -> None:
    """After its browser left, a call frees its lane slot and its tasks."""
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    assert proxied.upstream.lanes.in_use(Lane.CALLS) == 1
    browser.close()
    await asked.hear_end(1.0)
    assert proxied.upstream.lanes.in_use(Lane.CALLS) == 0
