"""Opening an event stream for a browser, and what becomes of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import count

from aiohttp import web

from proxy.core.observations import StreamMissing
from proxy.core.records import Ending
from proxy.guard.learn import pass_back_and_learn
from proxy.guard.limits import Live
from proxy.guard.ownership import Ownership
from proxy.guard.pump import Over, Pump
from proxy.guard.relays import Relays
from proxy.guard.reporting import Report
from proxy.guard.steers import Steers
from proxy.guard.watch import ChannelWatch, ChatWatch, NoWatch, Watch
from proxy.hermes import answers
from proxy.hermes.contract import Call, EventStream, OpenStream, Other, SessionChannel
from proxy.http.forward import stream_back
from proxy.http.headers import values
from proxy.http.lanes import Lane
from proxy.http.request import Request
from proxy.http.response import RawResponse, begin
from proxy.http.stream import ResponseStream
from proxy.http.upstream import Upstream

_OUR_DOING = frozenset({Over.OVERDUE, Over.IDLE, Over.DRAINED, Over.FAILED})
"""Ends of a relay that the backend had no part in."""


class RelayGuard:
    """Relays event streams, one upstream a browser.

    Args:
        upstream: The backend.
        ownership: Asked and told about chat streams.
        relays: Where open chat relays are counted.
        steers: Which texts have to be given back, to one browser of their turn.
        live: The limits.
        report: Told of relays opened and ended.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        upstream: Upstream,
        ownership: Ownership,
        relays: Relays,
        steers: Steers,
        live: Live,
        *,
        report: Report,
    ) -> None:
        self._upstream = upstream
        self._ownership = ownership
        self._relays = relays
        self._steers = steers
        self._live = live
        self._report = report
        self._numbers = count(1)
        self._open: set[Pump] = set()

    def drain(self) -> None:
        """Ends every open relay, of whatever kind."""
        for pump in tuple(self._open):
            pump.drain()

    async def relay(self, request: Request, call: Call, lane: Lane = Lane.RELAYS) -> web.StreamResponse:
        """Opens what `call` asks for, and passes it on until it is over or the browser leaves.

        Args:
            request: What the browser asked.
            call: What it is.
            lane: Whose slot to take for an answer that turns out to be no event stream.
        """
        asked = self._ownership.clock()
        async with self._upstream.request(request.head(), lane, body=request.body()) as stream:
            if stream.is_event_stream and request.method != "HEAD":
                return await self._join(request, stream, call)
            if isinstance(call, OpenStream):
                learn = partial(self._learn_refusal, call.stream_id)
                return await pass_back_and_learn(request, stream, learn, asked, self._report)
            return await stream_back(request, stream)

    async def _learn_refusal(self, stream_id: str, status: int, body: bytes, asked: float) -> None:
        if answers.is_missing(status, body):
            await self._ownership.observe(StreamMissing(self._ownership.clock(), asked, stream_id))

    async def _join(self, request: Request, stream: ResponseStream, call: Call) -> web.StreamResponse:
        """Passes the stream on for as long as it lasts."""
        if isinstance(call, Other):
            call = EventStream()  # as its answer says
            request.account.call = type(call).__name__
        request.outlast()
        response = await begin(request, stream)
        report: Report = partial(self._report, relay=f"r-{next(self._numbers)}", stream=_stream_id(call))
        report("relay_opened", call=type(call).__name__)
        with self._watch(call, stream, report) as watch:
            await self._run(self._pump(stream, response, watch, report), request, response, call, report)
        return response

    def _pump(self, stream: ResponseStream, response: RawResponse, watch: Watch, report: Report) -> Pump:
        limits = self._live.now
        return Pump(
            stream,
            response,
            watch,
            clock=self._ownership.clock,
            idle_timeout=limits.idle_timeout,
            buffer=limits.buffer,
            closed=partial(_report_closed, report),
        )

    async def _run(self, pump: Pump, request: Request, response: RawResponse, call: Call, report: Report) -> None:
        self._open.add(pump)
        try:
            with self._counted(call, pump) as tell:
                await pump.run(tell)
                await response.write_eof()
        finally:
            self._open.discard(pump)
            report("relay_ended", why=pump.over.value)
            if pump.over in _OUR_DOING:
                request.account.ended_by = "proxy"

    @contextmanager
    def _watch(self, call: Call, stream: ResponseStream, report: Report) -> Iterator[Watch]:
        if values(stream.headers, b"content-encoding"):
            yield NoWatch()  # compressed on the way: there is nothing to be read in it, nor to be added (P8)
            return
        match call:
            case OpenStream(stream_id=stream_id):
                with self._steers.opened(stream_id, report) as steered:
                    yield ChatWatch(stream_id, self._ownership, self._live, steered, report=report)
            case SessionChannel():
                yield ChannelWatch(self._ownership, report)
            case _:
                yield NoWatch()

    def _counted(self, call: Call, pump: Pump) -> AbstractContextManager[Callable[[], None]]:
        stream_id = _stream_id(call)
        return self._relays.opened(stream_id, pump) if stream_id else nullcontext(lambda: None)


def _stream_id(call: Call) -> str | None:
    return call.stream_id if isinstance(call, OpenStream) else None


def _report_closed(report: Report, why: Over, overdue: Ending | None) -> None:
    if why is Over.LEFT:
        report("browser_left")
    said = None if why in (Over.LEFT, Over.FAILED) else why.value
    report("upstream_closed", why=said, overdue=overdue.value if overdue else None)
