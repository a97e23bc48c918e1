"""Where operators connect: the application on a listener of its own, with bounds of its own."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from typing import cast

from aiohttp import web

from proxy.ops.admin.calls import METRICS
from proxy.ops.admin.connection import Connection

CONNECTIONS = 64
"""Most at once: the proxy's own share of the process's files is not theirs to use up (P7)."""

_CLOSING = 1.0
"""Seconds that open connections are given when the listener ends."""


class _Full(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


Dropped = Callable[[str], None]
"""Told why a connection was ended: `full`, `room` or `slow`."""


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """The application, for as long as the context lasts; where the port is 0, a free one is taken.

    Raises:
        OSError: the address is in use or not this host's.
    """
    async with _running(app) as accept:
        with closing(await asyncio.get_running_loop().create_server(accept, host, port)) as server:
            yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def inheriting(app: web.Application, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """The application on sockets that listen already; they are closed in the end."""
    async with _running(app) as accept:
        with ExitStack() as stack:
            for sock in sockets:
                server = await asyncio.get_running_loop().create_server(accept, sock=sock)
                stack.enter_context(closing(server))
            yield


@asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[Callable[[], asyncio.Protocol]]:
    """What makes a protocol of every new connection."""
    runner = web.AppRunner(app, handle_signals=False, handler_cancellation=True, shutdown_timeout=_CLOSING)
    await runner.setup()
    try:
        yield lambda: _protocol(runner.server, partial(_dropped, app))
    finally:
        await runner.cleanup()


def _dropped(app: web.Application, why: str) -> None:
    if (metrics := app.get(METRICS)) is not None:
        metrics("operator_dropped", why=why)


def _protocol(server: web.Server | None, dropped: Dropped) -> asyncio.Protocol:
    if server is None or not _has_room(server, dropped):
        dropped("full")
        return _Full()
    quiet, loop = _quiet(), asyncio.get_running_loop()
    return Connection(server, loop=loop, slow=partial(dropped, "slow"), access_log=quiet, logger=quiet)


def _has_room(server: web.Server, dropped: Dropped) -> bool:
    """Whether one more may connect: for a health check, say, the one that is waited for longest makes room."""
    connections = cast("list[Connection]", server.connections)
    if len(connections) < CONNECTIONS:
        return True
    waiting = [connection for connection in connections if connection.is_waiting]
    if not waiting:
        return False
    min(waiting, key=lambda connection: connection.since).force_close()
    dropped("room")
    return True


def _quiet() -> logging.Logger:
    """For aiohttp's own lines, which quote the bytes of a malformed request: there may be a token in them."""
    logger = logging.getLogger(f"{__name__}.aiohttp")
    logger.setLevel(logging.CRITICAL)
    return logger
