"""A backend for benchmarks: the calls of Hermes that are measured, written for speed.

It runs in the load generator's own process and event loop, so that what reaches it is known at once and on the same
clock. What it holds is looked at directly, without asking it over the wire.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httptools

from tests.bench.feeds import Feed
from tests.bench.payload import Payload, send_payload

BACKLOG = 4096
_OK = b"HTTP/1.1 200 OK\r\nServer: bench\r\n"
SMALL = b'{"auth_enabled": false, "logged_in": true, "password_set": false}'


class Backend:
    """What the backend holds.

    Attributes:
        port: Where it listens, on loopback.
        feeds: Every turn started, by stream.
        streaming: The connections that carry an event stream now.
        held: Those whose call waits to be released.
        uploaded: The last upload, as far as it has arrived.
    """

    def __init__(self) -> None:
        self.port = 0
        self.feeds: dict[str, Feed] = {}
        self.streaming: set[_Connection] = set()
        self.held: set[_Connection] = set()
        self.uploaded = Payload()
        self._numbers = count(1)

    def start(self, session_id: str | None) -> Feed:
        """A new turn of that session, or of one that no frame of its stream names."""
        stream_id = f"{next(self._numbers):032x}"
        feed = self.feeds[stream_id] = Feed(stream_id, session_id)
        return feed

    def release(self) -> None:
        """Answer the calls that are held."""
        for connection in tuple(self.held):
            connection.answer(SMALL)
        self.held.clear()

    def reset(self) -> None:
        """Begin anew: what the last measurement left open is closed."""
        for connection in self.streaming | self.held:
            connection.transport.abort()
        self.feeds.clear()


class _Connection(asyncio.Protocol):
    """One connection to the backend, kept for as many calls as come."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._parser = httptools.HttpRequestParser(self)
        self._writable = asyncio.Event()
        self._writable.set()
        self._sending: asyncio.Task[None] | None = None
        self._url = b""
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are of a class of their own

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.streaming.discard(self)
        self._backend.held.discard(self)
        if self._sending is not None:
            self._sending.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- what the parser found ---------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        if self._url.endswith(b"/api/upload"):
            self._backend.uploaded = Payload()

    def on_body(self, body: bytes) -> None:
        if self._url.endswith(b"/api/upload"):
            self._backend.uploaded.feed(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        url, self._url = urlsplit(self._url.decode()), b""
        body, self._body = bytes(self._body), bytearray()
        _ROUTES[url.path](self, parse_qs(url.query).get("stream_id", [""])[0], body)

    # -- the calls ---------------------------------------------------------------------------------

    def answer(self, body: bytes) -> None:
        head = b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % (_OK, len(body)) + body)

    def small(self, _stream_id: str, _body: bytes) -> None:
        self.answer(SMALL)

    def hold(self, _stream_id: str, _body: bytes) -> None:
        self._backend.held.add(self)

    def health(self, _stream_id: str, _body: bytes) -> None:
        self.answer(b'{"status": "ok", "active_streams": 0, "active_runs": 0, "runs": [], "uptime_seconds": 1}')

    def start(self, _stream_id: str, body: bytes) -> None:
        session_id = json.loads(body)["session_id"]
        feed = self._backend.start(session_id)
        self.answer(json.dumps({"stream_id": feed.stream_id, "session_id": session_id}).encode())

    def open_stream(self, stream_id: str, _body: bytes) -> None:
        self._backend.streaming.add(self)
        self._backend.feeds[stream_id].open(self.transport)

    def cancel(self, stream_id: str, _body: bytes) -> None:
        self._backend.feeds[stream_id].cancel()
        self.answer(json.dumps({"ok": True, "cancelled": True, "stream_id": stream_id}).encode())

    def status(self, stream_id: str, _body: bytes) -> None:
        self.answer(json.dumps({"active": False, "stream_id": stream_id}).encode())

    def download(self, _stream_id: str, _body: bytes) -> None:
        self._sending = asyncio.create_task(send_payload(self.transport, self._writable, _OK))

    def upload(self, _stream_id: str, _body: bytes) -> None:
        self.answer(SMALL)


_ROUTES: dict[str, Callable[[_Connection, str, bytes], None]] = {
    "/api/auth/status": _Connection.small,
    "/api/held": _Connection.hold,
    "/health": _Connection.health,
    "/api/chat/start": _Connection.start,
    "/api/chat/stream": _Connection.open_stream,
    "/api/chat/cancel": _Connection.cancel,
    "/api/chat/stream/status": _Connection.status,
    "/api/file/raw": _Connection.download,
    "/api/upload": _Connection.upload,
}


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    """A backend that listens on a free port for as long as the context lasts."""
    held = Backend()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(held), "127.0.0.1", 0, backlog=BACKLOG)
    held.port = server.sockets[0].getsockname()[1]
    try:
        yield held
    finally:
        server.close()
