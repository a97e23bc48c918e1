"""Telling of every request: once when it becomes slow, and once when it has ended."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from http import HTTPMethod
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from proxy.events.requests import RequestEnded, RequestSlow

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.account import Who
    from proxy.http.downstream.request import Request

Report: TypeAlias = "Callable[[RequestEnded | RequestSlow], None]"
"""Takes note of what happens; never raises, never waits."""

Told = TypeVar("Told", RequestEnded, RequestSlow)

LEFT: Final = 499
"""The status told where the browser left before its answer was complete; a number of nginx's, as HTTP has none."""
ENDED: Final = 503
"""The status told where the proxy itself ended before any answer."""

_METHODS: Final = frozenset(HTTPMethod) | {"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT"}
"""The methods that are told by name: HTTP's own, and WebDAV's."""

_LONGEST: Final = 256
"""Characters of a path that are told."""
_PATH_END: Final = re.compile(rb"[?#]")
_ID: Final = re.compile(r"(?<=/)(?=[\w-]*[0-9A-Z])([\w-]{8})[\w-]{8,}(?=/|$)", re.ASCII)


class Observer:
    """Tells what becomes of requests; never a query's value, a header's or a body.

    Args:
        report: Told when one has ended, and before that if it is slow.
        slow_after: Seconds after which a request is slow.

    Attributes:
        slow_after: May be changed; requests that have begun keep theirs.
    """

    def __init__(self, report: Report, *, slow_after: float) -> None:
        self.slow_after = slow_after
        self._report = report

    def begin(self, request: Request) -> None:
        """A request is about to be carried out."""
        request.account.alarm = asyncio.get_running_loop().call_later(self.slow_after, self._slow, request)

    def end(self, request: Request) -> None:
        """It has ended."""
        request.account.disarm()
        status, ended_by = _outcome(request)
        self._report(_told(RequestEnded, request, status, ended_by))

    def _slow(self, request: Request) -> None:
        if request.response is not None:
            request.response.count()
        self._report(_told(RequestSlow, request, request.account.status, None))


def _outcome(request: Request) -> tuple[int, Who]:
    account = request.account
    if account.left:
        return LEFT, "browser"
    return account.status or ENDED, account.ended_by


def _told(kind: type[Told], request: Request, status: int | None, ended_by: Who | None) -> Told:
    account, parsed = request.account, request.is_parsed
    return kind(
        method=shown_method(request.method) if parsed else None,
        path=shown_path(request.target) if parsed else None,
        call=account.call,
        status=status,
        ended_by=ended_by,
        error=account.error,
        verdict=account.verdict,
        cancel=account.cancel,
        received=request.received,
        sent=account.sent,
        seconds=round(account.seconds, 4),
        backend=round(account.backend, 4),
        client=request.client,
    )


def shown_method(method: str) -> str:
    """A method as it may be told: one that nobody knows may be anything, such as what was pasted into a terminal."""
    return method if method in _METHODS else "other"


def shown_path(target: bytes) -> str:
    """A target's path as it may be told: in ASCII, bounded, and with ids and tokens only begun.

    Whoever knows a session's id or a share's token may use it. They are segments of 16 letters, digits, ``-`` and
    ``_`` or more, of which not all are small letters; files have a dot in their names.
    """
    path = target[: end.start()] if (end := _PATH_END.search(target)) else target
    return _shown(path[:_LONGEST])


@lru_cache(maxsize=64)
def _shown(path: bytes) -> str:
    return _ID.sub(r"\1…", path.decode("ascii", "backslashreplace"))
