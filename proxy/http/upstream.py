"""Requests to the backend: one lane slot, one connection, one answer each.

F8 decides how connections are used. The backend may leave a body unread, or answer ``OPTIONS``
without framing, and keep the connection open all the same: what is left over is then read as the
next request, or the next answer. So only a ``GET`` or ``HEAD`` without a body ever shares its
connection; everything else gets a fresh one that is told, and made, to close.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp.http_exceptions import HttpProcessingError

from proxy.http.account import asking
from proxy.http.errors import BackendBrokenError, BackendTooSlowError
from proxy.http.headers import serialize, values
from proxy.http.pool import IdlePool
from proxy.http.stream import BROKEN, ResponseStream, settle
from proxy.http.strictness import check_answer
from proxy.http.writer import PatientWriter, PeerStalledError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

    from proxy.http.connection import Connection
    from proxy.http.headers import RawHeaders
    from proxy.http.lanes import Lane, Lanes
    from proxy.http.message import Body, RequestHead
    from proxy.http.origin import Origin

SWITCHING: Final = 101

IDLE_CONNECTIONS: Final = 4
"""Most connections kept for another request, unless told otherwise; each may hold a thread (F7)."""

SHAREABLE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request as it is sent, as often as it is sent."""

    method: str
    wire: bytes
    body: Body | None
    upgrade: bytes | None


