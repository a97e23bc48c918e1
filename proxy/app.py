"""The composition root: the only place that names concrete parts."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from proxy.config import Settings, UserError
from proxy.core.effects import EndRelays, Settled, WatchSettling
from proxy.core.verdicts import Patience
from proxy.demo import Backend as DemoBackend
from proxy.demo import Pace
from proxy.guard.backend import Backend, Liveness
from proxy.guard.cancel import CancelGuard
from proxy.guard.handler import Handler
from proxy.guard.ownership import Ownership
from proxy.guard.relay import RelayGuard
from proxy.guard.relays import Relays
from proxy.guard.reporting import Report
from proxy.guard.settling import Settling
from proxy.guard.slots import Slots
from proxy.guard.start import StartGuard
from proxy.guard.tasks import Tasks
from proxy.http.lanes import Lane, Lanes
from proxy.http.origin import Origin
from proxy.http.server import Server, listen, listen_unix, tls_context
from proxy.http.speedups import require_speedups
from proxy.http.upstream import Upstream
from proxy.ops import log
from proxy.ops.receipts import Receipt, Receipts
from proxy.ops.trace import Trace, fan_out
from proxy.store.memory import MemoryStore

ANSWER_LIMIT = 8 << 20
"""Largest answer to a guarded call that is held; they are a few hundred bytes."""

_CLOSING = 2.0
"""Seconds that open connections are given when the proxy ends."""

_DEAF = 0.3
"""Seconds in which the demo's turns do not hear a Stop, as long as it takes a real one on an idle machine (F13)."""

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that listens."""

    url: str
    receipts: Receipts
    lanes: Lanes


@asynccontextmanager
async def running(settings: Settings, report: Report) -> AsyncIterator[Running]:
    """The proxy, listening for as long as the context lasts.

    Raises:
        OSError: it cannot listen where the settings say, or cannot read a certificate.
    """
    lanes = _lanes(settings)
    with closing(_upstream(settings, lanes)) as upstream:
        async with Tasks() as tasks:
            receipts = Receipts()
            handler = compose(settings, upstream, tasks, receipts, report)
            async with _listening(settings, handler) as url:
                yield Running(url, receipts, lanes)


async def serve(settings: Settings, *, started: Announce | None = None) -> None:
    """Runs the proxy until SIGTERM or SIGINT.

    Args:
        settings: Where, and how.
        started: Told in one line what runs, once it listens.

    Raises:
        OSError: it cannot listen where the settings say.
        UserError: something of its environment is missing.
    """
    _prepare(settings)
    async with _reporting(settings) as report, running(settings, report) as proxy:
        if started is not None:
            started(f"guarding {settings.upstream.url} on {proxy.url}")
        await _until_told_to_stop()


async def demo(release: str, settings: Settings, *, started: Announce | None = None) -> None:
    """Runs the embedded backend, the proxy in front of it, and a page to try both on, until SIGTERM or SIGINT.

    Args:
        release: Whose habits the backend has, such as ``v0.51.195``.
        settings: For the proxy; its upstream is the embedded backend.
        started: Told the addresses.

    Raises:
        OSError: it cannot listen where the settings say.
        UserError: something of its environment is missing.
    """
    _prepare(settings)
    async with DemoBackend(release, pace=Pace(deaf=_DEAF)) as backend:
        upstream = settings.upstream.model_copy(update={"url": backend.url})
        settings = settings.model_copy(update={"upstream": upstream})
        async with _reporting(settings) as report, running(settings, report) as proxy:
            backend.guarded = proxy.url
            if started is not None:
                started(f"Hermes' habits of {release}; open either and press Stop, then Send:")
                started(f"  with the proxy     {proxy.url}/")
                started(f"  without the proxy  {backend.url}/")
            await _until_told_to_stop()


def _prepare(settings: Settings) -> None:
    log.configure(settings.log.format, settings.log.level)
    try:
        require_speedups()
    except RuntimeError as error:
        raise UserError(str(error)) from error


@asynccontextmanager
async def _reporting(settings: Settings) -> AsyncIterator[Report]:
    """The log, and the trace if one is asked for.

    Raises:
        UserError: the trace cannot be written.
    """
    path = settings.trace.path
    if path is None:
        yield log.LogReport()
        return
    try:
        trace = Trace(
            path,
            max_size=settings.trace.max_size,
            keep=settings.trace.keep,
            clock=asyncio.get_running_loop().time,
            settings=settings.ownership.model_dump(),
        )
    except OSError as error:
        raise UserError(f"trace.path: {path} cannot be written ({error.strerror}); name another file") from error
    with trace:
        yield fan_out(log.LogReport(), trace)


async def _until_told_to_stop() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    logging.getLogger(__name__).info("stopping")


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


def compose(settings: Settings, upstream: Upstream, tasks: Tasks, receipts: Receipts, report: Report) -> Handler:
    """The guard, put together from its parts on the running loop."""
    own = settings.ownership
    clock = asyncio.get_running_loop().time
    store = MemoryStore(clock, sessions=own.sessions, forget_after=own.forget_after)
    ownership = Ownership(store, clock, report)
    relays = Relays()
    backend = Backend(upstream, answer_limit=ANSWER_LIMIT)
    slots = Slots(backend, tasks, clock, release_grace=own.release_grace)
    settling = Settling(ownership, relays, slots, tasks, settle_timeout=own.settle_timeout, report=report)
    cancels = CancelGuard(
        backend,
        ownership,
        relays,
        tasks,
        answer_timeout=own.answer_timeout,
        answer_gap=own.answer_gap,
        cancel_grace=own.cancel_grace,
        report=report,
    )

    def settled(effect: Settled) -> None:
        cancels.forget(effect.stream_id)
        receipt = Receipt.of(effect)
        receipts.add(receipt)
        report("cancel_settled", **receipt.fields())

    ownership.on(EndRelays, lambda effect: relays.revise(effect.stream_id))
    ownership.on(WatchSettling, settling.watch)
    ownership.on(Settled, settled)
    return Handler(
        upstream,
        ownership,
        Liveness(clock, ownership.lose_running),
        cancels,
        StartGuard(backend, ownership, tasks, settle_timeout=own.settle_timeout, report=report),
        RelayGuard(
            upstream,
            ownership,
            relays,
            patience=Patience(own.settle_timeout, own.orphan_grace, own.linger),
            answer_timeout=own.answer_timeout,
            idle_timeout=settings.relay.idle_timeout,
            buffer=settings.relay.buffer,
            report=report,
        ),
        own.start_body_limit,
        report,
    )


@asynccontextmanager
async def _listening(settings: Settings, handler: Handler) -> AsyncIterator[str]:
    where = settings.listen
    server = Server(handler, trusted_proxies=settings.client.trusted_proxies, patience=settings.relay.stall_timeout)
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
