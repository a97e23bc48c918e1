"""A backend without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.http.message import RequestHead
from proxy.http.upstream.connection import UpstreamConnection
from proxy.http.upstream.lanes import DEFAULT_BOUNDS, Lanes
from proxy.http.upstream.upstream import Upstream
from tests.support.transport import Transport, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from proxy.http.errors import ProxyError
    from proxy.http.upstream.lanes import Lane

GET = RequestHead("GET", b"/a", ((b"Host", b"h"),))
POST = RequestHead("POST", b"/p", ((b"Host", b"h"),))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PATIENCE = 30.0


class Wire:
    """One connection, and the backend's end of it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.connection = UpstreamConnection(patience)
        encrypted = object()  # so that nobody looks for last words in a socket
        self.transport = Transport(self.connection, sslcontext=encrypted)
        self.connection.connection_made(self.transport)

    @property
    def is_open(self) -> bool:
        return not self.transport.is_closing()

    async def hear(self) -> bytes:
        await turns()
        return self.transport.took()

    async def say(self, data: bytes) -> None:
        self.connection.data_received(data)
        await turns()

    async def hang_up(self, error: BaseException | None = None) -> None:
        self.transport.abort()
        self.connection.connection_lost(error)
        await turns()


class Backend:
    """Takes connections, and is an `Origin` to whoever asks.

    Attributes:
        wires: Those that were made.
        refuses: What whoever connects is told, if anything.
    """

    authority = b"backend"

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.refuses: ProxyError | None = None

    async def connect(self, _timeout: float, patience: float) -> UpstreamConnection:
        if self.refuses is not None:
            raise self.refuses
        wire = Wire(patience)
        self.wires.append(wire)
        return wire.connection

    def asked_by(self, bounds: Mapping[Lane, int] = DEFAULT_BOUNDS, **settings: Any) -> Upstream:
        origin: Any = self
        return Upstream(origin, Lanes(bounds, wait=5.0), response_timeout=PATIENCE, **settings)


async def pieces(*chunks: bytes | BaseException) -> AsyncIterator[bytes]:
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        yield chunk
