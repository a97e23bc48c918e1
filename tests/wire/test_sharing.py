"""While others wait, nobody holds a connection to the backend for a browser that does not get on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from proxy.events.requests import RequestEnded, RequestSlow
from proxy.http.downstream.observer import Observer
from proxy.http.forward import forward
from proxy.http.settling import settle
from proxy.http.upstream.lanes import DEFAULT_BOUNDS, Lane
from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start, Wire

FEW = 3
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
BOUNDS = {**DEFAULT_BOUNDS, Lane.CALLS: FEW, Lane.RELAYS: FEW}
MUCH = 32 << 20
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n"


async def by_method(request: Request, upstream: Upstream) -> Response:
    """``SUBSCRIBE`` is for a stream."""
    return await forward(request, upstream, Lane.RELAYS if request.method == "SUBSCRIBE" else Lane.CALLS)


@pytest.fixture
async def proxied(start: Start, observer: Observer) -> Proxied:
    return await start(by_method, bounds=BOUNDS, observer=observer)


class Ended:
    """What became of requests."""

    def __init__(self) -> None:
        self.errors: list[object] = []

    def __call__(self, event: RequestEnded | RequestSlow, /) -> None:
        if isinstance(event, RequestEnded):
            self.errors.append(event.error)


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
def observer(ended: Ended) -> Observer:
    return Observer(ended, slow_after=60)


async def download(proxied: Proxied, backend: Listener, request: bytes = GET) -> tuple[Wire, asyncio.Task[None]]:
    """More than all buffers on the way hold, and whoever sends it."""
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(request)
    asked = await backend.accept()
    await asked.head()

    async def pour() -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH)
        for _ in range(MUCH >> 16):
            async with asyncio.timeout(60):
                await asyncio.get_running_loop().sock_sendall(asked.socket, bytes(1 << 16))

    return browser, asyncio.create_task(pour())


async def is_answered(proxied: Proxied, backend: Listener) -> bool:
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(OK)
    return (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_downloads_that_nobody_takes_keep_nobody_out(proxied: Proxied, backend: Listener, ended: Ended) -> None:
    """Where `patience` would let them have every slot for half a minute."""
    pouring = [(await download(proxied, backend))[1] for _ in range(FEW)]
    assert await is_answered(proxied, backend)
    assert ended.errors == ["crowded_out", None]
    await settle(*pouring)


async def test_uploads_that_stop_keep_nobody_out(proxied: Proxied, backend: Listener) -> None:
    uploading = [await proxied.browser() for _ in range(FEW)]
    for browser in uploading:
        await browser.send(POST + BEGUN)
        await (await backend.accept()).head()
    assert await is_answered(proxied, backend)
    heads = [asyncio.create_task(browser.head()) for browser in uploading]
    (first,), others = await asyncio.wait(heads, return_when=asyncio.FIRST_COMPLETED)
    assert (await first).startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in await first
    assert json.loads(await uploading[heads.index(first)].until(b"}"))["code"] == "crowded_out"
    await settle(*others)


async def test_uploads_that_drip_keep_nobody_out(proxied: Proxied, backend: Listener) -> None:
    """Each byte is on time."""

    async def drip() -> None:
        browser = await proxied.browser()
        await browser.send(POST + BEGUN)
        while True:
            await browser.send(b"x")
            await asyncio.sleep(0.05)

    dripping = [asyncio.create_task(drip()) for _ in range(FEW)]
    for _ in dripping:
        await (await backend.accept()).head()
    assert await is_answered(proxied, backend)
    await settle(*dripping)


async def test_a_download_that_is_taken_slowly_goes_on(proxied: Proxied, backend: Listener, ended: Ended) -> None:
    """Those that are not taken at all give way, whenever they began."""
    slow, pouring = await download(proxied, backend)
    pourings = [pouring, *[(await download(proxied, backend))[1] for _ in range(FEW - 1)]]
    taking = asyncio.create_task(take_slowly(slow))
    for _ in range(FEW - 1):
        assert await is_answered(proxied, backend)
    assert not taking.done()
    await settle(*pourings, taking)


async def take_slowly(browser: Wire) -> None:
    while True:
        await browser.take(20_000)
        await asyncio.sleep(0.05)


async def test_a_download_that_nobody_takes_stays_while_nobody_waits(
    proxied: Proxied, backend: Listener, ended: Ended
) -> None:
    _, pouring = await download(proxied, backend)
    for _ in range(5):
        assert await is_answered(proxied, backend)
        await asyncio.sleep(0.3)
    assert ended.errors == [None] * 5
    await settle(pouring)


async def test_a_stream_that_nobody_takes_gives_way_to_another(proxied: Proxied, backend: Listener) -> None:
    subscribe = GET.replace(b"GET", b"SUBSCRIBE")
    pouring = [(await download(proxied, backend, subscribe))[1] for _ in range(FEW)]
    refused = await proxied.browser()
    await refused.send(subscribe)
    assert (await refused.head()).startswith(b"HTTP/1.1 503 ")
    await asyncio.sleep(1.2)
    _, another = await download(proxied, backend, subscribe)
    await settle(*pouring, another)
