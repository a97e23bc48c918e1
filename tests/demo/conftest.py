"""A raw client for the stand-in: what is tested are its bytes and its connection habits."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.demo import RELEASES, Backend, Faults, Pace
from proxy.demo.ledger import ModelRequest
from tests.support.loopback_time import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]

PATIENCE = 5.0
FAST = Pace(token=0.01, first_token=0.02, unwind=0.02, spoil=0.5, gap=0.005)


@dataclass
class Reply:
    """A whole response: its status, header fields in order, and body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    reason: str = ""

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Event:
    """One SSE frame, or a comment (``name`` is then its text, with the colon)."""

    name: str
    data: Any = None
    event_id: str | None = None
    at: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def seq(self) -> int | None:
        return int(self.event_id.rpartition(":")[2]) if self.event_id else None


class Connection:
    """One TCP connection that sends what it is told, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Reply:
        """The next response's head."""
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        status, *lines = raw.decode("iso-8859-1").strip().split("\r\n")
        pairs = [tuple(line.split(": ", 1)) for line in lines]
        words = status.split(" ", 2)
        return Reply(int(words[1]), [(name, value) for name, value in pairs], b"", words[2])

    async def reply(self) -> Reply:
        """The next response, its body by ``Content-Length``."""
        reply = await self.head()
        async with asyncio.timeout(PATIENCE):
            reply.body = await self.reader.readexactly(int(reply.header("Content-Length") or 0))
        return reply

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""

    async def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes, not even the end, for so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    def reset(self) -> None:
        """Ends the connection with an RST: no lingering."""
        sock = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Subscription:
    """An open SSE response."""

    def __init__(self, connection: Connection, head: Reply) -> None:
        self.connection = connection
        self.head = head
        self.events: list[Event] = []
        self.ended = False

    async def next(self) -> Event | None:
        """The next frame or comment; ``None`` when the server has closed."""
        async with asyncio.timeout(PATIENCE):
            try:
                raw = (await self.connection.reader.readuntil(b"\n\n")).decode().strip("\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                self.ended = True
                return None
        event = _parse(raw)
        self.events.append(event)
        return event

    async def until(self, name: str) -> Event:
        """Reads on until an event of that name has come."""
        while event := await self.next():
            if event.name == name:
                return event
        raise AssertionError(f"the stream ended before {name!r}: {self.names}")

    async def to_end(self) -> list[Event]:
        """Reads until the server closes."""
        while await self.next():
            pass
        return self.events

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def story(self) -> list[str]:
        """The names without comments and ``metering``, whose number depends on the clock."""
        return [name for name in self.names if name != "metering" and not name.startswith(":")]

    @property
    def text(self) -> str:
        return "".join(event.data["text"] for event in self.events if event.name == "token")


def _parse(raw: str) -> Event:
    if raw.startswith(":"):
        return Event(raw)
    fields = dict(line.split(": ", 1) for line in raw.split("\n"))
    return Event(fields["event"], json.loads(fields["data"]), fields.get("id"))


class Client:
    """Talks to one backend; every call has a connection of its own."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._connections: list[Connection] = []

    @property
    def host(self) -> str:
        return self._address.netloc

    async def connect(self, source: str | None = None) -> Connection:
        reader, writer = await asyncio.open_connection(
            self._address.hostname, self._address.port, local_addr=(source, 0) if source else None
        )
        connection = Connection(reader, writer)
        self._connections.append(connection)
        return connection

    def encode(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> bytes:
        """A request; ``Content-Length`` is added for a body, underscores in names are hyphens."""
        fields = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            fields.setdefault("Content-Length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("iso-8859-1") + (body or b"")

    async def call(self, method: str, path: str, payload: Any = None, **headers: str) -> Reply:
        connection = await self.connect()
        body = None if payload is None else json.dumps(payload).encode()
        await connection.send(self.encode(method, path, body, **headers))
        reply = await connection.reply()
        await connection.close()
        return reply

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, payload: Any = None, **headers: str) -> Reply:
        return await self.call("POST", path, {} if payload is None else payload, **headers)

    async def subscribe(self, path: str, **headers: str) -> Subscription:
        connection = await self.connect()
        await connection.send(self.encode("GET", path, **headers))
        return Subscription(connection, await connection.head())

    async def session(self) -> str:
        return str((await self.post("/api/session/new")).json["session"]["session_id"])

    async def start(self, session_id: str, message: str) -> str:
        reply = await self.post("/api/chat/start", {"session_id": session_id, "message": message})
        assert reply.status == 200, reply.body
        return str(reply.json["stream_id"])

    async def stream(self, stream_id: str, more: str = "", **headers: str) -> Subscription:
        return await self.subscribe(f"/api/chat/stream?stream_id={stream_id}{more}", **headers)

    async def steer(self, session_id: str, text: str) -> Any:
        return (await self.post("/api/chat/steer", {"session_id": session_id, "text": text})).json

    async def cancel(self, stream_id: str) -> Any:
        return (await self.get(f"/api/chat/cancel?stream_id={stream_id}")).json["cancelled"]

    async def status(self, stream_id: str) -> Any:
        return (await self.get(f"/api/chat/stream/status?stream_id={stream_id}")).json

    async def health(self) -> Any:
        return (await self.get("/health")).json

    async def until_idle(self) -> None:
        """Waits until no worker runs; polled, as a browser or a proxy has to."""
        async with asyncio.timeout(PATIENCE):
            while (await self.health())["active_runs"]:  # noqa: ASYNC110  over HTTP there is no event to wait for
                await asyncio.sleep(0.01)

    async def until_journalled(self, stream_id: str, seq: int) -> None:
        """Waits until a stream's journal has so many events."""
        async with asyncio.timeout(PATIENCE):
            while (await self.status(stream_id)).get("journal", {}).get("last_seq", 0) < seq:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        for connection in self._connections:
            connection.reset()


@dataclass
class Stage:
    """A running backend and a client of it."""

    backend: Backend
    client: Client

    def hang(self) -> None:
        """From now on a cancelled worker stays, so that a test can look while it unwinds."""
        self.backend.faults = replace(self.backend.faults, hang=True)

    def unhang(self) -> None:
        """Lets it unwind."""
        self.backend.faults = replace(self.backend.faults, hang=False)

    async def asked(self, stream_id: str, times: int = 1) -> ModelRequest:
        """The turn's newest request to the model, once there are so many."""
        ledger = self.backend.ledger
        await ledger.until(lambda: len(ledger.model_requests_of(stream_id)) >= times)
        return ledger.model_requests_of(stream_id)[-1]

    async def answered(self, stream_id: str, times: int = 1) -> ModelRequest:
        """The same, once the model's work on it has ended."""
        request = await self.asked(stream_id, times)
        await self.backend.ledger.until(lambda: request.end is not None)
        return request


Play = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    """Starts a backend of the release asked for, quick unless told otherwise."""
    stages: list[Stage] = []

    async def start(release: str = "v0.52.262", *, faults: Faults | None = None, **options: Any) -> Stage:
        backend = Backend(release, **{"pace": FAST, **options})
        backend.faults = faults or Faults()
        await backend.start()
        stages.append(Stage(backend, Client(backend.url)))
        return stages[-1]

    yield start
    for stage in stages:
        await stage.client.close()
        await stage.backend.close()


@pytest.fixture(params=list(RELEASES))
def release(request: pytest.FixtureRequest) -> str:
    """Each release in turn."""
    return str(request.param)
