"""The admin listener's application over real TCP, in front of a guard that is what the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import pytest
import uvloop

from proxy.core.records import SessionRecord, StreamRecord
from proxy.ops.admin import Admission, application, listening
from proxy.ops.feed import Feed
from proxy.ops.history import History
from proxy.ops.metrics import LaneUse, Metrics
from proxy.ops.receipts import Receipts
from proxy.ops.stops import Stops
from proxy.ops.trace import fan_out
from proxy.ops.views import About, Journals, Sources, Views

NOW = 1000.0
EPOCH = 1_800_000_000.0


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both for what connections do; what is answered on them depends on neither."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name in ("test_connection.py", "test_listener.py") else {"asyncio": asyncio.new_event_loop}


class Drain:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.state: Literal["serving", "draining", "settled"] = "serving"
        self.ending = False
        self.is_holding = False
        self.held = self.under_way = 0
        self.in_hermes: int | None = None

    def begin(self, *, hold: bool) -> None:
        self.state, self.is_holding = "draining", hold

    def resume(self) -> bool:
        if not self.ending:
            self.state, self.is_holding = "serving", False
        return not self.ending


@dataclass
class Guard:
    """What the views look at, as the test has it."""

    records: tuple[SessionRecord, ...] = ()
    away_since: float | None = None
    waiting_since: float | None = None
    relays: dict[str, int] = field(default_factory=dict)
    runs: bool | None = None
    drain: Drain = field(default_factory=Drain)
    receipts: Receipts = field(default_factory=Receipts)
    metrics: Metrics = field(default_factory=lambda: Metrics("1.2.3"))
    feed: Feed = field(default_factory=lambda: Feed(lambda: EPOCH))
    now: float = NOW

    def __post_init__(self) -> None:
        self.stops = Stops(self.clock)
        self.history = History(self.clock)
        self.report = fan_out(self.metrics, self.stops, self.history, self.feed)

    def clock(self) -> float:
        return self.now

    async def _busy(self) -> tuple[SessionRecord, ...]:
        return self.records

    async def _is_running(self, _stream: StreamRecord) -> bool | None:
        return self.runs

    async def _away_since(self) -> float | None:
        return self.away_since

    async def _waiting_since(self) -> float | None:
        return self.waiting_since

    def views(self) -> Views:
        sources = Sources(
            busy=self._busy,
            is_named=lambda session_id: not session_id.startswith("stream:"),
            relays=lambda stream_id: self.relays.get(stream_id, 0),
            log=lambda stream_id: 100 * self.relays.get(stream_id, 0),
            logs=lambda: 100 * sum(self.relays.values()),
            is_running=self._is_running,
            lanes=lambda: {"control": LaneUse(1, 16), "relays": LaneUse(3, 80)},
            away_since=self._away_since,
            waiting_since=self._waiting_since,
            drain=self.drain,
        )
        journals = Journals(self.metrics, self.history, self.stops, self.receipts)
        about = About("1.2.3", "http://hermes:8787", "http://127.0.0.1:8788")
        return Views(about, sources, journals, clock=self.clock, wall=lambda: EPOCH + self.now - NOW)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    json: Any

    @property
    def code(self) -> str:
        return str(self.json["code"])


@dataclass
class Operator:
    """Asks the listener, from anywhere and with anything."""

    port: int
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Reply:
        async with self.session.request(method, self.url + path, **options) as response:
            body = await response.read()
            is_json = response.content_type == "application/json" and bool(body)
            return Reply(response.status, dict(response.headers), body, await response.json() if is_json else None)


Serve = Callable[..., Awaitable[Operator]]


@pytest.fixture
async def serve(guard: Guard) -> AsyncIterator[Serve]:
    """Serves the application, by default as it is on loopback without a token."""
    async with AsyncExitStack() as stack:

        async def start(host: str = "127.0.0.1", token: str | None = None) -> Operator:
            app = application(guard.views(), guard.metrics, guard.feed, guard.drain, Admission(host, token))
            port = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Operator(port, session)

        yield start


@pytest.fixture
async def operator(serve: Serve) -> Operator:
    return await serve()
