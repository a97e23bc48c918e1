"""Carrying a request to the backend and its answer back: streamed, or held in whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.http.errors import AnswerTooLargeError
from proxy.http.headers import end_to_end
from proxy.http.message import Answer, Body
from proxy.http.response import begin
from proxy.http.websocket import tunnel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from proxy.http.lanes import Lane
    from proxy.http.message import RequestHead
    from proxy.http.request import Request
    from proxy.http.stream import ResponseStream
    from proxy.http.upstream import Upstream


async def forward(
    request: Request,
    upstream: Upstream,
    lane: Lane,
    *,
    body: Body | None = None,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> web.StreamResponse:
    """Stream a request to the backend and its answer to the browser, with backpressure.

    A request for a WebSocket becomes one, on the lane for relays, if the backend agrees.

    Args:
        request: What the browser asked.
        upstream: Whom to ask.
        lane: Whose slot to take.
        body: Its body, if that was taken from it before.
        extra: Fields to add to the answer.

    Raises:
        ProxyError: there is no answer, or it broke off; the server tells the browser.
        ConnectionError: the browser is gone.
    """
    if request.upgrade is not None:
        return await tunnel(request, upstream)
    async with upstream.request(request.head(), lane, body=body or request.body()) as stream:
        return await stream_back(request, stream, extra=extra)


async def stream_back(
    request: Request, stream: ResponseStream, *, extra: Sequence[tuple[bytes, bytes]] = ()
) -> web.StreamResponse:
    """Pass an answer on as it comes.

    Raises:
        BackendError: it broke off.
        ConnectionError: the browser is gone.
    """
    response = await begin(request, stream, extra=extra)
    async for chunk in stream.chunks():
        await response.write(chunk)
    await response.write_eof()
    return response


async def exchange(  # noqa: PLR0913 - the whole of a request
    upstream: Upstream,
    head: RequestHead,
    lane: Lane,
    *,
    body: Body | bytes | None = None,
    limit: int,
    repeatable: bool,
) -> Answer:
    """Ask the backend and hold its whole answer.

    Args:
        upstream: Whom to ask.
        head: What to ask.
        lane: Whose slot to take.
        body: Streamed as it comes, or at hand in whole and sent with its ``Content-Length``.
        limit: Most bytes of the answer's body to hold (P7).
        repeatable: Whether a ``GET`` may be sent once more when the idle connection it went out
            on is dead. False sends it exactly once.

    Raises:
        NoCapacityError: the lane is full.
        AnswerTooLargeError: the body is over ``limit``.
        BackendError: there is no answer, or it broke off.
    """
    sent = Body.of(body) if isinstance(body, bytes) else body
    async with upstream.request(head, lane, body=sent, repeatable=repeatable) as stream:
        return Answer(stream.status, stream.reason, end_to_end(stream.headers), await hold(stream, limit))


async def hold(stream: ResponseStream, limit: int) -> bytes:
    """The whole body of an answer.

    Raises:
        AnswerTooLargeError: it is over ``limit`` bytes.
        BackendError: it broke off.
    """
    held = bytearray()
    async for chunk in stream.chunks():
        held += chunk
        if len(held) > limit:
            raise AnswerTooLargeError(f"The backend's answer is over {limit} bytes.")
    return bytes(held)
