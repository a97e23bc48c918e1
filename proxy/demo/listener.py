"""The TCP side: connections served one request after another, as Hermes' threads do."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from proxy.demo import responses, wire
from proxy.demo.exchange import Exchange
from proxy.demo.ledger import ConnectionRecord, Ledger, RequestRecord

BACKLOG = 64
OVERFLOW_PATIENCE = 0.05
"""Seconds that an overflowing connection is given to send its head (F7)."""
OVERFLOW_ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Answering = Callable[[Exchange], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Listener:
    """Accepts connections, serves as many as there are slots, and keeps the ledger.

    Args:
        ledger: Told of every connection and request.
        answer: Answers one exchange.
        spawn: Runs a coroutine as a task that the backend owns.
        slots: Connections served at once, ``None`` for no limit (F7). As in Hermes, an idle
            kept-alive connection holds one too.
        idle_timeout: Seconds after which a connection without a request is closed.
    """

    def __init__(
        self, ledger: Ledger, answer: Answering, spawn: Spawn, *, slots: int | None, idle_timeout: float
    ) -> None:
        self._ledger = ledger
        self._answer = answer
        self._spawn = spawn
        self._slots = slots
        self._used_slots = 0
        self._idle_timeout = idle_timeout

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Starts to listen.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._accept, host, port, backlog=BACKLOG)

    def _accept(self) -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=wire.LINE_LIMIT, loop=asyncio.get_running_loop())
        return _Connection(self._ledger, self._connected, reader)

    def _connected(self, reader: Reader, writer: Writer, record: ConnectionRecord) -> None:
        _keep_alive(writer)
        if self._slots is not None and self._used_slots >= self._slots:
            self._spawn(self._overflow(reader, writer, record))
            return
        self._used_slots += 1
        self._spawn(self._serve(reader, writer, record))

    async def _overflow(self, reader: Reader, writer: Writer, record: ConnectionRecord) -> None:
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(OVERFLOW_PATIENCE):
                await reader.readuntil(b"\r\n\r\n")
        writer.write(OVERFLOW_ANSWER)
        await self._hang_up(writer, record)

    async def _serve(self, reader: Reader, writer: Writer, record: ConnectionRecord) -> None:
        try:
            while await self._serve_one(reader, writer, record):
                pass
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        except BaseException:
            writer.transport.abort()
            raise
        finally:
            self._used_slots -= 1
            record.released_at = time.monotonic()
            await self._hang_up(writer, record)

    async def _serve_one(self, reader: Reader, writer: Writer, record: ConnectionRecord) -> bool:
        """One request; whether the connection waits for another."""
        try:
            request = await self._next_request(reader)
        except wire.BadRequestError as error:
            writer.write(responses.render_error(error))
            return False
        if request is None:
            return False
        received = _describe(request, record)
        self._ledger.received(received)
        if request.method not in wire.METHODS:
            refusal = wire.BadRequestError(501, f"Unsupported method ({request.method!r})")
            writer.write(responses.render_error(refusal, with_body=request.method != "HEAD"))
            return False
        if request.expects_continue:
            writer.write(responses.render_continue())
        exchange = Exchange(request, reader, writer, received, record)
        await self._answer(exchange)
        self._ledger.changed()
        return exchange.keep_alive

    async def _next_request(self, reader: Reader) -> wire.Request | None:
        try:
            async with asyncio.timeout(self._idle_timeout):
                return await wire.read_request(reader)
        except TimeoutError:
            return None

    async def _hang_up(self, writer: Writer, record: ConnectionRecord) -> None:
        record.closed()
        self._ledger.changed()
        writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._idle_timeout):
                await writer.wait_closed()


class _Connection(asyncio.StreamReaderProtocol):
    """A stream protocol that notes when the client's end arrives, whoever is reading."""

    def __init__(
        self,
        ledger: Ledger,
        connected: Callable[[Reader, Writer, ConnectionRecord], None],
        reader: Reader,
    ) -> None:
        super().__init__(reader, self._begin)
        self._ledger = ledger
        self._connected = connected
        self._record: ConnectionRecord | None = None

    def _begin(self, reader: Reader, writer: Writer) -> None:
        self._record = self._ledger.opened(_host_of(writer))
        self._connected(reader, writer, self._record)

    def eof_received(self) -> bool | None:
        """FIN: Hermes goes on writing until a write fails."""
        self._note_client_left()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """RST, or our own close."""
        if exc is not None:
            self._note_client_left()
        super().connection_lost(exc)

    def _note_client_left(self) -> None:
        if self._record:
            self._record.client_left()
            self._ledger.changed()


def _describe(request: wire.Request, connection: ConnectionRecord) -> RequestRecord:
    line = request.raw.split(b"\n", 1)[0].rstrip(b"\r")
    headers = [(name, str(value)) for name, value in request.headers.items()]
    return RequestRecord(line, request.raw, headers, connection.number)


def _keep_alive(writer: Writer) -> None:
    """Hermes' keepalive: a half-open client is found out within 25 seconds."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, name, value)


def _host_of(writer: asyncio.StreamWriter) -> str:
    """The client's address; empty if it left before its connection was made."""
    peername = writer.get_extra_info("peername")
    return str(peername[0]) if peername else ""