class Upstream:
    """The backend, as something to ask.

    Args:
        origin: Where it is.
        lanes: The slots to share.
        connect_timeout: Seconds to wait for a connection.
        response_timeout: Seconds without progress: of a request being sent, of the head of its
            answer once it was sent, and within the answer's body.
        idle_timeout: Seconds a connection is kept for another request; under 10, since each may
            hold one of the backend's threads (F7).
        idle_limit: Most connections kept so.

    Attributes:
        lanes, connect_timeout, response_timeout: As above; the timeouts hold for what is asked from now on.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        origin: Origin,
        lanes: Lanes,
        *,
        connect_timeout: float = 5.0,
        response_timeout: float = 600.0,
        idle_timeout: float = 8.0,
        idle_limit: int = IDLE_CONNECTIONS,
    ) -> None:
        self.lanes = lanes
        self._origin = origin
        self.connect_timeout = connect_timeout
        self.response_timeout = response_timeout
        self._pool = IdlePool(limit=idle_limit, timeout=idle_timeout)

    def close(self) -> None:
        """Close the idle connections. Those in use belong to who uses them."""
        self._pool.close()

    @asynccontextmanager
    async def request(
        self,
        head: RequestHead,
        lane: Lane,
        *,
        body: Body | None = None,
        repeatable: bool = True,
        upgrade: bytes | None = None,
    ) -> AsyncIterator[ResponseStream]:
        """Ask the backend, and read its answer inside the context.

        Leaving the context before the answer has ended aborts the connection at once.

        Args:
            head: End-to-end fields, target and method go out as they are.
            lane: Whose slot to take, held until the context is left.
            body: Streamed while the answer is awaited. An error answer stops it.
            repeatable: Whether a ``GET`` or ``HEAD`` may be sent again when the idle connection
                it went out on turns out to be dead. Never sent twice if False.
            upgrade: Protocol to ask to switch to (RFC 9110 §7.8).

        Raises:
            NoCapacityError: the lane is full.
            BackendUnreachableError, BackendTooSlowError, BackendBrokenError: no answer came.
            Exception: whatever ``body`` raises.
        """
        shares = repeatable and body is None and upgrade is None and head.method in SHAREABLE
        ask = _Ask(head.method, self._wire(head, body, upgrade, close=not shares), body, upgrade)
        async with self.lanes.slot(lane):
            with asking():
                stream = await (self._ask_shared(ask) if shares else self._ask_fresh(ask))
            del head, body, ask  # what was asked is not kept for as long as the answer lasts, which may be hours
            try:
                yield stream
            finally:
                await self._finish(stream, shares=shares)

    def _wire(self, head: RequestHead, body: Body | None, upgrade: bytes | None, *, close: bool) -> bytes:
        fields = list(head.headers)
        if not values(fields, b"host"):  # HTTP/1.0 needs none, HTTP/1.1 does (RFC 9112 §3.2)
            fields.append((b"Host", self._origin.authority))
        if body is not None:
            fields += _framing(body, fields)
        if upgrade is not None:
            fields += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
        elif close:
            fields.append((b"Connection", b"close"))
        return serialize(b"%b %b HTTP/1.1" % (head.method.encode(), head.target), fields)

    async def _ask_shared(self, ask: _Ask) -> ResponseStream:
        idle = self._pool.take()
        if idle is not None:
            try:
                return await self._ask(idle, ask)
            except BackendBrokenError:
                if idle.heard:
                    raise
            # It was closed while idle: not a byte of an answer came (RFC 9112 §9.3.1).
        return await self._ask_fresh(ask)

    async def _ask_fresh(self, ask: _Ask) -> ResponseStream:
        connection = await self._origin.connect(self.connect_timeout)
        return await self._ask(connection, ask)

    async def _ask(self, connection: Connection, ask: _Ask) -> ResponseStream:
        sender: asyncio.Task[None] | None = None
        try:
            connection.ask(ask.wire, method=ask.method, silence=self.response_timeout)
            if ask.body is not None:
                sender = asyncio.create_task(self._send(connection, ask.body))
            message, content = await self._await_head(connection, sender)
            stream = ResponseStream(connection, message, content, sender)
            check_answer(message.version, stream.status, stream.reason, stream.headers)
            _check_switch(stream, ask.upgrade)
        except BROKEN as error:
            await _give_up(connection, sender)
            raise BackendBrokenError(_what_broke(error)) from error
        except BaseException:
            await _give_up(connection, sender)
            raise
        return stream

    async def _await_head(
        self, connection: Connection, sender: asyncio.Task[None] | None
    ) -> tuple[RawResponseMessage, StreamReader]:
        """The answer's head, heard also while the body is still being sent (RFC 9112 §9.5)."""
        try:
            if sender is not None:
                return await self._await_head_meanwhile(connection, sender)
            async with asyncio.timeout(self.response_timeout):
                return await connection.read_head()
        except TimeoutError:
            raise BackendTooSlowError(f"The backend did not answer in {self.response_timeout:g} s.") from None

    async def _await_head_meanwhile(
        self, connection: Connection, sender: asyncio.Task[None]
    ) -> tuple[RawResponseMessage, StreamReader]:
        reading = asyncio.create_task(connection.read_head())
        try:
            await asyncio.wait({reading, sender}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                sender.result()
            async with asyncio.timeout(self.response_timeout):
                return await reading
        finally:
            await settle(reading)

    async def _send(self, connection: Connection, body: Body) -> None:
        writer = PatientWriter(connection, asyncio.get_running_loop(), self.response_timeout)
        if body.length is None:
            writer.enable_chunking()
        try:
            async for chunk in body.chunks:
                await writer.write(chunk)
            await writer.write_eof()
        except PeerStalledError:
            raise BackendTooSlowError("The backend stopped taking the request.") from None
        except OSError:
            return  # it hung up: its answer, if it gave one, says why

    async def _finish(self, stream: ResponseStream, *, shares: bool) -> None:
        connection = stream.connection
        # First the connection, then the wait: the wait may be cancelled.
        if not stream.complete:
            connection.abort()
        elif shares and not connection.should_close:
            self._pool.put(connection)
        else:
            connection.close()
        await stream.stop_sending()


async def _give_up(connection: Connection, sender: asyncio.Task[None] | None) -> None:
    connection.abort()
    if sender is not None:
        await settle(sender)


def _what_broke(error: Exception) -> str:
    if isinstance(error, HttpProcessingError):
        return "The backend's answer is malformed."
    return "The backend hung up without an answer."


def _check_switch(stream: ResponseStream, asked: bytes | None) -> None:
    """RFC 9110 §7.8: a server switches to nothing but what it was asked for."""
    if stream.status != SWITCHING:
        return
    to = [protocol.lower() for protocol in values(stream.headers, b"upgrade")]
    if asked is None or to != [asked.lower()] or not stream.connection.upgraded:
        raise BackendBrokenError("The backend switched protocols unasked.")


def _framing(body: Body, fields: list[tuple[bytes, bytes]]) -> RawHeaders:
    """How the body ends, where ``fields`` do not say so yet (RFC 9112 §6)."""
    if body.length is None:
        return ((b"Transfer-Encoding", b"chunked"),)
    if values(fields, b"content-length"):
        return ()
    return ((b"Content-Length", b"%d" % body.length),)
