"""Where operators connect: the application on TCP, with bounds of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
    runner = web.AppRunner(app, handle_signals=False, handler_cancellation=True, shutdown_timeout=_CLOSING)
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(lambda: _protocol(runner), host, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
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
