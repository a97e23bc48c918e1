"""WebSockets, as the bytes they are.

Once the backend has agreed to switch (101), both connections carry frames that end at the browser
and at the backend, and this proxy only moves bytes between them. So messages of any size, their
fragments, pings, pongs and close codes pass as sent, and extensions such as permessage-deflate are
the two ends' own agreement: nothing here has to understand them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.http.downstream.response import Response, begin
from proxy.http.framing import SWITCHING
from proxy.http.headers import end_to_end, values
from proxy.http.inflow import Inflow
from proxy.http.settling import settle
from proxy.http.trailers import passed_trailers
from proxy.http.upstream.lanes import Lane

if TYPE_CHECKING:
    from proxy.http.downstream.connection import DownstreamConnection
    from proxy.http.downstream.request import Request
    from proxy.http.upstream.connection import UpstreamConnection
    from proxy.http.upstream.stream import ResponseStream
    from proxy.http.upstream.upstream import Upstream

GOODBYE: Final = 1.0
"""Seconds in which the backend may finish after the browser has said its last (RFC 6455 §7.1.1)."""


async def tunnel(request: Request, upstream: Upstream) -> Response:
    """Ask the backend for the WebSocket the browser asks for, and join the two.

    A backend that refuses answers as to any other request.

    Raises:
        ProxyError: there is no answer, or no slot.
        ConnectionError: the browser is gone.
    """
    async with upstream.request(request.head(), Lane.RELAYS, upgrade=request.upgrade) as stream:
        if stream.status == SWITCHING:
            return await _join(request, stream)
        response = begin(request, stream)
        async for chunk in stream.chunks():
            await response.write(chunk)
        response.end(passed_trailers(stream.trailers, stream.headers))
        return response


async def _join(request: Request, stream: ResponseStream) -> Response:
    response = Response(request, SWITCHING)
    request.account.disarm()
    response.switch(request, stream.reason, end_to_end(stream.headers), values(stream.headers, b"upgrade")[0])
    stream.connection.limit_silence(None)
    try:
        await _pump_both(request, response, stream)
    finally:
        stream.abort()
    return response


async def _pump_both(request: Request, response: Response, stream: ResponseStream) -> None:
    """Move bytes until the backend has hung up, or the browser has and the backend had its say.

    Raises:
        ConnectionError: the browser does not take what the backend says.
    """
    from_backend = asyncio.create_task(_to_browser(stream, response))
    from_browser = asyncio.create_task(_to_backend(request.connection, stream.connection))
    try:
        await asyncio.wait({from_browser, from_backend}, return_when=asyncio.FIRST_COMPLETED)
        if not from_backend.done():
            _say_goodbye(stream.connection)
            await asyncio.wait({from_backend}, timeout=GOODBYE)
    finally:
        await settle(from_browser, from_backend)
    if not from_backend.cancelled():
        from_backend.result()


async def _to_browser(stream: ResponseStream, response: Response) -> None:
    async for piece in stream.chunks():
        await response.write(piece)


async def _to_backend(browser: DownstreamConnection, backend: UpstreamConnection) -> None:
    inflow = Inflow(browser.update_reading)
    browser.tunnel(inflow)
    while piece := await inflow.read():
        backend.writer.write(piece)
        if backend.writer.is_full:
            await backend.writer.drain()


def _say_goodbye(connection: UpstreamConnection) -> None:
    transport = connection.transport
    if connection.is_connected and transport is not None and transport.can_write_eof():
        transport.write_eof()
