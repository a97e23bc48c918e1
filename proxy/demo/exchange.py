"""One request and its answer, on a connection that behaves as Hermes' do."""

import asyncio
import json
from typing import Any

from proxy.demo import responses, wire
from proxy.demo.ledger import ConnectionRecord, RequestRecord

CHUNK = 65536
SSE_HEADERS: responses.Headers = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)


class MissingFieldError(ValueError):
    """A body without a field that the call needs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Missing required field(s): {name}")


class Exchange:
    """What a route is given: the request, its body, and the way to answer.

    Attributes:
        keep_alive: Whether the connection waits for another request afterwards.
    """

    def __init__(
        self,
        request: wire.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        record: RequestRecord,
        connection: ConnectionRecord,
    ) -> None:
        self.request = request
        self.keep_alive = request.keep_alive
        self._reader = reader
        self._writer = writer
        self._record = record
        self._connection = connection

    @property
    def peer(self) -> str:
        """The client's address, by TCP and nothing else (F9)."""
        return self._connection.peer

    async def body(self) -> bytes:
        """The request's body; as much of it as came, if the client left in the middle."""
        parts: list[bytes] = []
        left = self.request.length
        while left and (part := await self._reader.read(min(left, CHUNK))):
            parts.append(part)
            left -= len(part)
            self._record.body_size += len(part)
        return b"".join(parts)

    async def json_body(self) -> dict[str, Any]:
        """The body as a JSON object; anything else is an empty one."""
        try:
            parsed = json.loads(await self.body())
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    async def answer(self, answer: responses.Answer) -> None:
        """Writes a whole response."""
        self._record.status = answer.status
        await self._write(responses.render_answer(answer, self.request))

    async def answer_unframed(self, status: int, headers: responses.Headers) -> None:
        """Writes a head that says nothing of a body, on a connection that stays open (F8)."""
        self._record.status = status
        await self._write(responses.render_head(status, headers))

    async def open_sse(self, *, closing: bool) -> None:
        """Writes the head of an SSE response.

        Args:
            closing: Says ``Connection: close``, as Hermes' chat, approval and clarify streams do.
        """
        headers = (*SSE_HEADERS, ("Connection", "close")) if closing else SSE_HEADERS
        self.keep_alive = self.keep_alive and not closing
        self._record.status = 200
        self._connection.path = self.request.path
        await self._write(b"" if self.request.bare else responses.render_head(200, headers))

    async def send(self, data: bytes, *, deadline: float) -> None:
        """Writes a piece of an SSE response.

        Raises:
            ConnectionError: the client is gone.
            TimeoutError: it took nothing for ``deadline`` seconds.
        """
        async with asyncio.timeout(deadline):
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        if self._writer.transport.is_closing():  # asyncio drops what is written then, and uvloop raises RuntimeError
            raise ConnectionResetError("the client is gone")
        self._writer.write(data)
        await self._writer.drain()


def required(body: dict[str, Any], name: str) -> str:
    """The body's field ``name``.

    Raises:
        MissingFieldError: there is none, or it is empty.
    """
    value = str(body.get(name) or "")
    if not value:
        raise MissingFieldError(name)
    return value
