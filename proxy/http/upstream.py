"""Requests to the backend: one lane slot, one connection, one answer each.

F8 decides how connections are used. The backend may leave a body unread, or answer ``OPTIONS``
without framing, and keep the connection open all the same: what is left over is then read as the
next request, or the next answer. So only a ``GET`` or ``HEAD`` without a body ever shares its
connection; everything else gets a fresh one that is told, and made, to close.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from proxy.http.account import asker, asking
from proxy.http.errors import BackendBrokenError
from proxy.http.headers import serialize, values
from proxy.http.lanes import Lane
from proxy.http.pool import IdlePool
from proxy.http.roundtrip import RoundTrip

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders
    from proxy.http.lanes import Lanes
    from proxy.http.message import Body, RequestHead
    from proxy.http.origin import Origin
    from proxy.http.stream import ResponseStream

IDLE_CONNECTIONS: Final = 4
"""Most connections kept for another request, unless told otherwise; each may hold a thread (F7)."""

BEGUN: Final = 65_536
"""Bytes of a body that have come before a slot is taken for it, unless it is shorter."""

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
        idle_limit: Most connections kept so.

    Attributes:
        lanes, connect_timeout, response_timeout: As above; the timeouts hold for what is asked from now on.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        origin: Origin,
        lanes: Lanes,
        *,
        connect_timeout: float = 5.0,
        response_timeout: float = 600.0,
        idle_timeout: float = 8.0,
        idle_limit: int = IDLE_CONNECTIONS,
    ) -> None:
        self.lanes = lanes
        self._origin = origin
        self.connect_timeout = connect_timeout
        self.response_timeout = response_timeout
        self._pool = IdlePool(limit=idle_limit, timeout=idle_timeout)

    def close(self) -> None:
        """Close the idle connections. Those in use belong to who uses them."""
        self._pool.close()

    def request(
        self,
        head: RequestHead,
        lane: Lane,
        *,
        body: Body | None = None,
        repeatable: bool = True,
        upgrade: bytes | None = None,
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

        Raises:
            NoCapacityError: the lane is full, or ``RELAYS`` for an event stream.
            BackendUnreachableError, BackendTooSlowError, BackendBrokenError: no answer came.
            Exception: whatever ``body`` raises.
        """
        shares = repeatable and body is None and upgrade is None and head.method in SHAREABLE
        wire = self._wire(head, body, upgrade, close=not shares)
        trip = RoundTrip(head.method, wire, body, upgrade, self.response_timeout)
        return Exchange(self, lane, trip, shares=shares)

    def _wire(self, head: RequestHead, body: Body | None, upgrade: bytes | None, *, close: bool) -> bytes:
        fields = list(head.headers)
        if not values(fields, b"host"):  # HTTP/1.0 needs none, HTTP/1.1 does (RFC 9112 §3.2)
            fields.append((b"Host", self._origin.authority))
        if body is not None:
            fields += _framing(body, fields)
        if upgrade is not None:
            fields += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
        elif close:
            fields.append((b"Connection", b"close"))
        return serialize(b"%b %b HTTP/1.1" % (head.method.encode(), head.target), fields)

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
        return await trip.on(await self._origin.connect(self.connect_timeout))

    def take_back(self, stream: ResponseStream, *, shares: bool) -> None:
        """Have the connection of an answer that nobody reads any more, for another request if it ``shares``."""
        connection = stream.release()
        if connection is None:
            return
        if shares and not connection.should_close:
            self._pool.put(connection)
        else:
            connection.close()


class Exchange:
    """One request and its answer, as a context.

    Not a generator: that would keep its frame, and what was asked, for as long as the answer lasts, which may be hours.
    """

    __slots__ = ("_lane", "_shares", "_stream", "_trip", "_upstream", "_who")

    _stream: ResponseStream

    def __init__(self, upstream: Upstream, lane: Lane, trip: RoundTrip, *, shares: bool) -> None:
        self._upstream = upstream
        self._lane = lane
        self._trip = trip
        self._shares = shares
        self._who = asker()

    async def __aenter__(self) -> ResponseStream:
        """The answer. Raises as ``Upstream.request`` says."""
        await self._await_body()
        await self._upstream.lanes.take(self._lane, self._who)
        ask = self._upstream.ask_shared if self._shares else self._upstream.ask_fresh
        try:
            with asking():
                self._stream = await ask(self._trip)
            del self._trip
            if self._stream.is_event_stream:
                await self._change_lane()
        except BaseException:
            self._upstream.lanes.give_back(self._lane, self._who)
            raise
        return self._stream

    async def _await_body(self) -> None:
        """Have something to send before a slot is taken; a body that is still to come never goes by ``CONTROL``.

        Whoever announces a body and does not send it would otherwise hold the slot.
        """
        if self._trip.body is None:
            return
        body = await self._trip.body.begun(BEGUN)
        self._trip = replace(self._trip, body=body)
        if self._lane is Lane.CONTROL and not body.is_whole:
            self._lane = Lane.CALLS

    async def _change_lane(self) -> None:
        """Hold a slot of ``RELAYS`` for what may last for hours, whatever it was asked as."""
        if self._lane is Lane.RELAYS:
            return
        try:
            await self._upstream.lanes.take(Lane.RELAYS, self._who)
        except BaseException:
            self._stream.abort()
            await self._stream.stop_sending()
            raise
        self._upstream.lanes.give_back(self._lane, self._who)
        self._lane = Lane.RELAYS

    async def __aexit__(self, *_: object) -> None:
        """Be done with it, wherever it is."""
        try:
            # First the connection, then the wait: the wait may be cancelled.
            self._upstream.take_back(self._stream, shares=self._shares)
            await self._stream.stop_sending()
        finally:
            self._upstream.lanes.give_back(self._lane, self._who)


def _framing(body: Body, fields: list[tuple[bytes, bytes]]) -> RawHeaders:
    """How the body ends, where ``fields`` do not say so yet (RFC 9112 §6)."""
    if body.length is None:
        return ((b"Transfer-Encoding", b"chunked"),)
    if values(fields, b"content-length"):
        return ()
    return ((b"Content-Length", b"%d" % body.length),)
