"""What operators are shown, as JSON: what the guard believes now, and what it reported.

Ids of sessions and streams are shortened, times are ISO 8601 in UTC, durations and ages are seconds.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from proxy.core.records import SessionRecord, StreamRecord, StreamState
from proxy.ops.history import STEP, History
from proxy.ops.ids import shorten
from proxy.ops.metrics import LaneUse, Levels, Metrics
from proxy.ops.receipts import Receipt, Receipts
from proxy.ops.stops import Stop, Stops
from proxy.ops.times import iso8601

_LIVE = (StreamState.RUNNING, StreamState.CANCEL_SENT, StreamState.SETTLING)

Clock = Callable[[], float]


class Drain(Protocol):
    """Turning new starts away or holding them, so that the backend can be restarted without harm."""

    @property
    def state(self) -> Literal["serving", "draining", "settled"]:
        """Settled once nothing runs any more that the restart would break off."""

    @property
    def is_holding(self) -> bool:
        """Whether new starts are held until the backend is back, in place of being turned away."""

    @property
    def held(self) -> int:
        """How many are held."""

    @property
    def under_way(self) -> int:
        """How many were let in, and are not answered yet."""

    @property
    def in_hermes(self) -> int | None:
        """How many turns the backend runs, as it said last while draining; None if it has not said."""

    def begin(self, *, hold: bool) -> None:
        """Turns new starts away from now on, or holds them."""

    def resume(self) -> bool:
        """Lets starts through again; False if the proxy is about to end, and does not."""


@dataclass(frozen=True, slots=True)
class About:
    """What does not change while the proxy runs."""

    version: str
    upstream: str
    listening: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look for what is the case now.

    Attributes:
        busy: The records in which something runs or settles.
        is_named: Whether a record's session id is the backend's own.
        relays: How many browsers watch a stream.
        log: How many bytes of a stream are kept for others.
        logs: How many of all.
        is_running: Whether the backend works on a stream, as it says itself; None if it does not.
        lanes: By name.
        away_since: When the backend was first found not to answer; None while it does.
        waiting_since: When it was asked what it should have answered by now; None once it has, or was found away.
        drain: Whether starts are turned away.
    """

    busy: Callable[[], Awaitable[tuple[SessionRecord, ...]]]
    is_named: Callable[[str], bool]
    relays: Callable[[str], int]
    log: Callable[[str], int]
    logs: Callable[[], int]
    is_running: Callable[[StreamRecord], Awaitable[bool | None]]
    lanes: Callable[[], Mapping[str, LaneUse]]
    away_since: Callable[[], Awaitable[float | None]]
    waiting_since: Callable[[], Awaitable[float | None]]
    drain: Drain


@dataclass(frozen=True, slots=True)
class Journals:
    """What was reported so far, kept in four ways."""

    metrics: Metrics
    history: History
    stops: Stops
    receipts: Receipts


