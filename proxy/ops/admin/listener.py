"""Where operators connect: the application on a listener of its own, with bounds of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from typing import Literal

from aiohttp import web

from proxy.events.process import OperatorDropped
from proxy.ops.admin.calls import METRICS
from proxy.ops.admin.connection import Connection
from proxy.ops.admin.limit import ConnectionLimit

CONNECTIONS = 64
"""Most at once: the proxy's own share of the process's files is not theirs to use up (P7)."""

_CLOSING = 1.0
"""Seconds that open connections are given when the listener ends."""


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
    limit = ConnectionLimit(CONNECTIONS, partial(_dropped, app))
    app.on_shutdown.append(lambda _: limit.end(_CLOSING))
    runner = web.AppRunner(app)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101 - it is set up
    try:
        yield lambda: Connection(server, limit)
    finally:
        await runner.cleanup()


def _dropped(app: web.Application, why: Literal["full", "room", "slow"]) -> None:
    if (metrics := app.get(METRICS)) is not None:
        metrics(OperatorDropped(why))
