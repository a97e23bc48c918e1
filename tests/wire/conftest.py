"""A browser and a backend made of bare sockets, with the proxy between them.

A test plays both ends, one step after the other, and sees every byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest
import uvloop

from proxy.http.downstream.rules import Rules
from proxy.http.downstream.server import Server, listen
from proxy.http.forward import forward
from proxy.http.upstream.lanes import DEFAULT_BOUNDS, Lane, Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream

if TYPE_CHECKING:
    from proxy.http.downstream.observer import Observer
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.room import Room

PATIENCE = 5.0


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test here on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Stopwatch:
    """Seconds that pass inside it, less those by which a busy machine made the event loop late."""

    def __init__(self) -> None:
        self._start = self._late = 0.0
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._start = asyncio.get_running_loop().time()
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._ticking is not None
        self._ticking.cancel()
        await asyncio.wait({self._ticking})

    @property
    def seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._start - self._late

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            self._late += loop.time() - before - 0.01


class Wire:
    """One end of a connection, read and written by hand."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - its only argument
        self.socket = sock
        self.buffer = bytearray()
        self.was_reset = False

    async def send(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            await loop.sock_sendall(self.socket, data)

    async def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            assert await self._more(), f"the connection ended after {bytes(self.buffer[:1000])!r}"
        return self._cut(self.buffer.index(end) + len(end))

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            assert await self._more(), f"the connection ended after {bytes(self.buffer[:1000])!r}"
        return self._cut(count)

    async def peek(self, count: int) -> bytes:
        """What ``take`` would return."""
        taken = await self.take(count)
        self.buffer[:0] = taken
        return taken

    async def answer_with(self, answer: bytes, length: int) -> bytes:
        """The body of a request of ``length`` bytes, which is answered."""
        await self.head()
        body = await self.take(length)
        await self.send(answer)
        return body

    async def rest(self) -> bytes:
        """All that comes until the connection ends, gracefully or by a reset."""
        with contextlib.suppress(ConnectionError):
            while await self._more():
                pass
        return self._cut(len(self.buffer))

    async def hear_end(self, within: float) -> float:
        """Seconds until the connection ends, which is no later than ``within``."""
        loop = asyncio.get_running_loop()
        async with Stopwatch() as watch, asyncio.timeout(within):
            with contextlib.suppress(ConnectionError):
                while await loop.sock_recv(self.socket, 65_536):
                    pass
            return watch.seconds

    async def send_until_blocked(self, limit: int) -> int:
        """Bytes sent until nothing is taken for a while, or ``limit`` is passed."""
        loop, sent = asyncio.get_running_loop(), 0
        with contextlib.suppress(TimeoutError):
            while sent < limit:
                async with asyncio.timeout(0.3):
                    await loop.sock_sendall(self.socket, bytes(65_536))
                sent += 65_536
        return sent

    def shut_down(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _cut(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    async def _more(self) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                data = await loop.sock_recv(self.socket, 65_536)
        except ConnectionError:
            self.was_reset = True
            raise
        self.buffer += data
        return data


class Listener:
    """The backend: accepts a connection when the test says so."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - its only argument
        sock.listen(512)
        self.socket = sock
        self.accepted: list[Wire] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    async def accept(self, within: float = PATIENCE) -> Wire:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within):
            sock, _ = await loop.sock_accept(self.socket)
        self.accepted.append(Wire(sock))
        return self.accepted[-1]

    async def nobody_comes(self, seconds: float = 0.1) -> bool:
        try:
            await self.accept(seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self.socket.close()
        for wire in self.accepted:
            wire.close()


@dataclass
class Proxied:
    """A running proxy."""

    upstream: Upstream
    server: Server
    port: int
    wires: list[Wire]

    async def browser(self, receive_buffer: int | None = None) -> Wire:
        """A new connection to it."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        wire = Wire(sock)
        self.wires.append(wire)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            await loop.sock_connect(sock, ("127.0.0.1", self.port))
        return wire


Handle = Callable[["Request", Upstream], Awaitable["Response"]]
Start = Callable[..., Awaitable[Proxied]]


async def on_calls(request: Request, upstream: Upstream) -> Response:
    """What the proxies of most tests do with every request."""
    return await forward(request, upstream, Lane.CALLS)


@pytest.fixture
async def start(backend: Listener) -> AsyncIterator[Start]:
    """Starts a proxy in front of ``backend``, with the settings a test is about."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(
            handle: Handle = on_calls,
            *,
            url: str | Origin | None = None,
            bounds: Mapping[Lane, int] = DEFAULT_BOUNDS,
            lane_wait: float = 5.0,
            upstream: Mapping[str, Any] | None = None,
            observer: Observer | None = None,
            room: Room | None = None,
            **rules: Any,
        ) -> Proxied:
            origin = url if isinstance(url, Origin) else Origin.parse(url or backend.url)
            asked = Upstream(origin, Lanes(bounds, wait=lane_wait), **(upstream or {}))

            async def handler(request: Request) -> Response:
                return await handle(request, asked)

            served = Server(handler, Rules(**rules), observer=observer, room=room)
            listening = await listen(served, "127.0.0.1", 0)
            port = listening.sockets[0].getsockname()[1]
            proxied = Proxied(asked, served, port, [])
            stack.push_async_callback(_stop, proxied, listening)
            return proxied

        yield run


async def _stop(proxied: Proxied, listening: asyncio.Server) -> None:
    for wire in proxied.wires:
        wire.close()
    listening.close()
    await proxied.server.shutdown(0.1)
    proxied.upstream.close()
    await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a stranger sends, it is no error of the proxy's; a test of one clears the log."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture
async def backend() -> AsyncIterator[Listener]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    listener = Listener(sock)
    yield listener
    listener.close()


@pytest.fixture
async def proxied(start: Start) -> Proxied:
    return await start()
