"""A browser's request, as the bytes it came in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from proxy.http.errors import BadRequestError, RequestTimeoutError, RequestTooLargeError
from proxy.http.headers import client_address, content_length, forwarded, tokens, values
from proxy.http.message import Body, RequestHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.http.downstream import Downstream
    from proxy.http.headers import RawHeaders
    from proxy.http.writer import PatientWriter


class Request(web.BaseRequest):
    """One request on a downstream connection."""

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
        return origin_form(self._message.path.encode("utf-8", "surrogateescape"))

    @property
    def peer(self) -> str:
        """IP address at the other end of the connection; empty for a Unix socket."""
        name = self._transport_peername
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def client(self) -> str:
        """IP address of the browser, as far as trusted proxies tell."""
        return client_address(self.raw_headers, peer=self.peer, trusted=self.downstream.server.trusted_proxies)

    def head(self) -> RequestHead:
        """What goes on to the backend: end-to-end fields, and who asked."""
        headers: RawHeaders = forwarded(
            self.raw_headers,
            peer=self.peer,
            secure=self._transport_sslcontext is not None,
            trusted=self.downstream.server.trusted_proxies,
        )
        return RequestHead(self.method, self.target, headers)

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

        Not with a body still under way, and not after an ``Upgrade``: the parser drops what is
        pipelined behind one it does not know. And not if the server is about to end.
        """
        return (
            self.keep_alive
            and self._payload.is_eof()
            and not self._message.upgrade
            and not self.downstream.discards_input
            and not self.downstream.server.is_retiring
        )

    def body(self) -> Body | None:
        """The body under way, or None if the request announces none. May be taken once."""
        return Body(content_length(self.raw_headers), self._chunks()) if self._framed else None

    async def buffered(self, limit: int) -> bytes | None:
        """The whole body, or None if the request announces none.

        Raises:
            RequestTooLargeError: it is over ``limit`` bytes.
            RequestTimeoutError, BadRequestError: it did not arrive.
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

    def abort(self) -> None:
        """Drop the browser's connection at once, unsent bytes included."""
        self.downstream.abort()

    @property
    def _framed(self) -> bool:
        return bool(values(self.raw_headers, b"content-length") or values(self.raw_headers, b"transfer-encoding"))

    async def _chunks(self) -> AsyncIterator[bytes]:
        self._say_continue()
        while chunk := await self._next_chunk():
            yield chunk

    async def _next_chunk(self) -> bytes:
        patience = self.downstream.server.patience
        try:
            async with asyncio.timeout(patience):
                return await self._payload.readany()
        except TimeoutError:
            raise RequestTimeoutError(f"Nothing of the body arrived for {patience:g} s.") from None
        except (RequestPayloadError, HttpProcessingError) as error:
            raise BadRequestError("The request's body is malformed.") from error
        except ConnectionError as error:
            raise BadRequestError("The request's body broke off.") from error

    def _say_continue(self) -> None:
        """Answer ``Expect`` once somebody is there to read the body (RFC 9110 §10.1.1)."""
        expects = b"100-continue" in tokens(self.raw_headers, b"expect")
        if expects and self.version >= HttpVersion11 and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def origin_form(target: bytes) -> bytes:
    """``target`` without scheme and authority, if it has them (RFC 9112 §3.2.1)."""
    if target[:1] in {b"/", b"*"}:
        return target
    after_authority = target.partition(b"://")[2]
    for index, byte in enumerate(after_authority):
        if byte in b"/?#":
            path = after_authority[index:]
            return path if byte == ord("/") else b"/" + path
    return b"/"
