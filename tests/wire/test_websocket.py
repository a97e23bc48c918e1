"""WebSockets pass as the bytes they are, both ways."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from proxy.http.upstream.lanes import Lane

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start, Wire

HELLO = (
    b"GET /ws HTTP/1.1\r\nHost: example.test:1\r\nConnection: keep-alive, Upgrade\r\n"
    b"upgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://example.test:1\r\n\r\n"
)
ASKED = (
    b"GET /ws HTTP/1.1\r\nHost: example.test:1\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://example.test:1\r\n"
    b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: example.test:1\r\n"
    b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
)
WELCOME = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
AT_ONCE = 0.2


async def joined(proxied: Proxied, backend: Listener) -> tuple[Wire, Wire]:
    browser = await proxied.browser()
    await browser.send(HELLO)
    asked = await backend.accept()
    assert await asked.head() == ASKED
    await asked.send(WELCOME)
    assert await browser.head() == WELCOME
    return browser, asked


async def test_handshake_and_bytes_pass_unchanged(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await joined(proxied, backend)
    assert proxied.upstream.lanes.in_use(Lane.RELAYS) == 1
    frames = os.urandom(300_000)
    sending = asyncio.gather(browser.send(frames), asked.send(frames[::-1]))
    assert await asked.take(len(frames)) == frames
    assert await browser.take(len(frames)) == frames[::-1]
    await sending


async def test_frames_sent_with_the_handshake_arrive(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(HELLO + b"early")
    asked = await backend.accept()
    await asked.head()
    await asked.send(WELCOME + b"early too")
    assert await browser.take(len(WELCOME) + 9) == WELCOME + b"early too"
    assert await asked.take(5) == b"early"


async def test_last_frame_arrives_though_the_backend_hangs_up_behind_it(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(HELLO)
    asked = await backend.accept()
    await asked.head()
    await asked.send(WELCOME + b"\x88\x02\x03\xe8")
    asked.close()
    assert await browser.rest() == WELCOME + b"\x88\x02\x03\xe8"
    assert not browser.was_reset


async def test_last_frame_arrives_though_the_browser_hangs_up_behind_it(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await joined(proxied, backend)
    await browser.send(b"\x88\x82mask\x00\x00")
    browser.shut_down()
    assert await asked.rest() == b"\x88\x82mask\x00\x00"
    await asked.send(b"\x88\x02\x03\xe8")
    asked.close()
    assert await browser.rest() == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_backend_hears_at_once_that_the_browser_left(proxied: Proxied, backend: Listener, how: str) -> None:
    browser, asked = await joined(proxied, backend)
    browser.close() if how == "close" else browser.reset()
    assert await asked.hear_end(2.0) < AT_ONCE


async def test_browser_hears_that_the_backend_broke(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await joined(proxied, backend)
    asked.reset()
    assert await browser.hear_end(1.0) < AT_ONCE


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"404 Not Found", b"426 Upgrade"])
async def test_refused_upgrade_is_an_ordinary_answer(proxied: Proxied, backend: Listener, status: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(HELLO)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 %b\r\nX: y\r\nContent-Length: 2\r\n\r\nno" % status)
    assert await browser.rest() == (b"HTTP/1.1 %b\r\nX: y\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno" % status)


async def test_end_that_reads_nothing_holds_the_other_back(proxied: Proxied, backend: Listener) -> None:
    """What is buffered in between is bounded (P7)."""
    browser, _ = await joined(proxied, backend)
    much = 64 * 1024 * 1024
    assert await browser.send_until_blocked(much) < 24 * 1024 * 1024


async def test_end_that_takes_nothing_is_given_up(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.3)
    _, asked = await joined(proxied, backend)
    with pytest.raises(ConnectionError):
        await asked.send(bytes(64 * 1024 * 1024))


async def test_a_real_client_and_server_agree_through_the_proxy(start: Start) -> None:
    """aiohttp's own, with compression, large and binary messages, ping, pong and close codes."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=0, protocols=["b"], autoping=True)
        await ws.prepare(request)
        async for message in ws:
            if message.data == "bye":
                await ws.close(code=4001, message=b"as asked")
            elif message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)
        return ws

    loop = asyncio.get_running_loop()
    server = web.Server(serve)
    listening = await loop.create_server(server, "127.0.0.1", 0)
    proxied = await start(url=f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    big = os.urandom(6 * 1024 * 1024)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"http://127.0.0.1:{proxied.port}/",
            protocols=["a", "b"],
            compress=15,
            max_msg_size=0,
            autoping=False,
        ) as ws,
    ):
        assert (ws.protocol, bool(ws.compress)) == ("b", True)
        await ws.send_str("grüße" * 1000)
        assert await ws.receive_str() == "grüße" * 1000
        await ws.send_bytes(big)
        assert await ws.receive_bytes() == big
        await ws.ping(b"here")
        assert (await ws.receive()).type is WSMsgType.PONG
        await ws.send_str("bye")
        closed = await ws.receive()
        assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 4001, "as asked")
        await ws.close(code=WSCloseCode.OK)
    listening.close()
    await server.shutdown(0.1)
