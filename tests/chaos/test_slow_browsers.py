"""P7, every buffer has a size: a browser that is slower than its stream holds the backend back, and loses nothing."""

import asyncio
import contextlib
import re
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from proxy.app import running
from proxy.config import ListenSettings, RelaySettings, Settings, UpstreamSettings
from tests.support.notes import Notes
from tests.support.raw import RawBrowser

BUFFER = 256 << 10
HELD = 4 << 20
"""Bytes that Python may hold in all, on both sides of the proxy and in it; the kernel's buffers are its own."""

ENDLESS = 512 << 20
SLOWLY = 8 << 20
UNCHUNKED = b"GET /api/chat/stream?stream_id=x HTTP/1.0\r\nHost: hermes\r\n\r\n"
PIECE = "x" * 1000


class Firehose:
    """A backend whose stream is as fast as it is read."""

    def __init__(self) -> None:
        self.sent = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        with contextlib.suppress(ConnectionError):
            asked = await reader.readuntil(b"\r\n\r\n")
            if not asked.startswith(b"GET /api/chat/stream"):  # but the proxy's own question
                writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                writer.close()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            while self.sent < ENDLESS:
                frame = f'event: token\ndata: {{"text": "{PIECE}", "number": {number}}}\n\n'.encode()
                writer.write(frame)
                await writer.drain()
                self.sent += len(frame)
                number += 1
        writer.transport.abort()

    async def held_back(self) -> int:
        """Bytes sent, once there are no more for a while."""
        before = -1
        async with asyncio.timeout(30):
            while self.sent != before:
                before = self.sent
                await asyncio.sleep(0.5)
        return before


@pytest.fixture
async def firehose() -> AsyncIterator[tuple[Firehose, str]]:
    source = Firehose()
    server = await asyncio.start_server(source.answer, "127.0.0.1", 0)
    yield source, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_slow_browser_holds_the_backend_back(firehose: tuple[Firehose, str]) -> None:
    source, url = firehose
    settings = Settings(
        listen=ListenSettings(port=0),
        upstream=UpstreamSettings(url=url),
        relay=RelaySettings(buffer=BUFFER, log=1 << 20, reattach=0),
    )
    tracemalloc.start()
    try:
        async with running(settings, Notes()) as proxy:
            browser = RawBrowser(int(proxy.url.rpartition(":")[2]), receive_buffer=65_536)
            with contextlib.closing(browser):
                await browser.connect()
                await browser.send(UNCHUNKED)
                await browser.until(b"event: token")
                sent = await source.held_back()
                received = await read_slowly(browser)
                more = await source.held_back()
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sent < ENDLESS // 8, "the kernel's buffers, and ours"
    assert sent < more < ENDLESS // 8, "what was read made room"
    assert received >= SLOWLY
    assert peak < HELD


async def read_slowly(browser: RawBrowser) -> int:
    """Takes some megabytes and keeps none; the numbers of the frames in them follow one another."""
    received, expected = 0, 0
    while received < SLOWLY:
        received += len(await browser.read())
        whole, _, rest = bytes(browser.received).rpartition(b"\n\n")
        for number in re.findall(rb'"number": (\d+)\}', whole):
            assert int(number) == expected
            expected += 1
        browser.received[:] = rest
    return received
