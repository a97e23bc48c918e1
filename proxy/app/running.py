"""A proxy that listens: the guard between a listener and the backend's connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from proxy.app.compose import Guard, compose
from proxy.config import Settings
from proxy.guard.handler import Handler
from proxy.guard.reporting import Report, unheard
from proxy.guard.tasks import Tasks
from proxy.http.lanes import Lane, Lanes
from proxy.http.observer import Observer
from proxy.http.origin import Origin
from proxy.http.server import Server, listen, listen_unix, tls_context
from proxy.http.upstream import Upstream
from proxy.ops.receipts import Receipts

_CLOSING = 2.0
"""Seconds that open connections are given when the proxy ends."""


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that listens."""

    url: str
    guard: Guard
    receipts: Receipts
    lanes: Lanes
    observer: Observer


@asynccontextmanager
async def running(settings: Settings, report: Report, *, notice: Report = unheard) -> AsyncIterator[Running]:
    """The proxy, listening for as long as the context lasts.

    Args:
        settings: Where, and how.
        report: Told what the guard does: what the promises are checked by.
        notice: Told of everything else: requests, and what becomes of the process.

    Raises:
        OSError: it cannot listen where the settings say, or cannot read a certificate.
    """
    lanes = _lanes(settings)
    with closing(_upstream(settings, lanes)) as upstream:
        async with Tasks() as tasks:
            receipts = Receipts()
            guard = compose(settings, upstream, tasks, receipts, report)
            observer = Observer(notice, slow_after=settings.log.slow_after)
            async with _listening(settings, guard.handler, observer) as url:
                yield Running(url, guard, receipts, lanes, observer)


def _lanes(settings: Settings) -> Lanes:
    bounds = settings.upstream.lanes
    slots = {Lane.CONTROL: bounds.control, Lane.CALLS: bounds.calls, Lane.RELAYS: bounds.relays}
    return Lanes(slots, wait=settings.upstream.lane_wait)


def _upstream(settings: Settings, lanes: Lanes) -> Upstream:
    return Upstream(
        Origin.parse(settings.upstream.url, ca=settings.upstream.ca),
        lanes,
        connect_timeout=settings.upstream.connect_timeout,
        response_timeout=settings.upstream.response_timeout,
    )


@asynccontextmanager
async def _listening(settings: Settings, handler: Handler, observer: Observer) -> AsyncIterator[str]:
    where = settings.listen
    server = Server(
        handler,
        trusted_proxies=settings.client.trusted_proxies,
        patience=settings.relay.stall_timeout,
        observer=observer,
    )
    if where.unix is not None:
        listener = await listen_unix(server, where.unix)
        url = where.url
    else:
        tls = tls_context(where.tls.cert, where.tls.key) if where.tls else None
        listener = await listen(server, where.host, where.port, tls=tls)
        port = listener.sockets[0].getsockname()[1]
        url = where.model_copy(update={"port": port}).url
    try:
        yield url
    finally:
        listener.close()
        server.pre_shutdown()  # without it, idle connections would be waited for as well
        await server.shutdown(_CLOSING)
