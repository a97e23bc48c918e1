"""Relaying what browsers can share: one upstream for each turn and each list of sessions, however many look at it."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from proxy.backend.backend import Backend
from proxy.hermes.contract import OpenStream
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Head, Response, begin
from proxy.http.errors import ProxyError
from proxy.http.headers import RawHeaders
from proxy.http.upstream.exchange import Exchange
from proxy.http.upstream.stream import ResponseStream
from proxy.ownership.callers import fingerprint
from proxy.ownership.limits import Live
from proxy.relay.asked import Shared, key_of, resumes_after, viewer_of
from proxy.relay.broadcast import Broadcast
from proxy.relay.logs import Logs
from proxy.relay.opening import Opening
from proxy.relay.relays import Relays
from proxy.relay.subscription import Place, Subscription
from proxy.reporting import Report, failing_open

_OK = 200
_CHANNELS_LOG = 1 << 16
"""Most bytes that are kept of a channel, which says a hundred of them at a time."""


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The head of an answer that a log continues."""

    status: int
    reason: bytes
    headers: RawHeaders


class SharedRelays:
    """Relays what browsers can share.

    Whoever asks for a stream that is passed on already joins it, if Hermes gives it to them (P9): either Hermes has
    done so before and knows their credentials still, or it is asked for the stream itself. For a channel it always is.

    The list of sessions has no beginning that a newcomer would miss: a page reads the list when it has opened its
    channel, and is told there of later changes.

    Args:
        backend: Asked whether it knows a browser still.
        relays: Where the open relays of turns are counted.
        opening: Opens upstreams.
        logs: What can be joined.
        live: The limits.
        report: Told of relays opened and ended.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self, backend: Backend, relays: Relays, opening: Opening, logs: Logs, *, live: Live, report: Report
    ) -> None:
        self._backend = backend
        self._relays = relays
        self._opening = opening
        self._logs = logs
        self._live = live
        self._report = report
        self._numbers = count(1)

    def place(self, request: Request, call: Shared) -> Place | None:
        """Where this browser would join, if there is a log that has what the browser asks for."""
        key = key_of(request, call)
        with failing_open(self._report, "looking for a place to join", stream=key.stream_id):
            if (broadcast := self._logs.get(key)) is None:
                return None
            viewer = viewer_of(request)
            return _place(request, broadcast, viewer, broadcast.now(viewer))
        return None

    def place_since(self, request: Request, call: Shared, asked: float) -> Place | None:
        """The same in a log that began after Hermes was asked for this browser, as for several that come at once."""
        key = key_of(request, call)
        with failing_open(self._report, "looking for a place to join", stream=key.stream_id):
            broadcast = self._logs.get(key)
            if broadcast is None or broadcast.opened < asked:
                return None
            return _place(request, broadcast, viewer_of(request), broadcast.beginning)
        return None

    async def join_known(self, request: Request, place: Place) -> Response | None:
        """A turn's stream for a browser that Hermes has given it before, and knows still; None for anybody else."""
        stream_id = place.broadcast.stream_id
        if stream_id is None or fingerprint(request.raw_headers) not in place.broadcast.callers:
            return None
        with suppress(ProxyError):
            answer = await self._backend.ask_status(stream_id, request.head().headers)
            if answer.status == _OK and place.is_there:
                return self._relay(request, place, KnownHead(_OK, b"OK", place.broadcast.headers))
        return None

    def join(self, request: Request, place: Place, stream: ResponseStream) -> Response | None:
        """The stream for a browser that Hermes gives it to, in an upstream that is not needed; None if it is too late.

        Nothing may be awaited between this and the answer's `rest`: the upstream could close for want of browsers.
        """
        if not place.is_there:
            return None
        place.broadcast.welcome(fingerprint(request.raw_headers))
        return self._relay(request, place, stream)

    def begin(self, request: Request, exchange: Exchange, stream: ResponseStream, call: Shared) -> Response:
        """The stream by an upstream of its own, which others may join if there is none yet."""
        key = key_of(request, call)
        is_shared = self._live.now.log > 0 and self._logs.get(key) is None
        limit = self._most_kept(call) if is_shared else 0
        broadcast = self._opening.open(request, exchange, stream, key, limit=limit)
        if is_shared:
            broadcast.welcome(fingerprint(request.raw_headers))
            self._logs.put(broadcast)
        return self._relay(request, Place(broadcast, 0, viewer_of(request), "opened"), stream)

    def _most_kept(self, call: Shared) -> int:
        most = self._live.now.log
        return most if isinstance(call, OpenStream) else min(most, _CHANNELS_LOG)

    def _relay(self, request: Request, place: Place, head: Head) -> Response:
        """The answer, whose head has been sent; the rest follows once whoever handles the request is done with it."""
        request.outlast()
        response, number = begin(request, head), f"r-{next(self._numbers)}"
        response.rest = Subscription(number, request, place, response, self._relays, report=self._report).run
        return response


def _place(request: Request, broadcast: Broadcast, viewer: str, now: int | None) -> Place | None:
    """Where the browser joins by its cursor, or else at `now`."""
    after = resumes_after(request)
    at = now if after is None else broadcast.after(after)
    return None if at is None else Place(broadcast, at, viewer, "now" if after is None else "cursor")
