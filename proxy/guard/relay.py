"""Opening an event stream for a browser, and what becomes of it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count

from aiohttp import web

from proxy.core.observations import StreamMissing
from proxy.core.records import Ending
from proxy.guard.broadcast import Broadcast
from proxy.guard.learn import pass_back_and_learn
from proxy.guard.limits import Live
from proxy.guard.ownership import Ownership
from proxy.guard.relays import Relays
from proxy.guard.reporting import Report
from proxy.guard.source import Over, Source
from proxy.guard.watch import ChannelWatch, ChatWatch, NoWatch, Watch
from proxy.hermes import answers
from proxy.hermes.contract import EVENT_STREAM, Call, OpenStream, SessionChannel
from proxy.http.forward import stream_back
from proxy.http.headers import values
from proxy.http.lanes import Lane
from proxy.http.request import Request
from proxy.http.response import begin
from proxy.http.stream import ResponseStream, settle
from proxy.http.upstream import Upstream

_OK = 200

log = logging.getLogger(__name__)


class RelayGuard:
    """Relays event streams, one upstream a browser.

    Args:
        upstream: The backend.
        ownership: Asked and told about chat streams.
        relays: Where open chat relays are counted.
        live: The limits.
        report: Told of relays opened and ended.
    """

    def __init__(
        self,
        upstream: Upstream,
        ownership: Ownership,
        relays: Relays,
        live: Live,
        *,
        report: Report,
    ) -> None:
        self._upstream = upstream
        self._ownership = ownership
        self._relays = relays
        self._live = live
        self._report = report
        self._numbers = count(1)
        self._open: set[Source] = set()

    def drain(self) -> None:
        """Ends every open relay, of whatever kind."""
        for source in tuple(self._open):
            source.drain()

    async def relay(self, request: Request, call: Call) -> web.StreamResponse:
        """Opens what `call` asks for, and passes it on until it is over or the browser leaves."""
        asked = self._ownership.clock()
        async with self._upstream.request(request.head(), Lane.RELAYS, body=request.body()) as stream:
            if _is_event_stream(stream):
                return await self._join(request, stream, call)
            if isinstance(call, OpenStream):
                learn = partial(self._learn_refusal, call.stream_id)
                return await pass_back_and_learn(request, stream, learn, asked, self._report)
            return await stream_back(request, stream)

    async def _learn_refusal(self, stream_id: str, status: int, body: bytes, asked: float) -> None:
        if answers.is_missing(status, body):
            await self._ownership.observe(StreamMissing(self._ownership.clock(), asked, stream_id))

    async def _join(self, request: Request, stream: ResponseStream, call: Call) -> web.StreamResponse:
        """Keeps the upstream and the browser apart, each at its own pace, joined by a broadcast."""
        request.downstream.discard_input()
        response = await begin(request, stream)
        broadcast = Broadcast()
        subscription = broadcast.subscribe(self._live.now.buffer)
        report: Report = partial(self._report, relay=f"r-{next(self._numbers)}", stream=_stream_id(call))
        report("relay_opened", call=type(call).__name__)
        watch = self._watch(call, report)
        source = Source(
            stream,
            broadcast,
            watch,
            clock=self._ownership.clock,
            idle_timeout=self._live.now.idle_timeout,
            closed=partial(_report_closed, report),
        )
        pump = asyncio.create_task(source.run())
        self._open.add(source)
        try:
            with self._counted(call, source) as tell:
                async for chunk in subscription.chunks():
                    await response.write(chunk)
                    if watch.told and subscription.is_empty:
                        tell()
                await response.write_eof()
        finally:
            self._open.discard(source)
            if not pump.done():
                report("browser_left")
            try:
                await settle(pump)
            finally:  # the browser may leave even now
                report("relay_ended", why=_why(pump))
        return response

    def _watch(self, call: Call, report: Report) -> Watch:
        match call:
            case OpenStream(stream_id=stream_id):
                return ChatWatch(stream_id, self._ownership, self._live, report=report)
            case SessionChannel():
                return ChannelWatch(self._ownership, report)
            case _:
                return NoWatch()

    def _counted(self, call: Call, source: Source) -> AbstractContextManager[Callable[[], None]]:
        stream_id = _stream_id(call)
        return self._relays.opened(stream_id, source) if stream_id else nullcontext(lambda: None)


def _is_event_stream(stream: ResponseStream) -> bool:
    content_type = b"".join(values(stream.headers, b"content-type")[:1])
    return stream.status == _OK and content_type.lower().startswith(EVENT_STREAM.encode())


def _stream_id(call: Call) -> str | None:
    return call.stream_id if isinstance(call, OpenStream) else None


def _report_closed(report: Report, why: Over | None, overdue: Ending | None) -> None:
    report("upstream_closed", why=why.value if why else None, overdue=overdue.value if overdue else None)


def _why(pump: asyncio.Task[Over]) -> str:
    if not pump.done() or pump.cancelled():
        return "the browser left"
    if (error := pump.exception()) is not None:
        log.error("a relay failed", exc_info=error)
        return "internal error"
    return pump.result().value
