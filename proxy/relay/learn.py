"""Calls that pass unchanged while the guard reads along."""

from collections.abc import Awaitable, Callable

from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response, begin
from proxy.http.forward import asking_for
from proxy.http.trailers import passed_trailers
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.stream import ResponseStream
from proxy.http.upstream.upstream import Upstream
from proxy.reporting import Report, failing_open

READ_ALONG = 1 << 18
"""Most bytes of an answer that are kept to be read; a longer one passes unread."""

Read = Callable[[int, bytes, float], Awaitable[None]]
"""Takes the status, the body, and when the question was asked."""


async def pass_and_learn(
    request: Request, upstream: Upstream, clock: Callable[[], float], read: Read, report: Report
) -> Response:
    """Streams a control call's answer to the browser, and has `read` learn from it once it is whole.

    Raises:
        ProxyError: there was no answer, or it broke off.
    """
    asked = clock()
    async with asking_for(request, upstream, Lane.CONTROL) as stream:
        return await pass_back_and_learn(request, stream, read, asked, report)


async def pass_back_and_learn(
    request: Request, stream: ResponseStream, read: Read, asked: float, report: Report
) -> Response:
    """Streams an answer under way to the browser, and has `read` learn from it once it is whole.

    Raises:
        BackendError: it broke off.
    """
    response = begin(request, stream)
    seen = bytearray()
    async for chunk in stream.chunks():
        if len(seen) <= READ_ALONG:
            seen += chunk
        await response.write(chunk)
    if len(seen) <= READ_ALONG:
        with failing_open(report, "learning from an answer"):
            await read(stream.status, bytes(seen), asked)
    response.end(passed_trailers(stream.trailers, stream.headers))
    return response
