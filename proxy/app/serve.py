"""Running the proxy as the commands ``serve`` and ``demo`` do, until a signal ends it."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proxy.app.running import running
from proxy.app.startup import description, glance
from proxy.config import Settings, UserError
from proxy.demo import Backend as DemoBackend
from proxy.demo import Pace
from proxy.guard.reporting import Report
from proxy.http.speedups import require_speedups
from proxy.ops import log
from proxy.ops.trace import Trace, fan_out

_DEAF = 0.3
"""Seconds in which the demo's turns do not hear a Stop, as long as it takes a real one on an idle machine (F13)."""

Announce = Callable[[str], None]


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
    notice = log.LogReport()
    seen = await glance(settings)
    async with _reporting(settings) as report, running(settings, report, notice=notice) as proxy:
        notice("started", **description(settings, proxy.url, seen))
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
        async with _reporting(settings) as report, running(settings, report, notice=log.LogReport()) as proxy:
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
