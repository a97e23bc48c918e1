"""Log lines: one JSON object each, or coloured text on a terminal. Never a cookie, a query or a body."""

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor

from proxy.events.cancels import CancelConfirmed, CancelJudged, CancelRepeated, CancelSaid
from proxy.events.event import Event
from proxy.events.guard import InternalError, Observed, WorkersListed, WorkersUnknown
from proxy.events.process import ReloadRefused
from proxy.events.relays import (
    BrowserLeft,
    RelayEnded,
    RelayOpened,
    RelayWrote,
    UpstreamClosed,
    UpstreamHeard,
    UpstreamKept,
    UpstreamOpened,
)
from proxy.events.requests import RequestEnded, RequestSlow
from proxy.events.starts import StartAnswered, StartForwarded, StartReceived
from proxy.ops.ids import with_short_ids
from proxy.ops.request_lines import BatchHandler

_FIRST = ("timestamp", "level", "event")
"""What every line begins with; the rest keeps the order in which it was reported."""


def configure(log_format: Literal["json", "console"] | None, level: str) -> None:
    """Sends every log line of this process to stderr, in one format; None takes what suits stderr."""
    terminal = sys.stderr.isatty()
    console = terminal if log_format is None else log_format == "console"
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso"),
        shorten_ids,
    ]
    tail = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *(_text(terminal) if console else _JSON)]
    # Whoever looks at a terminal wants every line at once.
    handler = logging.StreamHandler(sys.stderr) if console or terminal else BatchHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=tail))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


@contextmanager
def in_batches() -> Iterator[None]:
    """Lines of requests are written in batches as long as the context lasts, where `BatchHandler` writes them."""
    handler = _batch_handler()
    with nullcontext() if handler is None else handler.on(asyncio.get_running_loop()):
        yield


def set_level(level: str) -> None:
    """Logs what is at least that severe from now on."""
    logging.getLogger().setLevel(level.upper())


def _text(terminal: bool) -> tuple[Processor, ...]:  # noqa: FBT001 - a private function's only parameter
    # Where rich is installed, structlog's own tracebacks show local variables: cookies, bodies, all of them.
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=terminal, sort_keys=False, exception_formatter=plain)
    return _without_unknowns, renderer


def shorten_ids(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """See `proxy.ops.ids`."""
    return with_short_ids(line)


def _begin_with_the_same(_logger: Any, _method: str, line: EventDict) -> EventDict:
    return {**{name: line.pop(name) for name in _FIRST}, **line}


def _without_unknowns(_logger: Any, _method: str, line: EventDict) -> EventDict:
    return {name: value for name, value in line.items() if value is not None}


_JSON: Final = (
    structlog.processors.format_exc_info,
    _begin_with_the_same,
    structlog.processors.JSONRenderer(),
)

_QUIET: Final[frozenset[type[Event]]] = frozenset(
    {
        BrowserLeft,
        CancelConfirmed,
        CancelJudged,
        CancelRepeated,
        CancelSaid,
        InternalError,  # logged with its traceback where it happened
        Observed,
        RelayWrote,
        ReloadRefused,  # logged as an error where it happened
        StartReceived,
        UpstreamClosed,
        UpstreamHeard,
        UpstreamKept,
        UpstreamOpened,
        WorkersListed,
        WorkersUnknown,
    }
)
"""Reports that are the trace's business; the log tells what became of them."""


_LEVELS: Final[Mapping[type[Event], int]] = {**dict.fromkeys(_QUIET, logging.DEBUG), RequestSlow: logging.WARNING}


_FREQUENT: Final[frozenset[type[Event]]] = frozenset(
    {RelayEnded, RelayOpened, RequestEnded, StartAnswered, StartForwarded}
)
"""Reports at the level "info" that come with every request, stream or turn: they must be cheap."""


def _batch_handler() -> BatchHandler | None:
    """Where lines of requests are written, if that is in JSON and not to a terminal."""
    handlers = logging.getLogger().handlers
    return next((handler for handler in handlers if isinstance(handler, BatchHandler)), None)


class LogReport:
    """Logs what is reported, one line each; to be made after `configure`."""

    def __init__(self) -> None:
        self._log = logging.getLogger("proxy")
        self._batches = _batch_handler()

    def __call__(self, event: Event, /) -> None:
        """See `proxy.reporting.Report`."""
        kind = type(event)
        if kind not in _FREQUENT or self._batches is None:
            level = _LEVELS.get(kind, logging.INFO)
            if self._log.isEnabledFor(level):
                self._log.log(level, kind.name, extra=event.fields())
        elif self._log.isEnabledFor(logging.INFO):
            self._batches.add(event)
