"""The load generator's connections: one that asks call after call, and one that watches a stream."""

import asyncio
import time
from typing import TYPE_CHECKING, Self, cast

import httptools

from tests.bench.payload import Payload, send_payload
from tests.bench.reading import Reading

if TYPE_CHECKING:
    from array import array

_OK = 200


class _Exchange(asyncio.Protocol):
    """A connection whose answers are taken apart as they come."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are of a class of their own

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    @classmethod
    async def _connect(cls, made: Self, port: int) -> Self:
        await asyncio.get_running_loop().create_connection(lambda: made, "127.0.0.1", port)
        return made


class BrokenError(ConnectionError):
    """An answer that broke off, or is not what was asked for."""


class Caller(_Exchange):
    """A connection that asks one thing after another."""

    def __init__(self) -> None:
        super().__init__()
        self._payload: Payload | None = None
        self._body = bytearray()
        self._answered: asyncio.Future[bytes] | None = None

    @classmethod
    async def connect(cls, port: int) -> Self:
        return await cls._connect(cls(), port)

    async def ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        """The body of the answer.

        Raises:
            BrokenError: there is none, or it is an error.
        """
        head = f"{method} {target} HTTP/1.1\r\nHost: hermes\r\nAccept: application/json\r\n".encode()
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        answered = self._expect()
        self.transport.write(head + b"\r\n" + body)
        return await answered

    async def download(self, target: str) -> Payload:
        """The file, as it arrived."""
        self._payload = payload = Payload()
        await self.ask("GET", target)
        self._payload = None
        return payload

    async def upload(self, target: str) -> None:
        """Send the file, and wait for the answer."""
        answered = self._expect()
        head = f"POST {target} HTTP/1.1\r\nHost: hermes\r\n".encode()
        await send_payload(self.transport, self.writable, head)
        await answered

    def close(self) -> None:
        self.transport.close()

    def _expect(self) -> asyncio.Future[bytes]:
        if self.transport.is_closing():
            raise BrokenError("the connection was closed between two calls")
        self._answered = asyncio.get_running_loop().create_future()
        return self._answered

    def on_body(self, body: bytes) -> None:
        if self._payload is not None:
            self._payload.feed(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        body, self._body = bytes(self._body), bytearray()
        status = self.parser.get_status_code()
        if self._answered is None or self._answered.done():
            return
        if status == _OK:
            self._answered.set_result(body)
        else:
            self._answered.set_exception(BrokenError(f"answered {status}: {body[:200]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(BrokenError("the connection was closed in the middle of a call"))


class Watcher(_Exchange):
    """A connection that watches one event stream.

    Attributes:
        reading: What has been read of it.
        first_byte: Nanoseconds until the first event, once it was read.
        ended: Done when the stream is over.
    """

    def __init__(self, delays: "array[int]") -> None:
        super().__init__()
        self.reading = Reading(delays)
        self.first_byte = 0
        self._asked = 0
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def open(cls, port: int, stream_id: str, delays: "array[int]", query: str = "") -> Self:
        """The stream, with its first event read; `query` says more than which one it is.

        Raises:
            BrokenError: it is refused, or ends at once.
        """
        watcher = await cls._connect(cls(delays), port)
        target = f"/api/chat/stream?stream_id={stream_id}{query}"
        head = f"GET {target} HTTP/1.1\r\nHost: hermes\r\nAccept: text/event-stream\r\n\r\n"
        watcher._asked = time.monotonic_ns()
        watcher.transport.write(head.encode())
        await watcher._begun
        return watcher

    def leave(self) -> None:
        """Close the connection, as a tab does."""
        self.transport.close()

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status != _OK:
            self._begun.set_exception(BrokenError(f"a stream was answered {status}"))

    def on_body(self, body: bytes) -> None:
        if not self._begun.done():
            self.first_byte = time.monotonic_ns() - self._asked
            self._begun.set_result(None)
        self.reading.feed(body)

    def on_message_complete(self) -> None:
        self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    def _over(self) -> None:
        if not self._begun.done():
            self._begun.set_exception(BrokenError("a stream ended before its first event"))
        if not self.ended.done():
            self.ended.set_result(None)
