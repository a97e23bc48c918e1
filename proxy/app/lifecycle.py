"""The life of the process: what signals do to it, and what its service manager is told."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from proxy.app.reload import Reload, watch
from proxy.app.running import Running
from proxy.http.settling import settle
from proxy.ops import systemd
from proxy.tasks import Tasks

_ENDING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


async def until_signalled(life: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Lives until SIGTERM or SIGINT sets the event that `life` is given; the next one breaks it off.

    Whatever it does then, a third one ends the process.

    Returns:
        The exit code: 0, or 128 and the number of the signal that broke it off, as shells have it.
    """
    loop, told_to_end, broken_off_by = asyncio.get_running_loop(), asyncio.Event(), 0
    living = asyncio.create_task(life(told_to_end))

    def hear(number: int) -> None:
        nonlocal broken_off_by
        if told_to_end.is_set():
            broken_off_by = number
            living.cancel()
            _stop_hearing(loop)
        told_to_end.set()

    for number in _ENDING:
        loop.add_signal_handler(number, hear, number)
    try:
        await asyncio.wait({living})
    finally:
        _stop_hearing(loop)
        await settle(living)
    if broken_off_by:
        return 128 + broken_off_by
    living.result()
    return 0


def _stop_hearing(loop: asyncio.AbstractEventLoop) -> None:
    for number in _ENDING:
        loop.remove_signal_handler(number)


@asynccontextmanager
async def attended(proxy: Running, reload: Reload, file: Path | None) -> AsyncIterator[None]:
    """Reloads at SIGHUP and when the file changes, and keeps systemd informed, for as long as the context lasts."""
    loop = asyncio.get_running_loop()
    async with Tasks() as tasks:
        tasks.spawn(systemd.feed_watchdog(), "feeding the watchdog")
        if file is not None:
            tasks.spawn(watch(file, reload.catch_up), "watching the settings")
        loop.add_signal_handler(signal.SIGHUP, reload)
        systemd.notify("READY=1", f"STATUS=Guarding on {proxy.url}.")
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)


async def drained(proxy: Running, told_to_end: asyncio.Event) -> None:
    """Waits until the proxy is told to end, and then until it may."""
    await told_to_end.wait()
    log.info(
        "stopping: turns that run are relayed to their end, for %g s at most; a second signal ends it now",
        proxy.guard.drain.timeout,
    )
    systemd.notify("STOPPING=1", "STATUS=Waiting for the turns that run.")
    if proxy.inherited is not None:
        proxy.inherited.hand_over()
    await proxy.guard.drain.finish()
