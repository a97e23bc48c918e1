"""A proxy that listens: the guard between a listener and the backend's connections."""

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from proxy.app.compose import Guard, compose
from proxy.app.gate import listener_rules
from proxy.config import ListenSettings, Settings
from proxy.http.downstream.inherited import Inherited
from proxy.http.downstream.observer import Observer
from proxy.http.downstream.places import takes_ipv4_as_well
from proxy.http.downstream.server import Server, listen, listen_unix, tls_context
from proxy.http.upstream.lanes import Lane, Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream
from proxy.ops.receipts import Receipts
from proxy.reporting import Report
from proxy.tasks import Tasks

_CLOSING = 2.0
"""Seconds that open connections are given when the proxy ends."""


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that listens."""

    places: tuple[ListenSettings, ...]
    """Where it does, which is not where the settings say if it inherited its sockets."""
    guard: Guard
    receipts: Receipts
    lanes: Lanes
    upstream: Upstream
    server: Server
    observer: Observer
    inherited: Inherited | None
    """What it listens on, if that is not its own."""

    @property
    def url(self) -> str:
        """The address, or the first of several."""
        return self.places[0].url

    @property
    def addresses(self) -> str:
        """All of them, for people."""
        return " and ".join(place.url for place in self.places)


@asynccontextmanager
async def running(
    settings: Settings, report: Report, *, sockets: Sequence[socket.socket] = ()
) -> AsyncIterator[Running]:
    """The proxy, listening for as long as the context lasts.

    At its end every relay is given the end of its stream, and other requests get a moment; if the context is left by an
    exception, all are broken off.

    Args:
        settings: Where, and how.
        report: Told what happens.
        sockets: To listen on in place of where the settings say.

    Raises:
        OSError: it cannot listen where the settings say, or cannot read a certificate.
    """
    lanes = Lanes(bounds_of(settings), wait=settings.upstream.lane_wait)
    with closing(_upstream(settings, lanes)) as upstream:
        async with Tasks() as tasks:
            receipts = Receipts()
            guard = compose(settings, upstream, tasks, receipts, report=report)
            observer = Observer(report, slow_after=settings.log.slow_after)
            server = Server(guard.gate, listener_rules(settings), observer=observer)
            async with _finishing(server, guard), _listening(settings, server, sockets) as (places, inherited):
                yield Running(places, guard, receipts, lanes, upstream, server, observer, inherited)


def bounds_of(settings: Settings) -> dict[Lane, int]:
    """The sizes of the lanes, as the settings have them."""
    bounds = settings.upstream.lanes
    return {Lane.CONTROL: bounds.control, Lane.CALLS: bounds.calls, Lane.RELAYS: bounds.relays}


def _upstream(settings: Settings, lanes: Lanes) -> Upstream:
    return Upstream(
        Origin.parse(settings.upstream.url, ca=settings.upstream.ca),
        lanes,
        connect_timeout=settings.upstream.connect_timeout,
        response_timeout=settings.upstream.response_timeout,
    )


@asynccontextmanager
async def _finishing(server: Server, guard: Guard) -> AsyncIterator[None]:
    grace = 0.0
    try:
        yield
        grace = _CLOSING
    finally:
        guard.handler.relays.drain()
        await server.finish(grace)


@asynccontextmanager
async def _listening(
    settings: Settings, server: Server, sockets: Sequence[socket.socket]
) -> AsyncIterator[tuple[tuple[ListenSettings, ...], Inherited | None]]:
    where = settings.listen
    tls = tls_context(where.tls.cert, where.tls.key) if where.tls else None
    if sockets:
        async with Inherited(server, sockets, tls=tls) as inherited:
            yield tuple(place for sock in sockets for place in _places_of(sock, where)), inherited
    elif where.unix is not None:
        with closing(await listen_unix(server, where.unix, mode=where.socket_mode, group=where.socket_group)):
            yield (where,), None
    else:
        with closing(await listen(server, where.host, where.port, tls=tls)) as listener:
            sock = listener.sockets[0]
            place = where.model_copy(update={"port": sock.getsockname()[1]})
            yield (place, *_twin_of(sock, place)), None


def _places_of(sock: socket.socket, where: ListenSettings) -> Iterator[ListenSettings]:
    name = sock.getsockname()
    place = {"unix": name} if sock.family is socket.AF_UNIX else {"host": name[0], "port": name[1], "unix": None}
    yield where.model_copy(update=place)
    yield from _twin_of(sock, where.model_copy(update=place))


def _twin_of(sock: socket.socket, place: ListenSettings) -> Iterator[ListenSettings]:
    """Where else a socket takes connections: by IPv4 at `::`."""
    if takes_ipv4_as_well(sock):
        yield place.model_copy(update={"host": "0.0.0.0"})  # noqa: S104 - it is what the settings say
