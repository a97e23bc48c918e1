"""Where operators connect: the application on a listener of its own, with bounds of its own."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing

from aiohttp import web

from proxy.ops.admin.connection import Connection

CONNECTIONS = 64
"""Most at once: the proxy's own share of the process's files is not theirs to use up (P7)."""

_CLOSING = 1.0
"""Seconds that open connections are given when the listener ends."""


class _Full(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


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
        yield lambda: _protocol(runner)
    finally:
        await runner.cleanup()


def _protocol(runner: web.AppRunner) -> asyncio.Protocol:
    server = runner.server
    if server is None or len(server.connections) >= CONNECTIONS:
        return _Full()
    quiet = _quiet()
    return Connection(server, loop=asyncio.get_running_loop(), access_log=quiet, logger=quiet)


def _quiet() -> logging.Logger:
    """For aiohttp's own lines, which quote the bytes of a malformed request: there may be a token in them."""
    logger = logging.getLogger(f"{__name__}.aiohttp")
    logger.setLevel(logging.CRITICAL)
    return logger
