"""Requests to the backend: one lane slot, one connection, one answer each.

F8 decides how connections are used. The backend may leave a body unread, or answer ``OPTIONS``
without framing, and keep the connection open all the same: what is left over is then read as the
next request, or the next answer. So only a ``GET`` or ``HEAD`` without a body ever shares its
connection; everything else gets a fresh one that is told, and made, to close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.http.errors import BackendBrokenError
from proxy.http.headers import serialize, values, without
from proxy.http.message import CONTINUE
from proxy.http.upstream.exchange import Asked, Exchange, ignored
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.pool import IdlePool
from proxy.http.upstream.roundtrip import RoundTrip

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders
    from proxy.http.message import Body, RequestHead
    from proxy.http.upstream.arriving import Interim
    from proxy.http.upstream.lanes import Lanes
    from proxy.http.upstream.origin import Origin
    from proxy.http.upstream.stream import ResponseStream

IDLE_CONNECTIONS: Final = 4
"""Connections that may be kept for another request beyond those that have a slot; each may hold a thread (F7)."""

_AHEAD: Final = 4
"""The part of ``CALLS`` that goes to requests whose heads go out before their bodies have come."""

SHAREABLE: Final = frozenset({"GET", "HEAD"})


class Upstream:
    """The backend, as something to ask.

    Args:
        origin: Where it is.
        lanes: The slots to share.
        connect_timeout: Seconds to wait for a connection.
        response_timeout: Seconds without progress: of a request being sent, of the head of its
            answer once it was sent, and within the answer's body.
        idle_timeout: Seconds a connection is kept for another request; under 10, since each may
            hold one of the backend's threads (F7).
        idle_limit: Most connections kept so; by default a few, and one for each slot of ``CALLS`` that is free.

    Attributes:
        lanes, connect_timeout, response_timeout: As above; the timeouts hold for what is asked from now on.
        ahead: Requests whose heads went out before anything of their bodies had come.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        origin: Origin,
        lanes: Lanes,
        *,
        connect_timeout: float = 5.0,
        response_timeout: float = 600.0,
        idle_timeout: float = 8.0,
        idle_limit: int | None = None,
    ) -> None:
        self.lanes = lanes
        self._origin = origin
        self.ahead = 0
        self.connect_timeout = connect_timeout
        self.response_timeout = response_timeout
        self._idle_limit = idle_limit
        self._pool = IdlePool(limit=self._most_idle, timeout=idle_timeout)

    def _most_idle(self) -> int:
        """Connections that wait and those that are in use come to no more than there are slots, and a few."""
        if self._idle_limit is not None:
            return self._idle_limit
        return IDLE_CONNECTIONS + self.lanes.bound(Lane.CALLS) - self.lanes.in_use(Lane.CALLS)

    @property
    def most_ahead(self) -> int:
        """How many of them there may be: each holds a thread of the backend for a browser that may never send."""
        return max(1, self.lanes.bound(Lane.CALLS) // _AHEAD)

    def close(self) -> None:
        """Close the idle connections. Those in use belong to who uses them."""
        self._pool.close()

    def request(  # noqa: PLR0913 - the whole of a request
        self,
        head: RequestHead,
        lane: Lane,
        *,
        body: Body | None = None,
        repeatable: bool = True,
        upgrade: bytes | None = None,
        interim: Interim = ignored,
    ) -> Exchange:
        """Ask the backend, and read its answer inside the context.

        Leaving the context before the answer has ended aborts the connection at once.

        Args:
            head: End-to-end fields, target and method go out as they are.
            lane: Whose slot to take, once there is something to send, held until the context is left. A body of
                which only the beginning has come then takes one of ``CALLS`` in place of ``CONTROL``; and an answer
                that is an event stream, one of ``RELAYS``.
            body: Streamed while the answer is awaited. An error answer stops it.
            repeatable: Whether a ``GET`` or ``HEAD`` may be sent again when the idle connection
                it went out on turns out to be dead. Never sent twice if False.
            upgrade: Protocol to ask to switch to (RFC 9110 §7.8).
            interim: Told of interim answers (RFC 9110 §15.2). With it, a browser that waits to be told to send its body
                is told by the backend itself, where a slot is free for that.

        Raises:
            NoCapacityError: the lane is full, or ``RELAYS`` for an event stream.
            BackendUnreachableError, BackendTooSlowError, BackendBrokenError: no answer came.
            Exception: whatever ``body`` raises.
        """
        shares = repeatable and body is None and upgrade is None and head.method in SHAREABLE
        return Exchange(self, lane, Asked(head, body, upgrade, interim), shares=shares)

    def trip(self, asked: Asked, *, shares: bool, expects: bool) -> RoundTrip:
        """A request as it goes out.

        Args:
            asked: What is asked.
            shares: Whether its connection may be used again.
            expects: Whether the backend is to say when the body may come (RFC 9110 §10.1.1).
        """
        fields = list(asked.head.headers)
        if asked.body is None or asked.body.length is not None:  # which has no place for trailers
            fields = list(without(fields, [b"trailer"]))
        if not values(fields, b"host"):  # HTTP/1.0 needs none, HTTP/1.1 does (RFC 9112 §3.2)
            fields.append((b"Host", self._origin.authority))
        if asked.body is not None:
            fields += _framing(asked.body, fields)
        if expects:
            fields.append((b"Expect", CONTINUE))
        if asked.upgrade is not None:
            fields += [(b"Connection", b"Upgrade"), (b"Upgrade", asked.upgrade)]
        elif not shares:
            fields.append((b"Connection", b"close"))
        head = asked.head
        wire = serialize(b"%b %b HTTP/1.1" % (head.method.encode(), head.target), fields)
        return RoundTrip(head.method, wire, asked.body, asked.upgrade, self.response_timeout, asked.interim)

    async def ask_shared(self, trip: RoundTrip) -> ResponseStream:
        """Ask on a connection that waits for it, or else on one that may wait for another request afterwards."""
        idle = self._pool.take()
        if idle is not None:
            try:
                return await trip.on(idle)
            except BackendBrokenError:
                if idle.heard:
                    raise
            # It was closed while idle: not a byte of an answer came (RFC 9112 §9.3.1).
        return await self.ask_fresh(trip)

    async def ask_fresh(self, trip: RoundTrip) -> ResponseStream:
        """Ask on a connection that nothing was asked on before."""
        return await trip.on(await self._origin.connect(self.connect_timeout, self.response_timeout))

    def take_back(self, stream: ResponseStream, *, shares: bool) -> None:
        """Have the connection of an answer that nobody reads any more, for another request if it ``shares``."""
        connection = stream.release()
        if connection is None:
            return
        if shares:
            self._pool.put(connection)
        else:
            connection.close()


def _framing(body: Body, fields: list[tuple[bytes, bytes]]) -> RawHeaders:
    """How the body ends, where ``fields`` do not say so yet (RFC 9112 §6)."""
    if body.length is None:
        return ((b"Transfer-Encoding", b"chunked"),)
    if values(fields, b"content-length"):
        return ()
    return ((b"Content-Length", b"%d" % body.length),)
