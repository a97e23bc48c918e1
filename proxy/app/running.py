"""A proxy that listens: the guard between a listener and the backend's connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from proxy.app.compose import Guard, compose
from proxy.app.gate import listener_rules
from proxy.config import Settings
from proxy.guard.reporting import Report, unheard
from proxy.guard.tasks import Tasks
from proxy.http.lanes import Lane, Lanes
from proxy.http.origin import Origin
from proxy.http.server import Handler, Server, listen, listen_unix, tls_context
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


@asynccontextmanager
async def running(settings: Settings, report: Report, *, notice: Report = unheard) -> AsyncIterator[Running]:
    """The proxy, listening for as long as the context lasts.

    Args:
        settings: Where, and how.
        report: Told what the guard does.
        notice: Told what else happens to requests.

    Raises:
        OSError: it cannot listen where the settings say, or cannot read a certificate.
    """
    lanes = _lanes(settings)
    with closing(_upstream(settings, lanes)) as upstream:
        async with Tasks() as tasks:
            receipts = Receipts()
            guard = compose(settings, upstream, tasks, receipts, report, notice=notice)
            async with _listening(settings, guard.gate) as url:
                yield Running(url, guard, receipts, lanes)


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
async def _listening(settings: Settings, handler: Handler) -> AsyncIterator[str]:
    where = settings.listen
    server = Server(handler, listener_rules(settings))
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
