"""One browser's subscription to a log: from its place there to the end of its answer."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from proxy.events.relays import BrowserLeft, RelayEnded, RelayOpened, RelayWrote
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response
from proxy.relay.broadcast import Broadcast
from proxy.relay.cursor import Cursor
from proxy.relay.ends import OUR_DOING, Over
from proxy.relay.relays import Relays
from proxy.reporting import Report


@dataclass(frozen=True, slots=True)
class Place:
    """Where a browser joins a log.

    Attributes:
        broadcast: Whose.
        at: Offset of the first byte that it is sent.
        viewer: Which browser, as far as its requests tell.
        joined: In which way: `opened` if its own upstream began the log, `now`, or `cursor`.
    """

    broadcast: Broadcast
    at: int
    viewer: str
    joined: str

    @property
    def is_there(self) -> bool:
        """Whether it can be joined yet."""
        return self.broadcast.is_joinable and self.at >= self.broadcast.log.kept.begin


class Subscription:
    """Sends one browser a log, and says what becomes of it.

    Args:
        number: What it is called in reports.
        request: Whose answer it is.
        place: Where it joins.
        response: What it is sent in.
        relays: Where it is counted, if it is a turn's.
        report: Told of it.
    """

    __slots__ = ("_broadcast", "_cursor", "_number", "_relays", "_report", "_request", "_response", "_viewer")

    def __init__(  # noqa: PLR0913 - its two ends, and whom it tells
        self, number: str, request: Request, place: Place, response: Response, relays: Relays, *, report: Report
    ) -> None:
        self._number = number
        self._request = request
        self._broadcast = place.broadcast
        self._viewer = place.viewer
        self._response = response
        self._relays = relays
        self._report = report
        returned = place.broadcast.watch.written
        self._cursor = Cursor(place.broadcast.log, place.at, response, wrote=self._wrote, returned=returned)
        behind = place.broadcast.log.kept.end - place.at
        report(RelayOpened(*self._names, request.account.call, place.joined, behind))

    @property
    def _names(self) -> tuple[str, str, str | None]:
        """What reports call it, its upstream, and its turn if it is one's."""
        return self._number, self._broadcast.number, self._broadcast.stream_id

    def _wrote(self, events: tuple[str, ...], count: int) -> None:
        self._report(RelayWrote(*self._names, events, count))

    async def run(self) -> None:
        """Sends the browser what comes until the turn is over.

        Raises:
            BackendError: the backend broke off.
            ConnectionError: the browser is gone.
        """
        broadcast = self._broadcast
        broadcast.joined(self._cursor, self._viewer, self._request.account)
        try:
            with self._counted() as tell:
                await self._cursor.run(tell)
                self._response.end()
        finally:
            self._leave()

    def _counted(self) -> AbstractContextManager[Callable[[], None]]:
        broadcast = self._broadcast
        if broadcast.stream_id is None:
            return nullcontext(_nobody)
        return self._relays.opened(broadcast.stream_id, broadcast.pump)

    def _leave(self) -> None:
        over = self._cursor.over
        if over is Over.LEFT:
            self._report(BrowserLeft(*self._names))
        elif over in OUR_DOING:
            self._request.account.ended_by = "proxy"
        self._broadcast.left(self._cursor, self._viewer)
        self._report(RelayEnded(*self._names, over.value))


def _nobody() -> None:
    """Told that a turn is over where there is none."""
