"""Running the proxy as the commands ``serve`` and ``demo`` do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.app import startup
from proxy.app.admin import Observed, administered
from proxy.app.exposure import warning_if_exposed
from proxy.app.lifecycle import attended, drained, until_signalled
from proxy.app.reload import Reload
from proxy.app.running import running
from proxy.config import Settings, UserError
from proxy.demo import Backend as DemoBackend
from proxy.demo import Pace
from proxy.http.speedups import require_speedups
from proxy.ops import log, systemd
from proxy.ops.trace import Trace, fan_out
from proxy.reporting import Report

_DEAF = 0.3
"""Seconds in which the demo's turns do not hear a Stop, as long as it takes a real one on an idle machine (F13)."""

_ADMIN = "admin"
"""The ``FileDescriptorName`` of inherited sockets that operators connect to."""

Announce = Callable[[str], None]


async def serve(
    settings: Settings, *, load: Callable[[], Settings], file: Path | None = None, started: Announce | None = None
) -> int:
    """Runs the proxy until SIGTERM or SIGINT, and drains it then; a second one ends it at once.

    Args:
        settings: Where, and how.
        load: Reads them again, at SIGHUP and when they change.
        file: Where they are, if that is to be watched.
        started: Told in one line what runs, once it listens.

    Returns:
        The exit code.

    Raises:
        OSError: it cannot listen where the settings say.
        UserError: something of its environment is missing.
    """
    _prepare(settings)
    sockets, admin_sockets = _inherited_sockets()
    announce = started or _in_silence
    seen = await startup.glance(settings)

    async def life(told_to_end: asyncio.Event) -> None:
        observed = Observed()
        async with (
            _reporting(settings, observed) as (report, trace),
            running(settings, report, sockets=sockets) as proxy,
            administered(settings, proxy, observed, admin_sockets) as admin_url,
            attended(proxy, Reload(load, settings, proxy, trace, report=report), file),
        ):
            report(startup.started(settings, proxy.addresses, seen, admin_url))
            announce(f"guarding {settings.upstream.url} on {proxy.addresses}")
            if admin_url is not None:
                announce(f"health, metrics and a status page on {admin_url}/")
            async with warning_if_exposed(proxy.places, proxy.guard.gate.authentication, announce):
                await drained(proxy, told_to_end)

    with log.in_batches():
        return await until_signalled(life)


def _in_silence(_line: str) -> None:
    """Tells nobody."""


async def demo(release: str, settings: Settings, *, started: Announce | None = None) -> int:
    """Runs the embedded backend, the proxy in front of it, and a page to try both on, until SIGTERM or SIGINT.

    Args:
        release: Whose habits the backend has, such as ``v0.51.195``.
        settings: For the proxy; its upstream is the embedded backend.
        started: Told the addresses.

    Returns:
        The exit code.

    Raises:
        OSError: it cannot listen where the settings say.
        UserError: something of its environment is missing.
    """
    _prepare(settings)

    async def life(told_to_end: asyncio.Event) -> None:
        async with DemoBackend(release, pace=Pace(deaf=_DEAF)) as backend:
            upstream = settings.upstream.model_copy(update={"url": backend.url})
            guarded = settings.model_copy(update={"upstream": upstream})
            observed = Observed()
            async with (
                _reporting(settings, observed) as (report, _),
                running(guarded, report) as proxy,
                administered(guarded, proxy, observed) as admin_url,
            ):
                backend.guarded = proxy.url
                if started is not None:
                    started(f"Hermes' habits of {release}; open either and press Stop, then Send:")
                    started(f"  with the proxy     {proxy.url}/")
                    started(f"  without the proxy  {backend.url}/")
                    if admin_url is not None:
                        started(f"What the proxy sees of it is shown on {admin_url}/")
                await drained(proxy, told_to_end)

    with log.in_batches():
        return await until_signalled(life)


def _prepare(settings: Settings) -> None:
    log.configure(settings.log.format, settings.log.level)
    try:
        require_speedups()
    except RuntimeError as error:
        raise UserError(str(error)) from error


def _inherited_sockets() -> tuple[list[socket.socket], list[socket.socket]]:
    """Those for browsers, whatever their names, and those for operators."""
    try:
        by_name = systemd.inherited_sockets()
    except ValueError as error:
        raise UserError(str(error)) from error
    for_operators = by_name.pop(_ADMIN, [])
    return [sock for sockets in by_name.values() for sock in sockets], for_operators


@asynccontextmanager
async def _reporting(settings: Settings, observed: Observed) -> AsyncIterator[tuple[Report, Trace | None]]:
    """Tells the log, the trace if one is asked for, and what operators look back on; and that trace.

    Raises:
        UserError: the trace cannot be written.
    """
    path = settings.trace.path
    if path is None:
        yield fan_out(log.LogReport(), observed.report), None
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
        yield fan_out(log.LogReport(), trace, observed.report), trace
