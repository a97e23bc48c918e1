"""Opening the upstreams that browsers share, and passing each on to its log."""

from functools import partial
from itertools import count

from proxy.core.records import Ending
from proxy.events.relays import UpstreamClosed, UpstreamKept, UpstreamOpened
from proxy.http.downstream.request import Request
from proxy.http.headers import end_to_end, without
from proxy.http.upstream.exchange import Exchange
from proxy.http.upstream.stream import ResponseStream
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.asked import resumes_after
from proxy.relay.broadcast import Broadcast, Key
from proxy.relay.chatwatch import ChatWatch
from proxy.relay.ends import Over
from proxy.relay.log import Log
from proxy.relay.logs import Logs
from proxy.relay.pumps import Pumps
from proxy.relay.steers import Steers
from proxy.relay.watch import NoWatch, Watch
from proxy.reporting import Report
from proxy.tasks import Tasks

_ONE_ANSWERS_OWN = (b"set-cookie", b"date")
"""Fields of Hermes' answer to one browser that another is not given."""


class Opening:
    """Makes broadcasts, and has them run.

    Args:
        ownership: Asked and told about turns.
        steers: Which texts have to be given back, to one browser of their turn.
        logs: Keeps what can be joined.
        live: The limits.
        pumps: Make what passes an upstream on.
        tasks: Owns what goes on without a browser.
        report: Told of upstreams opened and closed.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        ownership: Ownership,
        steers: Steers,
        logs: Logs,
        *,
        live: Live,
        pumps: Pumps,
        tasks: Tasks,
        report: Report,
    ) -> None:
        self._ownership = ownership
        self._steers = steers
        self._logs = logs
        self._live = live
        self._pumps = pumps
        self._tasks = tasks
        self._report = report
        self._numbers = count(1)

    def open(self, request: Request, exchange: Exchange, stream: ResponseStream, key: Key, *, limit: int) -> Broadcast:
        """Begins to pass an upstream on to a log.

        Args:
            request: Of the first browser.
            exchange: What holds the upstream.
            stream: Its answer.
            key: Which requests are given it.
            limit: Most bytes to keep.
        """
        number, stream_id = f"u-{next(self._numbers)}", key.stream_id
        broadcast = Broadcast(
            number,
            key,
            exchange,
            self._logs.make(limit),
            self._logs,
            headers=without(end_to_end(stream.headers), _ONE_ANSWERS_OWN),
            is_replay=resumes_after(request) is not None,
            opened=self._ownership.clock(),
            client=request.account.client,
            kept=lambda seconds: self._report(UpstreamKept(number, stream_id, seconds)),
        )
        broadcast.watch = self._watch(number, stream_id, broadcast.log)
        closed = partial(self._closed, number, stream_id)
        broadcast.pump = self._pumps.make(stream, broadcast.log, broadcast.watch, closed)
        self._report(UpstreamOpened(number, stream_id, "OpenStream" if stream_id is not None else "ListChannel"))
        self._tasks.spawn(self._run(broadcast), f"upstream {number}")
        return broadcast

    async def _run(self, broadcast: Broadcast) -> None:
        with self._pumps.working(broadcast.pump):
            await broadcast.run()

    def _watch(self, number: str, stream_id: str | None, log: Log) -> Watch:
        if stream_id is None:
            return NoWatch()
        return ChatWatch(
            stream_id,
            self._ownership,
            self._live,
            self._steers.opened(stream_id, number),
            upstream=number,
            passed=log.passed,
            report=self._report,
        )

    def _closed(self, number: str, stream_id: str | None, why: Over, overdue: Ending | None) -> None:
        said = None if why in (Over.LEFT, Over.FAILED) else why.value
        self._report(UpstreamClosed(number, stream_id, said, overdue))