class Views:
    """Answers an operator's questions.

    Args:
        about: The proxy.
        sources: Where to look.
        journals: What happened.
        clock: Monotonic seconds, the guard's own.
        wall: Seconds since the epoch.
    """

    def __init__(self, about: About, sources: Sources, journals: Journals, *, clock: Clock, wall: Clock) -> None:
        self._about = about
        self._sources = sources
        self._journals = journals
        self._clock = clock
        self._wall = wall
        self._started = clock()

    async def unready(self) -> str | None:
        """Why no traffic should be sent here; None if it may."""
        if self._sources.drain.state != "serving":
            return "draining"
        return None if await self._sources.away_since() is None else "backend_away"

    async def levels(self) -> Levels:
        """What the gauges show."""
        return Levels(
            streams=_by_state(await self._sources.busy()),
            lanes=self._sources.lanes(),
            logs=self._sources.logs(),
            reachable=await self._sources.away_since() is None,
            draining=self._sources.drain.state != "serving",
            held=self._sources.drain.held,
        )

    async def status(self) -> dict[str, Any]:
        """The proxy as a whole."""
        lanes = self._sources.lanes()
        return {
            "version": self._about.version,
            "state": self._sources.drain.state,
            "listening": self._about.listening,
            "upstream": self._about.upstream,
            "started": self._iso(self._started),
            "uptime": self._age(self._started),
            "backend": await self._backend(),
            "lanes": {name: {"in_use": lane.in_use, "limit": lane.limit} for name, lane in lanes.items()},
            "streams": _by_state(await self._sources.busy()),
            "log": self._sources.logs(),
            "held": self._sources.drain.held,
            **self._journals.metrics.totals(),
        }

    async def drain(self) -> dict[str, Any]:
        """What becomes of new turns, and what a drain waits for, as far as it is a turn that still runs."""
        drain = self._sources.drain
        turns = (await self.streams())["streams"]
        return {
            "state": drain.state,
            "hold": drain.is_holding,
            "held": drain.held,
            "under_way": drain.under_way,
            "in_hermes": drain.in_hermes,
            "turns": [turn for turn in turns if turn["in_hermes"] is not False],
        }

    async def streams(self) -> dict[str, Any]:
        """The turns that are believed to run or to settle, newest first."""
        live = [(record, stream) for record in await self._sources.busy() for stream in record.streams]
        live = [pair for pair in live if pair[1].state in _LIVE]
        live.sort(key=lambda pair: pair[1].began, reverse=True)
        return {"streams": [await self._stream(record, stream) for record, stream in live]}

    async def cancels(self, limit: int) -> dict[str, Any]:
        """The latest cancels, newest first, with their receipts as far as they have come."""
        under_way = await self._under_way()
        stops = self._journals.stops.latest()[:limit]
        return {"cancels": [self._cancel(stop, under_way) for stop in stops]}

    async def cancel(self, cancel_id: str) -> dict[str, Any] | None:
        """One cancel, if it is still known."""
        stop = self._journals.stops.get(cancel_id)
        return None if stop is None else self._cancel(stop, await self._under_way())

    def history(self) -> dict[str, Any]:
        """The last minutes, oldest first: events in each step of so many seconds, and the cancels that are over."""
        history = self._journals.history
        cancels = [{"age": self._age(outcome.at), "took": outcome.took} for outcome in history.outcomes()]
        return {"step": STEP, "events": history.events(), "cancels": cancels}

    async def _backend(self) -> dict[str, Any]:
        """Whoever looks is told at once that an answer is overdue, and need not wait until it is given up."""
        waiting_since = await self._sources.waiting_since()
        away_since = await self._sources.away_since() if waiting_since is None else None
        return {
            "reachable": away_since is None,
            "away_since": self._iso(away_since),
            "waiting_since": self._iso(waiting_since),
        }

    async def _stream(self, record: SessionRecord, stream: StreamRecord) -> dict[str, Any]:
        named = self._sources.is_named(record.session_id)
        relays = self._sources.relays(stream.stream_id)
        # The end of a turn that nobody watches passes by unseen; only the backend knows of it.
        is_unseen = stream.state is StreamState.RUNNING and not relays
        return {
            "session": shorten(record.session_id) if named else None,
            "stream": shorten(stream.stream_id),
            "state": stream.state.value,
            "age": self._age(stream.began),
            "state_age": self._age(stream.sent[0].sent_at if stream.sent else stream.since),
            "relays": relays,
            "log": self._sources.log(stream.stream_id),
            "in_hermes": await self._sources.is_running(stream) if is_unseen else None,
            "cancel": stream.cancel.cancel_id if stream.cancel else None,
        }

    async def _under_way(self) -> dict[str, Receipt]:
        receipts = [
            Receipt.of(stream.stream_id, stream.cancel, stream.ending)
            for record in await self._sources.busy()
            for stream in record.streams
            if stream.cancel is not None and stream.state is not StreamState.ENDED
        ]
        return {receipt.cancel_id: receipt for receipt in receipts}

    def _cancel(self, stop: Stop, under_way: Mapping[str, Receipt]) -> dict[str, Any]:
        over = self._journals.receipts.get(stop.cancel_id)
        receipt = over or under_way.get(stop.cancel_id)
        return {
            "id": stop.cancel_id,
            "stream": shorten(stop.stream_id),
            "at": self._iso(stop.at),
            "age": self._age(stop.at),
            "presses": stop.presses,
            "outcome": _outcome(stop, over, receipt),
            "verdict": stop.verdict,
            "reason": stop.reason.value if stop.reason else None,
            "status": stop.status,
            "cancelled": stop.cancelled,
            "failed": stop.failed,
            "receipt": None if receipt is None else _receipt(receipt),
        }

    def _age(self, at: float) -> float:
        return round(self._clock() - at, 3)

    def _iso(self, at: float | None) -> str | None:
        return None if at is None else iso8601(self._wall() - (self._clock() - at))


def _by_state(records: tuple[SessionRecord, ...]) -> dict[str, int]:
    states = [stream.state for record in records for stream in record.streams]
    return {state.value: states.count(state) for state in _LIVE}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    fields = receipt.fields()
    return {name: value for name, value in fields.items() if name not in {"cancel", "stream"}}


def _outcome(stop: Stop, over: Receipt | None, receipt: Receipt | None) -> str:
    """What became of a Stop, in one word; `docs/operating.md` explains each."""
    if over is not None:
        return "unsettled" if over.missing else "settled"
    if receipt is not None:
        return "under_way"
    return stop.told
