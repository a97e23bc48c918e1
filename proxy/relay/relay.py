"""Opening an event stream for a browser, and what becomes of it."""

from functools import partial
from itertools import count

from proxy.core.observations import StreamMissing
from proxy.core.records import Ending
from proxy.events.relays import BrowserLeft, RelayEnded, RelayOpened, UpstreamClosed, UpstreamOpened
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
from proxy.ownership.ownership import Ownership
from proxy.relay.asked import Shared
from proxy.relay.channelwatch import ChannelWatch
from proxy.relay.ends import OUR_DOING, Direct, Over
from proxy.relay.learn import pass_back_and_learn
from proxy.relay.pump import Pump
from proxy.relay.pumps import Pumps
from proxy.relay.sharing import SharedRelays
from proxy.relay.subscription import Place
from proxy.relay.watch import NoWatch, Watch
from proxy.reporting import Report


class RelayGuard:
    """Relays event streams: what browsers can share from a log, any other by one upstream a browser.

    Args:
        upstream: The backend.
        ownership: Asked and told about chat streams.
        shared: Relays what browsers can share.
        pumps: Make what passes an upstream on.
        report: Told of relays opened and ended.

    Attributes:
        pumps, report: As above.
    """

    def __init__(
        self, upstream: Upstream, ownership: Ownership, shared: SharedRelays, pumps: Pumps, report: Report
    ) -> None:
        self._upstream = upstream
        self._ownership = ownership
        self._shared = shared
        self.pumps = pumps
        self.report = report
        self._numbers = count(1)

    def drain(self) -> None:
        """Ends every open relay, of whatever kind."""
        self.pumps.drain()

    async def relay(self, request: Request, call: Call, lane: Lane = Lane.RELAYS) -> Response:
        """Opens what `call` asks for, and passes it on until it is over or the browser leaves.

        An event stream is passed on once whoever handles the request is done with it: it may last for hours.

        Args:
            request: What the browser asked.
            call: What it is.
            lane: Whose slot to take for an answer that turns out to be no event stream.
        """
        if not isinstance(call, Shared):
            return await self._ask(request, call, lane, None)
        place = self._shared.place(request, call)
        joined = await self._shared.join_known(request, place) if place else None
        return joined or await self._ask(request, call, lane, place)

    async def _ask(self, request: Request, call: Call, lane: Lane, place: Place | None) -> Response:
        """What Hermes answers to this browser; if that is a stream which passes on already, it joins at `place`."""
        asked, exchange, kept = self._ownership.clock(), asking_for(request, self._upstream, lane), False
        stream = await exchange.open()
        try:
            if not stream.is_event_stream or request.method == "HEAD":
                return await self._pass_back(request, stream, call, asked)
            if isinstance(call, Shared) and not values(stream.headers, b"content-encoding"):
                kept, place = True, place or self._shared.place_since(request, call, asked)
                if place is None or not place.is_there:
                    return self._shared.begin(request, exchange, stream, call)
                await exchange.close()  # before it joins, so that nothing can happen between joining and following
                return self._shared.join(request, place, stream) or await self._ask(request, call, lane, None)
            kept = True
            return self._begin(request, exchange, stream, call)
        finally:
            if not kept:
                await exchange.close()

    async def _pass_back(self, request: Request, stream: ResponseStream, call: Call, asked: float) -> Response:
        if isinstance(call, OpenStream):
            learn = partial(self._learn_refusal, call.stream_id)
            return await pass_back_and_learn(request, stream, learn, asked, self.report)
        return await stream_back(request, stream)

    async def _learn_refusal(self, stream_id: str, status: int, body: bytes, asked: float) -> None:
        if answers.is_missing(status, body):
            await self._ownership.observe(StreamMissing(self._ownership.clock(), asked, stream_id))

    def _begin(self, request: Request, exchange: Exchange, stream: ResponseStream, call: Call) -> Response:
        """The stream on its way to the browser, which has been sent its head."""
        if isinstance(call, Other):
            call = EventStream()  # as its answer says
            request.account.call = type(call).__name__
        request.outlast()
        relay = Relay(f"e-{next(self._numbers)}", request, exchange, self)
        relay.response = begin(request, stream)
        self.report(UpstreamOpened(relay.number, None, type(call).__name__))
        self.report(RelayOpened(relay.number, relay.number, None, type(call).__name__, "opened", 0))
        relay.watch = self._watch(call, stream, relay.number)
        relay.pump = self.pumps.make(stream, Direct(relay.response), relay.watch, relay.closed)
        relay.response.rest = relay.run
        return relay.response

    def _watch(self, call: Call, stream: ResponseStream, upstream: str) -> Watch:
        if isinstance(call, SessionChannel) and not values(stream.headers, b"content-encoding"):
            return ChannelWatch(self._ownership, upstream, self.report)
        return NoWatch()  # if compressed on the way, there is nothing to be read in it, nor to be added (P8)


class Relay:
    """One event stream on its way to one browser, for as long as it lasts.

    Args:
        number: What it is called in reports.
        request: Whose answer it is.
        exchange: What holds its upstream.
        guard: What it belongs to.

    Attributes:
        number: As above.
        response, watch, pump: Its parts.
    """

    __slots__ = ("_exchange", "_guard", "_request", "number", "pump", "response", "watch")

    response: Response
    watch: Watch
    pump: Pump

    def __init__(self, number: str, request: Request, exchange: Exchange, guard: RelayGuard) -> None:
        self.number = number
        self._request = request
        self._exchange = exchange
        self._guard = guard

    def closed(self, why: Over, overdue: Ending | None) -> None:
        """Its upstream was closed."""
        if why is Over.LEFT:
            self._guard.report(BrowserLeft(self.number, self.number, None))
        said = None if why in (Over.LEFT, Over.FAILED) else why.value
        self._guard.report(UpstreamClosed(self.number, None, said, overdue))

    async def run(self) -> None:
        """Passes the stream on until it is over.

        Raises:
            BackendError: the backend broke off.
            ConnectionError: the browser is gone.
        """
        try:
            with self._guard.pumps.working(self.pump):
                await self.pump.run(lambda: None)
            self.response.end()
        finally:
            self._guard.report(RelayEnded(self.number, self.number, None, self.pump.over.value))
            if self.pump.over in OUR_DOING:
                self._request.account.ended_by = "proxy"
            self.watch.close()
            await self._exchange.close()
