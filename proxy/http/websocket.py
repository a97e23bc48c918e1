"""WebSockets, as the bytes they are.

Once the backend has agreed to switch (101), both connections carry frames that end at the browser
and at the backend, and this proxy only moves bytes between them. So messages of any size, their
fragments, pings, pongs and close codes pass as sent, and extensions such as permessage-deflate are
the two ends' own agreement: nothing here has to understand them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from aiohttp.streams import StreamReader

from proxy.http.headers import end_to_end, values
from proxy.http.lanes import Lane
from proxy.http.response import RawResponse, begin
from proxy.http.roundtrip import SWITCHING
from proxy.http.stream import settle
from proxy.http.writer import PatientWriter

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.http import WebSocketReader

    from proxy.http.connection import Connection
    from proxy.http.downstream import Downstream
    from proxy.http.request import Request
    from proxy.http.stream import ResponseStream
    from proxy.http.upstream import Upstream

BUFFER: Final = 65_536
"""Bytes held in each direction before reading stops; aiohttp lets it come to twice that."""

GOODBYE: Final = 1.0
"""Seconds in which the backend may finish after the browser has said its last (RFC 6455 §7.1.1)."""


async def tunnel(request: Request, upstream: Upstream) -> web.StreamResponse:
    """Ask the backend for the WebSocket the browser asks for, and join the two.

    A backend that refuses answers as to any other request.

    Raises:
        ProxyError: there is no answer, or no slot.
        ConnectionError: the browser is gone.
    """
    head = request.head()
    async with upstream.request(head, Lane.RELAYS, upgrade=request.upgrade) as stream:
        if stream.status != SWITCHING:
            response = await begin(request, stream)
            async for chunk in stream.chunks():
                await response.write(chunk)
            await response.write_eof()
            return response
        return await _join(request, stream)


async def _join(request: Request, stream: ResponseStream) -> web.StreamResponse:
    said = values(stream.headers, b"upgrade")
    response = RawResponse(SWITCHING, stream.reason, end_to_end(stream.headers), upgrade=said[0])
    request.account.disarm()
    await response.prepare(request)
    try:
        await _pump_both(request, stream)
    finally:
        stream.abort()
    await response.write_eof()
    return response


async def _pump_both(request: Request, stream: ResponseStream) -> None:
    """Move bytes until the backend has hung up, or the browser has and the backend had its say.

    Raises:
        ConnectionError: the browser does not take what the backend says.
    """
    loop = asyncio.get_running_loop()
    to_backend = PatientWriter(stream.connection, loop, request.downstream.rules.patience)
    from_backend = asyncio.create_task(_pump(_from_backend(stream.connection), request.patient_writer))
    from_browser = asyncio.create_task(_pump(_from_browser(request.downstream), to_backend))
    try:
        await asyncio.wait({from_browser, from_backend}, return_when=asyncio.FIRST_COMPLETED)
        if not from_backend.done():
            _say_goodbye(stream.connection)
            await asyncio.wait({from_backend}, timeout=GOODBYE)
    finally:
        await settle(from_browser, from_backend)
    if not from_backend.cancelled():
        from_backend.result()


async def _pump(incoming: StreamReader, writer: PatientWriter) -> None:
    while chunk := await incoming.readany():
        await writer.write(chunk)


def _from_browser(downstream: Downstream) -> StreamReader:
    incoming = StreamReader(downstream, BUFFER, loop=asyncio.get_running_loop())
    downstream.set_parser(cast("WebSocketReader", _Verbatim(incoming)))
    return incoming


def _from_backend(connection: Connection) -> StreamReader:
    incoming = StreamReader(connection, BUFFER, loop=asyncio.get_running_loop())
    connection.set_parser(_Verbatim(incoming), incoming)
    if not connection.connected:  # it said something and hung up, all within the 101
        incoming.feed_eof()
    return incoming


def _say_goodbye(connection: Connection) -> None:
    transport = connection.transport
    if transport is not None and not transport.is_closing() and transport.can_write_eof():
        transport.write_eof()


class _Verbatim:
    """Stands where aiohttp expects its parser of WebSocket frames, and parses nothing."""

    def __init__(self, incoming: StreamReader) -> None:
        self.feed_eof = incoming.feed_eof
        self._incoming = incoming

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._incoming.feed_data(data)
        return False, b""
