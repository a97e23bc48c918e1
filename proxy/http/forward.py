"""Carrying a request to the backend and its answer back: streamed, or held in whole."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from proxy.http.downstream.response import begin, interim
from proxy.http.errors import AnswerTooLargeError
from proxy.http.headers import end_to_end
from proxy.http.message import Answer, Body
from proxy.http.trailers import passed_trailers
from proxy.http.tunnel import tunnel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.message import RequestHead
    from proxy.http.upstream.exchange import Exchange
    from proxy.http.upstream.lanes import Lane
    from proxy.http.upstream.stream import ResponseStream
    from proxy.http.upstream.upstream import Upstream


async def forward(
    request: Request,
    upstream: Upstream,
    lane: Lane,
    *,
    body: Body | None = None,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> Response:
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
    async with asking_for(request, upstream, lane, body=body) as stream:
        return await stream_back(request, stream, extra=extra)


def asking_for(request: Request, upstream: Upstream, lane: Lane, *, body: Body | None = None) -> Exchange:
    """The backend asked what a browser asks, whose interim answers the browser gets.

    Args:
        request: What the browser asked.
        upstream: Whom to ask.
        lane: Whose slot to take.
        body: Its body, if that was taken from it before.
    """
    asked = body or request.body()
    return upstream.request(request.head(), lane, body=asked, interim=partial(interim, request))


async def stream_back(
    request: Request, stream: ResponseStream, *, extra: Sequence[tuple[bytes, bytes]] = ()
) -> Response:
    """Pass an answer on as it comes.

    Raises:
        BackendError: it broke off.
        ConnectionError: the browser is gone.
    """
    response, head = begin(request, stream, extra=extra, first=stream.arrived()), stream.headers
    if stream.is_event_stream:
        await _Carrier(stream, response).run()
    else:
        async for chunk in stream.chunks():
            await response.write(chunk)
    response.end(passed_trailers(stream.trailers, head))
    return response


class _Carrier:
    """Passes an event stream on, each piece in the call that it arrives in; it may be silent for any time.

    Args:
        stream: The answer.
        response: Where it goes.
    """

    __slots__ = ("_error", "_is_ended", "_response", "_stream", "_waiting")

    def __init__(self, stream: ResponseStream, response: Response) -> None:
        self._stream = stream
        self._response = response
        self._error: Exception | None = None
        self._is_ended = False
        self._waiting = asyncio.Event()

    async def run(self) -> None:
        """Go on until the stream has ended.

        Raises:
            BackendError: it broke off.
            ConnectionError: the browser is gone.
        """
        self._stream.follow(self)
        while not self._is_ended:
            await self._waiting.wait()
            self._waiting.clear()
            if self._response.is_full:
                await self._response.drain()
                self._stream.resume()
        if self._error is not None:
            raise self._error

    def data(self, chunk: bytes) -> None:
        """See `Sink`."""
        try:
            if self._response.send(chunk):
                return
            self._stream.pause()
        except ConnectionError as error:
            self.ended(error)
        self._waiting.set()

    def ended(self, error: Exception | None) -> None:
        """See `Sink`."""
        self._error, self._is_ended = error, True
        self._waiting.set()


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
