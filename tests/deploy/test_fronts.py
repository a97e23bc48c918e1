"""nginx and Caddy in front of the proxy, as deploy/ configures them: nothing of a stream is held back on the way."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend
from tests.support.lab import FAST, Browser
from tests.wire.conftest import Listener, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.deploy.conftest import Front
    from tests.wire.conftest import Wire

    PutInFront = Callable[[str], Awaitable[Front]]

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
"""Without the X-Accel-Buffering that Hermes adds, so that it is the configuration that is tested."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
AT_ONCE = 0.5
LEFT = 1.0
MIB = 1 << 20


@pytest.fixture
def backend() -> Iterator[Listener]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        listener = Listener(sock)
        yield listener
        listener.close()


@pytest.fixture
async def front(put_in_front: PutInFront, backend: Listener) -> Front:
    return await put_in_front(backend.url)


async def asked(backend: Listener) -> tuple[Wire, str]:
    """The next request that reaches the backend, and its head."""
    wire = await backend.accept()
    return wire, (await wire.head()).decode()


async def test_event_arrives_while_its_stream_goes_on(front: Front, backend: Listener) -> None:
    stream = await (await front.browser()).get("/events", ("accept", "text/event-stream"), ("accept-encoding", "gzip"))
    wire, _ = await asked(backend)
    await wire.send(SSE)
    for number in range(3):
        frame = b"data: %d\n\n" % number
        async with Stopwatch() as watch:
            await wire.send(frame)
            await stream.until(frame)
            assert watch.seconds < AT_ONCE
    assert stream.status == 200


async def test_tab_that_is_closed_closes_its_stream_and_no_other(front: Front, backend: Listener) -> None:
    browser = await front.browser()
    closed, open_ = await browser.get("/closed"), await browser.get("/open")
    wires = {head.split()[1]: wire for wire, head in [await asked(backend), await asked(backend)]}
    for wire in wires.values():
        await wire.send(SSE + b"data: 1\n\n")
    await closed.until(b"data: 1\n\n")
    await closed.let_go()
    await wires["/closed"].hear_end(within=LEFT)
    await wires["/open"].send(b"data: 2\n\n")
    await open_.until(b"data: 2\n\n")


async def test_browser_that_is_closed_closes_its_streams(front: Front, backend: Listener) -> None:
    browser = await front.browser()
    stream = await browser.get("/events")
    wire, _ = await asked(backend)
    await wire.send(SSE + b"data: 1\n\n")
    await stream.until(b"data: 1\n\n")
    await browser.close()
    await wire.hear_end(within=LEFT)


async def test_more_than_six_streams_share_a_connection(front: Front, backend: Listener) -> None:
    browser = await front.browser()
    assert browser.most_at_once >= 100
    streams = [await browser.get(f"/{number}") for number in range(20)]
    for _ in streams:
        wire, head = await asked(backend)
        await wire.send(SSE + f"data: {head.split()[1]}\n\n".encode())
    for number, stream in enumerate(streams):
        await stream.until(b"data: /%d\n\n" % number)


async def test_backend_hears_who_the_browser_is_and_not_who_it_says(front: Front, backend: Listener) -> None:
    browser = await front.browser(source="127.0.0.2")
    lies = [(f"x-forwarded-{name}", "10.9.9.9") for name in ("for", "host", "proto")]
    await browser.get("/", *lies)
    _, head = await asked(backend)
    fields = head.lower().split("\r\n")
    assert "x-forwarded-for: 127.0.0.2, 127.0.0.1" in fields
    assert "x-forwarded-proto: https" in fields
    assert f"x-forwarded-host: {front.authority}" in fields
    assert f"host: {front.authority}" in fields
    assert "10.9.9.9" not in head


async def test_upload_of_the_largest_size_goes_on_while_it_comes(front: Front, backend: Listener) -> None:
    size = 20 * MIB
    body = os.urandom(MIB) * (size // MIB)
    upload = await (await front.browser()).post("/api/upload", size)
    await upload.send(body[:MIB])
    wire, head = await asked(backend)
    assert f"content-length: {size}" in head.lower()
    assert await wire.take(MIB // 2) == body[: MIB // 2]
    sending = asyncio.create_task(upload.send(body[MIB:], last=True))
    assert await wire.take(size - MIB // 2) == body[MIB // 2 :]
    await sending
    await wire.send(OK)
    assert await upload.whole() == b"ok"


async def test_slow_browser_holds_its_answer_back(front: Front, backend: Listener) -> None:
    """Or else all of it is kept on the web server's disk."""
    _, writer = await front.connect()
    writer.write(f"GET /large HTTP/1.1\r\nHost: {front.authority}\r\n\r\n".encode())
    wire, _ = await asked(backend)
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
    assert await wire.send_until_blocked(128 * MIB) < 64 * MIB


async def test_websocket_passes(front: Front, backend: Listener) -> None:
    reader, writer = await front.connect()
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {front.authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    wire, head = await asked(backend)
    assert "upgrade: websocket" in head.lower()
    await wire.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.write(b"\x81\x85\x00\x00\x00\x00hello")
    assert await wire.take(11) == b"\x81\x85\x00\x00\x00\x00hello"
    await wire.send(b"\x81\x05hello")
    assert await reader.readexactly(7) == b"\x81\x05hello"
    writer.close()
    await wire.hear_end(within=LEFT)


async def test_stop_then_send_works_as_without_it(put_in_front: PutInFront) -> None:
    async with Backend(pace=FAST) as backend:
        front = await put_in_front(backend.url)
        browser = Browser(f"https://{front.authority}", await front.session())
        session_id, stopped, tab = await browser.turn("n=400 tag=A")
        answer = await browser.cancel(stopped)
        assert answer.json["cancelled"] is True
        assert (await tab.ended()).endings == ["cancel"]
        origin = {"Origin": f"https://{front.authority}"}
        started = await browser.start(session_id, "n=5 tag=B", headers=origin)
        assert started.status == 200
        assert (await browser.open(started.json["stream_id"]).ended()).endings == ["stream_end"]
