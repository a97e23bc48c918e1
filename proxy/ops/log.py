"""Log lines: one JSON object each, or coloured text on a terminal. Never a cookie, a query or a body."""

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

from proxy.ops.ids import with_short_ids


def configure(log_format: Literal["json", "console"] | None, level: str) -> None:
    """Sends every log line of this process to stderr, in one format; None takes what suits stderr."""
    console = sys.stderr.isatty() if log_format is None else log_format == "console"
    renderer: Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso"),
        shorten_ids,
    ]
    tail: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not console:
        tail.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*tail, renderer]))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def set_level(level: str) -> None:
    """Logs what is at least that severe from now on."""
    logging.getLogger().setLevel(level.upper())


def shorten_ids(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """See `proxy.ops.ids`."""
    return with_short_ids(line)


_QUIET = frozenset(
    {
        "browser_left",
        "cancel_confirmed",
        "cancel_judged",
        "internal_error",  # logged with its traceback where it happened
        "observed",
        "relay_wrote",
        "reload_refused",  # logged as an error where it happened
        "start_received",
        "upstream_closed",
    }
)
"""Reports that are the trace's business; the log tells what became of them."""


class LogReport:
    """Logs what the guard reports, one line each."""

    def __init__(self) -> None:
        self._log = logging.getLogger("proxy.guard")

    def __call__(self, event: str, /, **fields: object) -> None:
        """See `proxy.guard.reporting.Report`."""
        self._log.log(logging.DEBUG if event in _QUIET else logging.INFO, event, extra=fields)
