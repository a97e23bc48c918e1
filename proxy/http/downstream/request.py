"""A browser's request, as the bytes it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.http.account import Account
from proxy.http.clients import certain_address, client_address, forwarded
from proxy.http.downstream.hops import passed_on
from proxy.http.errors import RequestTooLargeError
from proxy.http.headers import content_length, tokens, values, with_host
from proxy.http.heads import ReceivedHead
from proxy.http.message import CONTINUE, Expectation, RequestHead
from proxy.http.trailers import passed_trailers

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.clients import Address
    from proxy.http.downstream.connection import DownstreamConnection
    from proxy.http.downstream.incoming import Incoming
    from proxy.http.downstream.response import Response
    from proxy.http.errors import ProxyError
    from proxy.http.headers import RawHeaders
    from proxy.http.message import Body

HTTP_1_0: Final = (1, 0)

UNPARSED: Final = ReceivedHead("UNKNOWN", b"/", (1, 1), (), upgrades=False, should_close=True)
"""Stands for a head that could not be parsed."""


class Request:
    """One request on a downstream connection.

    Args:
        connection: What it came on.
        head: As received.
        target: In origin-form, or ``*``.
        authority: What its target names, if that was in absolute-form.
        clock: Monotonic seconds.

    Attributes:
        connection, target: As above.
        account: What it comes to.
        incoming: Its body; None if its head announces none.
        response: Its answer, once that has begun.
    """

    __slots__ = ("_authority", "_client", "_head", "account", "connection", "incoming", "response", "target")

    def __init__(
        self,
        connection: DownstreamConnection,
        head: ReceivedHead,
        target: bytes,
        authority: bytes | None,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self.target = target
        self.account = Account(clock)
        self.incoming: Incoming | None = None
        self.response: Response | None = None
        self._head = head
        self._authority = authority
        self._client: str | None = None

    @property
    def method(self) -> str:
        """As received; methods are case-sensitive."""
        return self._head.method

    @property
    def is_parsed(self) -> bool:
        """Whether there was a request at all."""
        return self._head is not UNPARSED

    @property
    def has_come(self) -> bool:
        """Whether nothing more of it is to come."""
        return self.is_parsed and (self.incoming is None or self.incoming.has_come)

    @property
    def is_answered(self) -> bool:
        """Whether all of its answer was written."""
        return self.response is not None and self.response.is_done

    @property
    def is_http_1_0(self) -> bool:
        """Whether its sender knows neither chunks nor interim answers."""
        return self._head.version == HTTP_1_0

    @property
    def raw_headers(self) -> RawHeaders:
        """Every field as received."""
        return self._head.fields

    @property
    def fields(self) -> RawHeaders:
        """Every field as received, but that the host of an absolute target is the one (RFC 9112 §3.2.2)."""
        return self._head.fields if self._authority is None else with_host(self._head.fields, self._authority)

    @property
    def received(self) -> int:
        """Bytes of its body that have arrived."""
        return self.incoming.received if self.incoming is not None else 0

    @property
    def peer(self) -> str:
        """IP address at the other end of the connection; empty for a Unix socket."""
        return self.connection.peer

    @property
    def client(self) -> str:
        """IP address of the browser, as far as trusted proxies tell."""
        if self._client is None:
            trusted = self.connection.rules.trusted_proxies
            self._client = client_address(self._head.fields, peer=self.peer, trusted=trusted)
        return self._client

    @property
    def certain_client(self) -> Address | None:
        """IP address of the browser, or None if there is a doubt about it."""
        return certain_address(self._head.fields, peer=self.peer, trusted=self.connection.rules.trusted_proxies)

    def head(self) -> RequestHead:
        """What goes on to the backend: end-to-end fields, and who asked."""
        rules = self.connection.rules
        headers: RawHeaders = forwarded(
            self.fields,
            peer=self.peer,
            secure=self.connection.is_secure,
            trusted=rules.trusted_proxies,
            identity=rules.is_identity,
        )
        return RequestHead(self.method, self.target, passed_on(self.method, headers))

    def outlast(self) -> None:
        """Its answer lasts for as long as the browser stays.

        Nothing else is asked on the connection, lasting is not being slow, and of what was asked no
        more is kept than is told of it at its end.
        """
        self.connection.discard_input()
        self.account.disarm()
        self._client = self.client
        self._head = self._head._replace(fields=())
        self._authority = None

    @property
    def upgrade(self) -> bytes | None:
        """``websocket``, as it was spelled, if the request asks for one (RFC 6455 §4.1)."""
        if not self._head.upgrades or self.method != "GET" or self.incoming is not None or self.is_http_1_0:
            return None
        protocols = values(self._head.fields, b"upgrade")
        return protocols[0] if [protocol.lower() for protocol in protocols] == [b"websocket"] else None

    @property
    def is_reusable(self) -> bool:
        """Whether another request can follow on this connection once this one is answered.

        Not with a body still under way, not if the server is about to end, and not after a WebSocket was asked for:
        what comes behind may be frames that nobody agreed to.
        """
        return (
            not self._head.should_close
            and not self._asks_for_websocket
            and self.has_come
            and self.connection.is_reusable
        )

    def body(self) -> Body | None:
        """The body under way, or None if the request announces none. May be taken once."""
        if self.incoming is None:
            return None
        rules, fields = self.connection.rules, self._head.fields
        body = self.incoming.body(
            content_length(fields),
            self.connection.server.room,
            Expectation(self._say_continue) if self._expects_continue else None,
            lambda trailers: passed_trailers(trailers, fields, rules.is_identity),
        )
        self.account.held = body.held
        return body

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
        if self.incoming is not None:
            self.incoming.give_way(error)
        self.connection.writer.give_up()

    def abort(self) -> None:
        """Drop the browser's connection at once, unsent bytes included."""
        self.connection.abort()

    @property
    def _asks_for_websocket(self) -> bool:
        protocols = tokens(self._head.fields, b"upgrade") if self._head.upgrades else []
        return any(protocol.partition(b"/")[0] == b"websocket" for protocol in protocols)

    @property
    def _expects_continue(self) -> bool:
        return CONTINUE in tokens(self._head.fields, b"expect") and not self.is_http_1_0 and not self.has_come

    def _say_continue(self) -> None:
        """Answer ``Expect`` once somebody is there to read the body (RFC 9110 §10.1.1)."""
        self.connection.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
