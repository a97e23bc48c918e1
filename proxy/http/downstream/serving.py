"""Carrying out one request: the handler's answer, or an error's, and an account of what became of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from proxy.http.downstream.answers import error_answer
from proxy.http.downstream.observer import shown_method, shown_path
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response, reply
from proxy.http.errors import ProxyError, RequestTimeoutError

if TYPE_CHECKING:
    from proxy.http.downstream.observer import Observer

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


def refusing(error: ProxyError) -> Handler:
    """A handler that refuses every request."""

    async def refuse(_request: Request) -> Response:
        raise error

    return refuse


class Then(Enum):
    """What becomes of the connection behind an answer."""

    NEXT = auto()
    """Another request may follow."""
    CLOSE = auto()
    LINGER = auto()
    """It ends, but more of the request may come (RFC 9112 §9.6)."""


async def serve(request: Request, handler: Handler, observer: Observer | None) -> Then:
    """Have a request answered.

    Raises:
        asyncio.CancelledError: the browser left, or the server ends.
    """
    account = request.account
    account.browser = request
    account.make_current()
    if observer is not None:
        observer.begin(request)
    try:
        return await _answer(request, handler)
    finally:
        if request.response is not None:
            request.response.count()
        account.left |= request.connection.parting.has_left and not request.is_answered
        account.close()
        if observer is not None:
            observer.end(request)


async def _answer(request: Request, handler: Handler) -> Then:
    writer, pace = request.connection.writer, request.account.pace
    try:
        if writer.is_full:
            await writer.drain(pace)  # answer nobody who does not take the answers that there are (backpressure, P7)
        response = await handler(request)
        if response.rest is not None:
            await response.rest()
        response.end()
        if writer.is_full:
            await writer.drain(pace)
    except ConnectionError as error:
        return _give_up(request, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the browser is told
        return _explain(request, error)
    if response.keeps_alive:
        return Then.NEXT
    return Then.CLOSE if request.has_come else Then.LINGER


def _give_up(request: Request, error: ConnectionError) -> Then:
    request.account.fail(error, ProxyError(""))
    request.abort()
    return Then.CLOSE


def _explain(request: Request, cause: Exception) -> Then:
    """Tell the browser what went wrong, if no head has gone out; else end its connection so that it can tell.

    In HTTP/1.0 only a reset tells a broken answer from a whole one (RFC 9112 §6.3); in HTTP/1.1 its framing says that
    more was to come.
    """
    error = cause if isinstance(cause, ProxyError) else ProxyError("The proxy failed to handle this request.")
    if error is not cause:
        log.error("%s %s failed", shown_method(request.method), shown_path(request.target), exc_info=cause)
    request.account.fail(cause, error)
    try:
        if request.response is None:
            reply(request, error_answer(error), closes=True)
        elif request.is_http_1_0:
            request.abort()
    except ConnectionError as gone:
        return _give_up(request, gone)
    # Behind a request that came too late nothing comes that reading on would clear away.
    return Then.CLOSE if request.has_come or isinstance(error, RequestTimeoutError) else Then.LINGER
