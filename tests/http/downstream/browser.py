"""A browser's connection without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.http.downstream.response import reply
from proxy.http.downstream.rules import Rules
from proxy.http.downstream.server import Server
from proxy.http.message import Answer
from tests.support.transport import Transport, turns

if TYPE_CHECKING:
    from proxy.http.downstream.observer import Observer
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.downstream.serving import Handler

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = Answer(200, b"OK", ((b"Content-Length", b"2"),), b"ok")
OK_WIRE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STRANGER = "203.0.113.9"


async def say_ok(request: Request) -> Response:
    return reply(request, OK)


async def say_ok_to_a_full_browser(request: Request) -> Response:
    """The answer is written, and its browser takes no more for now."""
    response = reply(request, OK)
    request.connection.pause_writing()
    return response


class Browser:
    """Somebody's connection to a server of its own, unless it is given one.

    Attributes:
        server: Whose connection it is.
        connection: What is tested.
        transport: Its other side.
        asked: The requests that the handler was given.
    """

    def __init__(
        self,
        handler: Handler = say_ok,
        *,
        server: Server | None = None,
        is_secure: bool = False,
        observer: Observer | None = None,
        **rules: Any,
    ) -> None:
        self.asked: list[Request] = []

        async def handle(request: Request) -> Response:
            self.asked.append(request)
            return await handler(request)

        self.server = server or Server(handle, Rules(**rules), observer=observer)
        self.connection = self.server()
        tls = object() if is_secure else None
        self.transport = Transport(self.connection, peername=(STRANGER, 1), sslcontext=tls)
        self.connection.connection_made(self.transport)

    @property
    def is_open(self) -> bool:
        return not self.transport.is_closing()

    async def send(self, data: bytes) -> bytes:
        """What comes back at once."""
        self.connection.data_received(data)
        return await self.hear()

    async def hear(self) -> bytes:
        await turns()
        return self.transport.took()

    async def leave(self) -> None:
        """A FIN, and then the end."""
        if not self.connection.eof_received():
            self.transport.close()
        await turns()
