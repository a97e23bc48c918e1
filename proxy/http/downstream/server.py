"""Where browsers connect: a server of requests, and listening on TCP, TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from proxy.http.downstream.connection import DownstreamConnection
from proxy.http.downstream.connection_limit import ConnectionLimit
from proxy.http.downstream.hops import answer_here, hops_left
from proxy.http.downstream.places import OWNER, both_families, unix_socket
from proxy.http.downstream.response import reply
from proxy.http.downstream.rules import Rules
from proxy.http.room import Room

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.http.downstream.observer import Observer
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.downstream.serving import Handler

BACKLOG: Final = 1024
"""Connections that may wait to be accepted."""

_LAST: Final = 0.1
"""Seconds in which a handler notices that its connection is gone."""


class Server:
    """Makes a `DownstreamConnection` of every connection, and runs ``handler`` for every request.

    Args:
        handler: Answers a request. A ``ProxyError`` it raises becomes a JSON error, or ends
            the connection once a head has gone out. It is cancelled when the browser leaves.
        rules: On which terms; assign others to ``rules`` at any time. What waits already goes on
            with those that it began with.
        idle_timeout: Seconds a connection may wait for its next request.
        observer: Told of every request.
        room: For the bodies that are held.

    Attributes:
        rules, idle_timeout, observer, room: As above.
        limit: Who has how many connections open.
        connections: Those that are open.
        is_retiring: Whether every connection ends with the request that is under way on it.
    """

    def __init__(
        self,
        handler: Handler,
        rules: Rules | None = None,
        *,
        idle_timeout: float = 75.0,
        observer: Observer | None = None,
        room: Room | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self.idle_timeout = idle_timeout
        self.observer = observer
        self.room = room or Room()
        self.limit = ConnectionLimit()
        self.connections: set[DownstreamConnection] = set()
        self.is_retiring = False
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._disown = self._tasks.discard

    def __call__(self) -> DownstreamConnection:
        """The protocol of a new connection (``loop.create_server``)."""
        return DownstreamConnection(self)

    async def handle(self, request: Request) -> Response:
        """The handler's answer, unless the request may go no further than here (RFC 9110 §7.6.2).

        Raises:
            ProxyError: there is none.
        """
        if hops_left(request.method, request.raw_headers) == 0:
            return reply(request, answer_here(request.method))
        return await self._handler(request)

    def own(self, task: asyncio.Task[None]) -> None:
        """Await a request's task in the end, though its connection is gone."""
        self._tasks.add(task)
        task.add_done_callback(self._disown)

    def retire(self) -> None:
        """Serve no connection twice from now on: those that wait for another request are closed.

        One that is so new that its first request is yet to come stays: closing it would lose that
        request, where a browser sends one that an old connection lost again (RFC 9112 §9.3.1).
        """
        self.is_retiring = True
        for connection in tuple(self.connections):
            if connection.is_idle and connection.has_served:
                connection.close()

    async def finish(self, within: float) -> None:
        """End: requests under way may come to their own end for ``within`` seconds; what is left is aborted."""
        self.retire()
        for connection in tuple(self.connections):
            connection.hang_up()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=within)
        await self.shutdown(_LAST)

    async def shutdown(self, within: float) -> None:
        """Break off every connection; handlers have ``within`` seconds to notice."""
        for connection in tuple(self.connections):
            connection.end_for_server()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=within)


async def listen(server: Server, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    """Listen on TCP, with or without TLS; on ``::`` for IPv4 as well, where the system allows it.

    Raises:
        OSError: the address is in use or not this host's.
    """
    loop = asyncio.get_running_loop()
    handshake = server.rules.head_timeout if tls is not None else None
    if (sock := both_families(host, port)) is not None:
        return await loop.create_server(server, sock=sock, ssl=tls, ssl_handshake_timeout=handshake, backlog=BACKLOG)
    return await loop.create_server(server, host, port, ssl=tls, ssl_handshake_timeout=handshake, backlog=BACKLOG)


async def listen_unix(server: Server, path: Path, *, mode: int = OWNER, group: int | None = None) -> asyncio.Server:
    """Listen on a Unix socket; one left over at ``path`` is replaced.

    Args:
        server: Serves who connects.
        path: Where.
        mode: Who may connect.
        group: The number of the group that it belongs to, if not this process's own.

    Raises:
        OSError: as ``unix_socket`` says.
    """
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(server, sock=unix_socket(path, mode=mode, group=group), backlog=BACKLOG)


def tls_context(cert: Path, key: Path | None = None) -> ssl.SSLContext:
    """How the listener speaks TLS.

    Raises:
        OSError: a file cannot be read (``ssl.SSLError`` if it holds no certificate or key).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
