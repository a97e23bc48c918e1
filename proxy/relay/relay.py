"""Opening an event stream for a browser, and what becomes of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count

from proxy.core.observations import StreamMissing
from proxy.core.records import Ending
from proxy.events.relays import BrowserLeft, RelayEnded, RelayOpened, UpstreamClosed
from proxy.hermes import answers
from proxy.hermes.contract import Call, EventStream, OpenStream, Other, SessionChannel
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response, begin
from proxy.http.forward import asking_for, stream_back
from proxy.http.headers import values
from proxy.http.upstream.exchange import Exchange
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.stream import ResponseStream
from proxy.http.upstream.upstream import Upstream
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.alarms import FarAlarms
from proxy.relay.chatwatch import ChatWatch
from proxy.relay.ends import Over
from proxy.relay.learn import pass_back_and_learn
from proxy.relay.pump import Pump
from proxy.relay.relays import Relays
from proxy.relay.steers import Steers
from proxy.relay.watch import ChannelWatch, NoWatch, Watch
from proxy.reporting import Report

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

    Attributes:
        report: As above.
        open: What passes now.
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
        self.report = report
        self.open: set[Pump] = set()
        self._numbers = count(1)
        self._alarms = FarAlarms()

    def drain(self) -> None:
        """Ends every open relay, of whatever kind."""
        for pump in tuple(self.open):
            pump.drain()

    async def relay(self, request: Request, call: Call, lane: Lane = Lane.RELAYS) -> Response:
        """Opens what `call` asks for, and passes it on until it is over or the browser leaves.

        An event stream is passed on once whoever handles the request is done with it: it may last for hours.

        Args:
            request: What the browser asked.
            call: What it is.
            lane: Whose slot to take for an answer that turns out to be no event stream.
        """
        asked, exchange, relay = self._ownership.clock(), asking_for(request, self._upstream, lane), None
        stream = await exchange.open()
        try:
            if stream.is_event_stream and request.method != "HEAD":
                relay = self._join(request, exchange, stream, call)
                return relay.response
            if isinstance(call, OpenStream):
                learn = partial(self._learn_refusal, call.stream_id)
                return await pass_back_and_learn(request, stream, learn, asked, self.report)
            return await stream_back(request, stream)
        finally:
            if relay is None:
                await exchange.close()

    async def _learn_refusal(self, stream_id: str, status: int, body: bytes, asked: float) -> None:
        if answers.is_missing(status, body):
            await self._ownership.observe(StreamMissing(self._ownership.clock(), asked, stream_id))

    def _join(self, request: Request, exchange: Exchange, stream: ResponseStream, call: Call) -> "Relay":
        """The stream on its way to the browser, which has been sent its head."""
        if isinstance(call, Other):
            call = EventStream()  # as its answer says
            request.account.call = type(call).__name__
        request.outlast()
        relay = Relay(f"r-{next(self._numbers)}", _stream_id(call), request, exchange, self)
        relay.response = begin(request, stream)
        self.report(RelayOpened(relay.number, relay.stream_id, type(call).__name__))
        relay.watch = self._watch(call, stream, relay.number)
        relay.pump = self._pump(stream, relay)
        relay.response.rest = relay.run
        return relay

    def _pump(self, stream: ResponseStream, relay: "Relay") -> Pump:
        limits = self._live.now
        return Pump(
            stream,
            relay.response,
            relay.watch,
            clock=self._ownership.clock,
            alarms=self._alarms,
            idle_timeout=limits.idle_timeout,
            buffer=limits.buffer,
            closed=relay.closed,
        )

    def _watch(self, call: Call, stream: ResponseStream, relay: str) -> Watch:
        if values(stream.headers, b"content-encoding"):
            return NoWatch()  # compressed on the way: there is nothing to be read in it, nor to be added (P8)
        match call:
            case OpenStream(stream_id=stream_id):
                steered = self._steers.opened(stream_id, relay)
                return ChatWatch(stream_id, self._ownership, self._live, steered, relay=relay, report=self.report)
            case SessionChannel():
                return ChannelWatch(self._ownership, relay, self.report)
        return NoWatch()

    def counted(self, stream_id: str | None, pump: Pump) -> AbstractContextManager[Callable[[], None]]:
        """The relay among the open ones of its turn, for as long as the context lasts."""
        return self._relays.opened(stream_id, pump) if stream_id else nullcontext(lambda: None)


class Relay:
    """One event stream on its way to one browser, for as long as it lasts.

    Args:
        number: What it is called in reports.
        stream_id: Of its turn, if it is one's.
        request: Whose answer it is.
        exchange: What holds its upstream.
        guard: What it belongs to.

    Attributes:
        number, stream_id: As above.
        response, watch, pump: Its parts.
    """

    __slots__ = ("_exchange", "_guard", "_request", "number", "pump", "response", "stream_id", "watch")

    response: Response
    watch: Watch
    pump: Pump

    def __init__(
        self, number: str, stream_id: str | None, request: Request, exchange: Exchange, guard: RelayGuard
    ) -> None:
        self.number = number
        self.stream_id = stream_id
        self._request = request
        self._exchange = exchange
        self._guard = guard

    def closed(self, why: Over, overdue: Ending | None) -> None:
        """Its upstream was closed."""
        if why is Over.LEFT:
            self._guard.report(BrowserLeft(self.number, self.stream_id))
        said = None if why in (Over.LEFT, Over.FAILED) else why.value
        self._guard.report(UpstreamClosed(self.number, self.stream_id, said, overdue))

    async def run(self) -> None:
        """Passes the stream on until it is over.

        Raises:
            BackendError: the backend broke off.
            ConnectionError: the browser is gone.
        """
        self._guard.open.add(self.pump)
        try:
            with self._guard.counted(self.stream_id, self.pump) as tell:
                await self.pump.run(tell)
                self.response.end()
        finally:
            self._guard.open.discard(self.pump)
            self._guard.report(RelayEnded(self.number, self.stream_id, self.pump.over.value))
            if self.pump.over in _OUR_DOING:
                self._request.account.ended_by = "proxy"
            self.watch.close()
            await self._exchange.close()


def _stream_id(call: Call) -> str | None:
    return call.stream_id if isinstance(call, OpenStream) else None
