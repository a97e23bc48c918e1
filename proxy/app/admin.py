"""The admin listener, beside the proxy and never through it."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from proxy import __version__
from proxy.app.running import Running
from proxy.config import AdminSettings, Settings, UserError
from proxy.events.relays import UpstreamHeard
from proxy.http.downstream.places import both_families
from proxy.http.upstream.lanes import Lane
from proxy.ops.admin import Admission, application, inheriting, listening
from proxy.ops.feed import Feed
from proxy.ops.history import History
from proxy.ops.metrics import LaneUse, Metrics
from proxy.ops.stops import Stops
from proxy.ops.trace import fan_out, leaving_out
from proxy.ops.views import About, Journals, Sources, Views
from proxy.ownership.ownership import is_nameless

_FOR_THE_TRACE = frozenset({UpstreamHeard})
"""Reports that come once a second for each stream, and that only `verify` reads."""


class Observed:
    """What operators look back on; a receiver of every report. To be made on the running loop, whose clock it takes."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.metrics = Metrics(__version__)
        self.history = History(clock)
        self.stops = Stops(clock)
        self.feed = Feed(time.time)
        self.report = leaving_out(_FOR_THE_TRACE, fan_out(self.metrics, self.history, self.stops, self.feed))


@asynccontextmanager
async def administered(
    settings: Settings, proxy: Running, observed: Observed, sockets: Sequence[socket.socket] = ()
) -> AsyncIterator[str | None]:
    """The admin listener's URL, for as long as the context lasts; None if it is switched off.

    Args:
        settings: Where, and who may look.
        proxy: What is looked at.
        observed: What it reported so far.
        sockets: To listen on in place of where the settings say.

    Raises:
        UserError: it cannot listen where the settings say, or may not on one of the sockets.
    """
    admin = settings.admin
    _vet(sockets, admin)
    if not admin.enabled:
        yield None
        return
    views = _views(settings, proxy, observed)
    admission = Admission(admin.host, admin.bearer)
    app = application(views, observed.metrics, observed.feed, proxy.guard.drain, admission)
    async with _inheriting(app, admin, sockets) if sockets else _listening(app, admin) as url:
        yield url


def _vet(sockets: Sequence[socket.socket], admin: AdminSettings) -> None:
    """Holds sockets to what the settings are held to."""
    if sockets and not admin.enabled:
        raise UserError(
            "admin.enabled: is false, but a socket named admin was inherited; set it to true, or disable that socket"
        )
    for sock in sockets:
        if admin.bearer is None and sock.family is not socket.AF_UNIX and _place(sock, admin).is_exposed:
            raise UserError(
                f"admin.token: should be set, as others can reach {_url_of(sock, admin)}, where the inherited socket"
                " named admin listens: set it or admin.token_file to what openssl rand -hex 32 prints, or have that"
                " socket listen on 127.0.0.1"
            )


def _url_of(sock: socket.socket, admin: AdminSettings) -> str:
    return f"unix://{sock.getsockname()}" if sock.family is socket.AF_UNIX else _place(sock, admin).url


def _place(sock: socket.socket, admin: AdminSettings) -> AdminSettings:
    host, port, *_ = sock.getsockname()
    return admin.model_copy(update={"host": host, "port": port})


@asynccontextmanager
async def _inheriting(
    app: web.Application, admin: AdminSettings, sockets: Sequence[socket.socket]
) -> AsyncIterator[str]:
    url = _url_of(sockets[0], admin)
    async with inheriting(app, sockets):
        yield url


@asynccontextmanager
async def _listening(app: web.Application, admin: AdminSettings) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        try:
            if (both := both_families(admin.host, admin.port)) is not None:
                port = both.getsockname()[1]
                await stack.enter_async_context(inheriting(app, [both]))
            else:
                port = await stack.enter_async_context(listening(app, admin.host, admin.port))
        except OSError as error:
            advice = "choose another with --admin, or set admin.enabled to false"
            raise UserError(f"admin.port: cannot listen on {admin.url}: {_reason(error)}; {advice}") from error
        yield admin.model_copy(update={"port": port}).url


def _reason(error: OSError) -> str:
    """What the system said, without asyncio's own words around it."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _views(settings: Settings, proxy: Running, observed: Observed) -> Views:
    guard, lanes = proxy.guard, proxy.lanes
    sources = Sources(
        busy=guard.ownership.busy,
        is_named=lambda session_id: not is_nameless(session_id),
        relays=guard.relays.count,
        log=guard.logs.size_of,
        logs=lambda: guard.logs.size,
        is_running=guard.reach.is_running,
        lanes=lambda: {lane.value: LaneUse(lanes.in_use(lane), lanes.bound(lane)) for lane in Lane},
        away_since=guard.reach.away_since,
        waiting_since=guard.reach.waiting_since,
        drain=guard.drain,
    )
    journals = Journals(observed.metrics, observed.history, observed.stops, proxy.receipts)
    about = About(__version__, settings.upstream.url, proxy.url)
    return Views(about, sources, journals, clock=guard.ownership.clock, wall=time.time)
