"""A browser's request, as the bytes it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from aiohttp.http import HttpVersion11

from proxy.http.account import Account
from proxy.http.errors import RequestTooLargeError
from proxy.http.headers import (
    certain_address,
    client_address,
    content_length,
    forwarded,
    tokens,
    values,
    with_host,
)
from proxy.http.hops import passed_on
from proxy.http.incoming import Incoming
from proxy.http.message import Body, RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.downstream import Downstream
    from proxy.http.errors import ProxyError
    from proxy.http.headers import Address, RawHeaders
    from proxy.http.parser import RequestMessage
    from proxy.http.writer import PatientWriter


UNPARSED: Final = "UNKNOWN"
"""aiohttp's name for the method of what could not be parsed, whose path it calls ``/``."""


class Request(web.BaseRequest):
    """One request on a downstream connection.

    Attributes:
        account: What it comes to.
    """

    def __init__(self, *args: Any, clock: Callable[[], float]) -> None:
        super().__init__(*args)
        self.account = Account(clock)
        self._client: str | None = None
        self._incoming: Incoming | None = None
        self.patient_writer.on_body_write = self.account.wrote
        self.patient_writer.pace = self.account.pace

    @property
    def downstream(self) -> Downstream:
        """The connection it came on."""
        return cast("Downstream", self.protocol)

    @property
    def patient_writer(self) -> PatientWriter:
        """What its answer is written with."""
        return cast("PatientWriter", self.writer)

    @property
    def target(self) -> bytes:
        """The request target in origin-form, or ``*``.

        Byte for byte, but that absolute-form loses its scheme and authority (RFC 9112 §3.2.2):
        everybody behind here sees one path for one resource.
        """
        return self._split_target[1]

    @property
    def fields(self) -> RawHeaders:
        """Every field as received, but that the host of an absolute target is the one (RFC 9112 §3.2.2)."""
        authority = self._split_target[0]
        return self.raw_headers if authority is None else with_host(self.raw_headers, authority)

    @property
    def received(self) -> int:
        """Bytes of its body that have arrived."""
        return self._payload.total_bytes

    @property
    def peer(self) -> str:
        """IP address at the other end of the connection; empty for a Unix socket."""
        return self.downstream.peer

    @property
    def client(self) -> str:
        """IP address of the browser, as far as trusted proxies tell."""
        return self._client or client_address(
            self.raw_headers, peer=self.peer, trusted=self.downstream.rules.trusted_proxies
        )

    @property
    def certain_client(self) -> Address | None:
        """IP address of the browser, or None if there is a doubt about it."""
        return certain_address(self.raw_headers, peer=self.peer, trusted=self.downstream.rules.trusted_proxies)

    def head(self) -> RequestHead:
        """What goes on to the backend: end-to-end fields, and who asked."""
        rules = self.downstream.rules
        headers: RawHeaders = forwarded(
            self.fields,
            peer=self.peer,
            secure=self._transport_sslcontext is not None,
            trusted=rules.trusted_proxies,
            identity=rules.is_identity,
        )
        return RequestHead(self.method, self.target, passed_on(self.method, headers))

    def outlast(self) -> None:
        """Its answer lasts for as long as the browser stays.

        Nothing else is asked on the connection, lasting is not being slow, and of what was asked no
        more is kept than is told of it at its end.
        """
        self.downstream.discard_input()
        self.account.disarm()
        self._client = self.client
        message = cast("RequestMessage", self._message)
        message.forget()
        self._headers, self._rel_url = message.headers, message.url
        self._cache.clear()  # what aiohttp has derived from them

    @property
    def upgrade(self) -> bytes | None:
        """``websocket``, as it was spelled, if the request asks for one (RFC 6455 §4.1)."""
        if not self._message.upgrade or self.method != "GET" or self._framed:
            return None
        protocols = values(self.raw_headers, b"upgrade")
        if self.version < HttpVersion11 or [p.lower() for p in protocols] != [b"websocket"]:
            return None
        return protocols[0]

    @property
    def reusable(self) -> bool:
        """Whether another request can follow on this connection once this one is answered.

        Not with a body still under way; not after an ``Upgrade``, since the parser drops what is
        pipelined behind one it does not know; not after a chunked body, since the parser takes the
        last field of its trailer section for the first one of the next request; and not if the
        server is about to end.
        """
        return (
            self.keep_alive
            and self._payload.is_eof()
            and not self._message.upgrade
            and not self._message.chunked
            and not self.downstream.discards_input
            and not self.downstream.server.is_retiring
        )

    def body(self) -> Body | None:
        """The body under way, or None if the request announces none. May be taken once."""
        if not self._framed:
            return None
        rules, room = self.downstream.rules, self.downstream.server.room
        self._incoming = incoming = Incoming(self._payload, rules, room, self.account.pace)
        self.account.held = incoming.held
        return Body(content_length(self.raw_headers), incoming.chunks(self._say_continue), incoming.held)

    async def buffered(self, limit: int) -> bytes | None:
        """The whole body, or None if the request announces none.

        Raises:
            RequestTooLargeError: it is over ``limit`` bytes.
            RequestTimeoutError, BadRequestError: it did not arrive.
            NoRoomError: nothing more can be held.
        """
        body = self.body()
        if body is None:
            return None
        if (body.length or 0) > limit:
            raise RequestTooLargeError(f"The request's body is over {limit} bytes.")
        received = bytearray()
        async for chunk in body.chunks:
            received += chunk
            if len(received) > limit:
                raise RequestTooLargeError(f"The request's body is over {limit} bytes.")
        return bytes(received)

    def give_way(self, error: ProxyError) -> None:
        """Wait for this browser no more, neither for its body nor for it to take the answer."""
        if self._incoming is not None:
            self._incoming.give_way(error)
        self.patient_writer.give_up()

    def abort(self) -> None:
        """Drop the browser's connection at once, unsent bytes included."""
        self.downstream.abort()

    @property
    def _split_target(self) -> tuple[bytes | None, bytes]:
        return split_target(self._message.path.encode("utf-8", "surrogateescape"))

    @property
    def _framed(self) -> bool:
        return bool(values(self.raw_headers, b"content-length") or values(self.raw_headers, b"transfer-encoding"))

    def _say_continue(self) -> None:
        """Answer ``Expect`` once somebody is there to read the body (RFC 9110 §10.1.1)."""
        expects = b"100-continue" in tokens(self.raw_headers, b"expect")
        if expects and self.version >= HttpVersion11 and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def split_target(target: bytes) -> tuple[bytes | None, bytes]:
    """The authority of ``target`` and its origin-form; in origin-form, or ``*``, it has none (RFC 9112 §3.2)."""
    if target[:1] in {b"/", b"*"}:
        return None, target
    after_scheme = target.partition(b"://")[2]
    end = next((index for index, byte in enumerate(after_scheme) if byte in b"/?#"), len(after_scheme))
    authority, path = after_scheme[:end], after_scheme[end:]
    return authority, path if path.startswith(b"/") else b"/" + path
