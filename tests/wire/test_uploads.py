"""Request bodies: backpressure, early answers, and never a half that looks whole."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import pytest

from proxy.http.message import Body, RequestHead
from proxy.http.upstream.lanes import Lane
from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.wire.conftest import Listener, Proxied, Start

MUCH = 64 * 1024 * 1024
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
REFUSAL = b"HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_early_refusal_is_heard_and_sending_stops(proxied: Proxied, backend: Listener, how: str) -> None:
    """The backend closes with the body unread, as Hermes does, so its kernel resets."""
    browser = await proxied.browser()
    sending = asyncio.create_task(browser.send(POST % MUCH + bytes(MUCH)))
    asked = await backend.accept()
    await asked.head()
    await asked.send(REFUSAL)
    if how == "close":
        asked.close()
    head = await browser.head()
    assert head.startswith(b"HTTP/1.1 413 Too Big\r\n")
    assert await browser.take(3) == b"big"
    if how == "reset":
        asked.reset()
    sending.cancel()


async def test_early_refusal_is_heard_though_the_reset_came_first(proxied: Proxied, backend: Listener) -> None:
    """The proxy meets the reset by a failed write, before it has read the answer behind it."""
    browser = await proxied.browser()
    await browser.send(POST % MUCH + BEGUN)
    asked = await backend.accept()
    await asked.head()
    sock = asked.socket
    sock.setblocking(True)  # noqa: FBT003 - its only argument
    sock.sendall(REFUSAL)
    sock.close()  # with one byte unread: the answer and the reset are there before we yield
    browser.socket.setblocking(True)  # noqa: FBT003 - its only argument
    browser.socket.sendall(bytes(100_000))
    browser.socket.setblocking(False)  # noqa: FBT003 - its only argument
    assert (await browser.head()).startswith(b"HTTP/1.1 413 Too Big\r\n")
    assert await browser.take(3) == b"big"


async def test_sending_stops_with_the_head_of_a_refusal(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(POST % 65_539 + BEGUN)
    asked = await backend.accept()
    await asked.head()
    assert await asked.take(len(BEGUN)) == BEGUN
    await asked.send(REFUSAL[:-1])
    assert await browser.until(b"bi")
    await browser.send(b"def")
    await asked.send(b"g")
    assert await browser.take(1) == b"g"
    assert await asked.rest() == b""


async def test_early_success_does_not_stop_the_upload(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(POST % 65_538 + BEGUN)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n")
    assert await browser.until(b"1\r\n1\r\n")
    await browser.send(b"cd")
    assert await asked.take(65_538) == BEGUN + b"cd"
    await asked.send(b"0\r\n\r\n")
    assert await browser.rest() == b"0\r\n\r\n"


@pytest.mark.parametrize("framing", [b"Content-Length: 99999", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_truncated_upload_never_looks_whole(
    proxied: Proxied, backend: Listener, framing: bytes, how: str
) -> None:
    browser = await proxied.browser()
    body = b"10000\r\n" + BEGUN + b"\r\n" if b"chunked" in framing else BEGUN
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + body)
    asked = await backend.accept()
    await asked.head()
    assert await asked.until(BEGUN)
    browser.close() if how == "close" else browser.reset()
    assert b"0\r\n" not in await asked.rest()


async def test_cancelled_twice_the_connection_is_gone_all_the_same(proxied: Proxied, backend: Listener) -> None:
    """A failed write ends the call, and then the lost connection cancels it: cleaning up too."""

    async def slow_to_stop() -> AsyncIterator[bytes]:
        try:
            yield BEGUN
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.0)  # which is how long a clean-up that waited first would take

    async def call() -> None:
        head, body = RequestHead("POST", b"/", ((b"Host", b"h"),)), Body(99_999, slow_to_stop())
        async with proxied.upstream.request(head, Lane.CALLS, body=body):
            pass

    calling = asyncio.create_task(call())
    asked = await backend.accept()
    await asked.until(BEGUN)
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\n")
    ending = asyncio.create_task(asked.hear_end(2.0))
    await asyncio.sleep(0.05)
    calling.cancel()
    assert await ending < 0.2
    await asyncio.wait({calling})


async def test_upload_that_stops_is_408(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.2)
    browser = await proxied.browser()
    await browser.send(POST % 99_999 + BEGUN)
    asked = await backend.accept()
    await asked.head()
    assert (await browser.head()).startswith(b"HTTP/1.1 408 ")
    assert json.loads(await browser.rest())["code"] == "request_timeout"
    assert await asked.rest() == BEGUN


async def test_backend_that_stops_taking_an_upload_is_504(start: Start, backend: Listener) -> None:
    proxied = await start(upstream={"response_timeout": 0.2})
    browser = await proxied.browser()
    sending = asyncio.create_task(browser.send(POST % MUCH + bytes(MUCH)))
    asked = await backend.accept()
    await asked.head()
    assert (await browser.head()).startswith(b"HTTP/1.1 504 ")
    sending.cancel()


async def test_backend_that_reads_nothing_holds_the_browser_back(proxied: Proxied, backend: Listener) -> None:
    """What is buffered in between is bounded (P7): the kernels' buffers and a little more."""
    browser = await proxied.browser()
    await browser.send(POST % MUCH + BEGUN)
    asked = await backend.accept()
    await asked.head()
    assert await browser.send_until_blocked(MUCH) < 24 * 1024 * 1024


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_peer_that_was_held_back_gets_every_byte(proxied: Proxied, backend: Listener, direction: str) -> None:
    size = 24 * 1024 * 1024
    content = os.urandom(size)
    browser = await proxied.browser()
    began = content[: len(BEGUN)] if direction == "up" else b""
    await browser.send(POST % size + began if direction == "up" else b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    if direction == "down":
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        await browser.head()
    source, sink = (browser, asked) if direction == "up" else (asked, browser)
    sending = asyncio.create_task(source.send(content[len(began) :]))
    await asyncio.wait({sending}, timeout=0.2)
    assert not sending.done()
    assert await sink.take(size) == content
    await sending
