"""Where browsers connect: a server of requests, and listening on TCP, TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from proxy.http.crowd import Crowd, Welcome
from proxy.http.downstream import Downstream
from proxy.http.errors import TooManyConnectionsError
from proxy.http.hops import answer_here, hops_left
from proxy.http.places import OWNER, both_families, unix_socket
from proxy.http.request import Request
from proxy.http.response import reply
from proxy.http.room import Room
from proxy.http.rules import Rules
from proxy.http.strictness import MAX_FIELD, MAX_HEADERS, MAX_TARGET, check_request
from proxy.http.writer import PatientWriter

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader

    from proxy.http.observer import Observer

BACKLOG: Final = 1024
"""Connections that may wait to be accepted."""

_LOOK_AGAIN: Final = 0.02
"""Seconds between looks at what is still under way when the server ends."""

_LAST: Final = 0.1
"""Seconds in which a handler notices that its connection is gone."""

Handler = Callable[[Request], Awaitable[web.StreamResponse]]

READ_BUFFER: Final = 65_536
"""Bytes of a request body held before reading stops; aiohttp lets it come to twice that."""

LINGER: Final = 10.0
"""Seconds in which the rest of a refused upload is read and dropped, so that the refusal arrives."""


class Server(web.Server):
    """Makes a ``Downstream`` of every connection, and runs ``handler`` for every request.

    Args:
        handler: Answers a request. A ``ProxyError`` it raises becomes a JSON error, or aborts
            the connection once a head has gone out. It is cancelled when the browser leaves.
        rules: On which terms; assign others to ``rules`` at any time. What waits already goes on
            with those that it began with.
        idle_timeout: Seconds a connection may wait for its next request.
        observer: Told of every request.
        room: For the bodies that are held.

    Attributes:
        rules: The terms in force.
        crowd: Who has how many connections open.
        observer, room: As above.
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
        def vetted(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
            asked = cast("Request", request)
            if asked.downstream.welcome is Welcome.REFUSED:
                raise TooManyConnectionsError(
                    f"Your address has more than {self.rules.connections} connections open; close some and try again."
                )
            check_request(asked.method, asked.version, asked.fields)
            if hops_left(asked.method, asked.raw_headers) == 0:
                return reply(asked, answer_here(asked.method))
            return handler(asked)

        self.rules = rules or Rules()
        self.observer = observer
        self.crowd = Crowd()
        self.room = room or Room()
        self.is_retiring = False
        super().__init__(
            vetted,
            request_factory=self._request,
            handler_cancellation=True,
            keepalive_timeout=idle_timeout,
            max_line_size=MAX_TARGET,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            read_bufsize=READ_BUFFER,
            lingering_time=LINGER,
            auto_decompress=False,
            access_log=None,
        )

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection (``loop.create_server``)."""
        return Downstream(self, loop=self._loop, **self._kwargs)

    def retire(self) -> None:
        """Serve no connection twice from now on: those that wait for another request are closed.

        One that is so new that its first request is yet to come stays: closing it would lose that
        request, where a browser sends one that an old connection lost again (RFC 9112 §9.3.1).
        """
        self.is_retiring = True
        for connection in self._downstreams:
            if connection.is_idle and connection.has_served:
                connection.force_close()

    async def finish(self, within: float) -> None:
        """End: requests under way may come to their own end for ``within`` seconds; what is left is aborted."""
        self.retire()
        for connection in self._downstreams:
            connection.hang_up()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while any(not each.is_idle for each in self._downstreams):  # noqa: ASYNC110 - nobody tells it
                        await asyncio.sleep(_LOOK_AGAIN)
        finally:
            for connection in self._downstreams:
                connection.abort()
            await self.shutdown(_LAST)

    @property
    def _downstreams(self) -> list[Downstream]:
        return cast("list[Downstream]", self.connections)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: object,  # noqa: ARG002 - aiohttp's own, which ours stands in for
        task: asyncio.Task[None],
    ) -> Request:
        patient = PatientWriter(protocol, self._loop, self.rules.patience)
        return Request(message, payload, protocol, patient, task, self._loop, clock=time.monotonic)


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
