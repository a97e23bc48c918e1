"""Changing settings while the proxy runs: which can, how, and when. Nothing that is open is dropped."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from watchfiles import awatch

from proxy.app.compose import limits_of
from proxy.app.gate import gate_rules, listener_rules
from proxy.app.running import Running, bounds_of
from proxy.config import Settings, UserError, changed
from proxy.events.process import Reloaded, ReloadRefused
from proxy.ops import log, systemd
from proxy.ops.trace import Trace
from proxy.reporting import Report

_LIVE = (
    "client.",
    "drain.",
    "log.level",
    "log.slow_after",
    "ownership.",
    "relay.",
    "upstream.connect_timeout",
    "upstream.lane_wait",
    "upstream.lanes.",
    "upstream.response_timeout",
)
"""The beginnings of what `apply` changes; a setting that is not among them needs a restart."""

_STEP = 100
"""Milliseconds between looks at what has changed on the disk; a file is read once it was left alone for as long."""

_log = logging.getLogger(__name__)


def apply(settings: Settings, proxy: Running, trace: Trace | None) -> None:
    """Puts in force what can change while it runs. What waits already goes on with the limit that it began with."""
    proxy.guard.live.now = limits_of(settings)
    proxy.guard.store.most = settings.ownership.sessions
    proxy.guard.store.forget_after = settings.ownership.forget_after
    proxy.guard.drain.timeout = settings.drain.timeout
    proxy.guard.drain.hold = settings.drain.hold
    proxy.lanes.resize(bounds_of(settings))
    proxy.lanes.wait = settings.upstream.lane_wait
    proxy.upstream.connect_timeout = settings.upstream.connect_timeout
    proxy.upstream.response_timeout = settings.upstream.response_timeout
    proxy.server.rules = listener_rules(settings)
    proxy.guard.gate.rules = gate_rules(settings)
    proxy.observer.slow_after = settings.log.slow_after
    log.set_level(settings.log.level)
    if trace is not None:
        trace.measure_by(settings.ownership.model_dump())


class Reload:
    """Reads the settings again, and applies them, or leaves everything as it is and says why.

    Args:
        load: Reads them, as at the start.
        settings: Those of the start.
        proxy: Where they are in force.
        trace: Told of the limits, if there is one.
        report: Told what changed and what waits for a restart, or why nothing did.
    """

    def __init__(
        self, load: Callable[[], Settings], settings: Settings, proxy: Running, trace: Trace | None, *, report: Report
    ) -> None:
        self._load = load
        self._begun = self._now = settings
        self._proxy = proxy
        self._trace = trace
        self._report = report

    def __call__(self) -> None:
        """Reads and applies, as somebody asked for it."""
        systemd.notify_reloading()
        if (settings := self._read()) is not None:
            self._apply(settings)
        systemd.notify("READY=1")

    def catch_up(self) -> None:
        """Reads and applies, and says nothing if the settings are the same."""
        if (settings := self._read()) not in (None, self._now):
            self._apply(settings)

    def _read(self) -> Settings | None:
        try:
            return self._load()
        except UserError as error:
            _log.error("the settings stay as they are: %s", error)
            self._report(ReloadRefused(str(error)))
            return None

    def _apply(self, settings: Settings) -> None:
        live = [path for path in changed(self._now, settings) if path.startswith(_LIVE)]
        later = [path for path in changed(self._begun, settings) if not path.startswith(_LIVE)]
        apply(settings, self._proxy, self._trace)
        self._now = settings
        if later:
            _log.warning("changed but not applied until a restart: %s", ", ".join(later))
        self._report(Reloaded(tuple(live), tuple(later)))


async def watch(file: Path, changed: Callable[[], None]) -> None:
    """Calls `changed` at once, as the file was read some time ago, and then whenever it holds something else.

    The folder is watched, as editors put another file in its place; and the file, as one that is mounted into a
    container has no folder there. Where the system tells of no change, as on some network file systems, one is found
    within seconds.
    """
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it counts the changes of every neighbour
    changes = awatch(file.parent, file, watch_filter=None, step=_STEP, recursive=False, yield_on_timeout=True)
    before = None
    try:
        while True:
            now = _content(file)
            if now not in (None, before):
                before = now
                asyncio.get_running_loop().call_soon(changed)  # whose mistakes do not end the watching
            await anext(changes)
    except OSError as error:
        _log.warning("%s is not watched (%s); send SIGHUP to have it read again", file, error)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None  # in the middle of being replaced, perhaps
