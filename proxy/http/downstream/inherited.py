"""Listening on sockets that another process made, and may have given to a successor of this one as well."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from proxy.http.downstream.server import BACKLOG
from proxy.http.settling import settle
from proxy.http.sockets import is_waited_at

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator, Sequence

    from proxy.http.downstream.server import Server

DEFERENCE: Final = 0.05
"""Seconds between looks at who still waits after the sockets have been handed over."""


class Inherited:
    """Sockets of a process that outlives this one, such as systemd (sd_listen_fds(3)).

    They keep whoever connects waiting while nobody accepts, so that no browser is refused between
    one proxy and the next.

    Args:
        server: Serves who connects.
        sockets: Stream sockets that listen; closed in the end.
        tls: How to speak TLS on them, if at all.
    """

    def __init__(self, server: Server, sockets: Sequence[socket.socket], *, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._sockets = tuple(sockets)
        self._tls = tls
        self._accepting: list[asyncio.Server] = []
        self._deferring: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            sock.settimeout(0.0)
            own = sock.dup()  # closed by the loop
            accepting = await loop.create_server(self._server, sock=own, ssl=self._tls, backlog=BACKLOG)
            self._accepting.append(accepting)
        return self

    def hand_over(self) -> None:
        """Leave new connections to whoever else listens, and end those between two requests.

        A successor may be there already, or come only when this process is gone. Until then
        somebody has to be there for a Stop, so what nobody else takes is still served here.
        """
        self._stop_accepting()
        self._server.retire()
        self._deferring = asyncio.create_task(self._serve_who_is_left())

    async def __aexit__(self, *_exc: object) -> None:
        """Accept nobody any more."""
        self._stop_accepting()
        if self._deferring is not None:
            await settle(self._deferring)
        for sock in self._sockets:
            sock.close()

    def _stop_accepting(self) -> None:
        while self._accepting:
            self._accepting.pop().close()

    async def _serve_who_is_left(self) -> None:
        """Takes who has waited from one look to the next: a successor would have been quicker."""
        waited: set[socket.socket] = set()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                await asyncio.sleep(DEFERENCE)
                waiting = {sock for sock in self._sockets if is_waited_at(sock)}
                for sock in waiting & waited:
                    for connection in _accept_all(sock):
                        handshakes.create_task(self._serve(connection))
                waited = waiting

    async def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):  # it left, or speaks no TLS
            await asyncio.get_running_loop().connect_accepted_socket(self._server, connection, ssl=self._tls)


def _accept_all(sock: socket.socket) -> Iterator[socket.socket]:
    with suppress(OSError):  # there is nobody any more
        while True:
            connection, _ = sock.accept()
            connection.settimeout(0.0)
            yield connection
