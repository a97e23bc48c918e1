"""The whole proxy in front of the stand-in, over real TCP and on both event loops, and what was measured there."""

import asyncio
import contextlib
import os
import secrets
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from proxy.app import Running, running
from proxy.config import LaneSettings, ListenSettings, RelaySettings, Settings, UpstreamSettings
from proxy.demo import Backend
from proxy.demo.ledger import ConnectionRecord
from proxy.events.event import Event
from proxy.ops.trace import UNTRACED
from tests.support.lab import FAST, OWNERSHIP, Browser, Lab
from tests.support.processes import ON_ASYNCIO, ON_UVLOOP, Process
from tests.support.raw import RawBrowser
from tests.support.standin import KEPT

SECONDS = float(os.environ.get("CHAOS_SECONDS", "1.5"))
"""How long a storm lasts; what takes long by itself is smaller unless it is a good deal more than the default."""

SEED = int(os.environ.get("CHAOS_SEED", "0")) or secrets.randbelow(1 << 32)
"""Which one it is."""

_HERE = Path(__file__).parent

_UNTIMED = {"test_injection.py"}
"""What promises no seconds, and so does not mind what else the machine does."""

MEASURED = pytest.StashKey[dict[str, list[float]]]()

Measure = Callable[[str, float], None]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test here on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder as `realtime`: nothing else runs beside them."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.path.name not in _UNTIMED:
            item.add_marker(pytest.mark.realtime)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was measured, since a promise with a number is kept or not by more than its assertion."""
    terminalreporter.write_line(f"The storms of CHAOS_SEED={SEED}, for CHAOS_SECONDS={SECONDS:g} each")
    for what, seconds in sorted(config.stash.get(MEASURED, {}).items()):
        median, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
        terminalreporter.write_line(f"{what}: median {median:.1f} ms, worst {worst:.1f} ms of {len(seconds)}")


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Takes a measurement of so many seconds, to be summed up at the end."""
    measured = request.config.stash.setdefault(MEASURED, {})

    def note(what: str, seconds: float) -> None:
        measured.setdefault(what, []).append(seconds)

    return note


class Stage(Lab):
    """A lab with browsers of bare sockets besides."""

    def __init__(self, backend: Backend, session: aiohttp.ClientSession, proxy: Running) -> None:
        super().__init__(backend, session)
        self.guarded_by(proxy)
        self.port = int(proxy.url.rpartition(":")[2])
        self.raw: list[RawBrowser] = []

    async def raw_browser(self, port: int | None = None, *, receive_buffer: int | None = None) -> RawBrowser:
        browser = RawBrowser(port or self.port, receive_buffer=receive_buffer)
        self.raw.append(browser)
        await browser.connect()
        return browser

    def streams(self) -> list[ConnectionRecord]:
        """The backend's connections that carry, or carried, a turn's stream."""
        return [record for record in self.backend.ledger.connections if record.path == "/api/chat/stream"]

    async def gone(self, within: float) -> None:
        """Waits until no client of an event stream is left at the backend, as its sockets tell."""
        ledger = self.backend.ledger
        await ledger.until(lambda: not ledger.open_streams, within)


MakeStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def make_stage() -> AsyncIterator[MakeStage]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            release: str = "v0.52.262",
            *,
            relay: RelaySettings | None = None,
            relays: int = 80,
            **options: Any,
        ) -> Stage:
            options.setdefault("pace", FAST)
            backend = await stack.enter_async_context(Backend(release, **options))
            # Validated, the lanes would come to 127 at most, which is what Hermes has threads for.
            lanes = LaneSettings.model_construct(control=16, calls=24, relays=relays)
            settings = Settings(
                listen=ListenSettings(port=0),
                upstream=UpstreamSettings(url=backend.url).model_copy(update={"lanes": lanes}),
                ownership=OWNERSHIP,
                relay=relay or RelaySettings(reattach=0),
            )
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            reports: list[tuple[str, dict[str, object]]] = []

            def report(event: Event, /) -> None:
                if type(event) not in UNTRACED:
                    reports.append((event.name, event.fields()))

            proxy = await stack.enter_async_context(running(settings, report))
            stage = Stage(backend, session, proxy)
            stage.reports = reports
            stack.push_async_callback(_leave, stage)
            return stage

        yield make


async def _leave(stage: Stage) -> None:
    for browser in stage.raw:
        browser.close()
    for tab in (*stage.browser.tabs, *stage.direct.tabs):
        await tab.leave()


Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Runs a Python command until the test's end."""
    processes: list[Process] = []

    async def start(*arguments: str, **variables: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, env={**os.environ, **variables}
        )
        processes.append(Process(process))
        return processes[-1]

    yield start
    for started in processes:
        await started.end()


class Pair:
    """The backend and the proxy in front of it, each a process."""

    def __init__(self, run: Run, browser: Browser) -> None:
        self.run = run
        self.browser = browser
        self.port = 0

    async def start(self, **settings: str) -> None:
        await self.start_backend()
        is_uvloop = type(asyncio.get_running_loop()).__module__ == "uvloop"
        self.proxy = await self.run(
            *("-c", ON_UVLOOP if is_uvloop else ON_ASYNCIO, "serve"),
            *(f"--upstream=http://127.0.0.1:{self.port}", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"),
            **{f"STREAM_GUARD__{name}": value for name, value in settings.items()},
        )
        await self.proxy.says("guarding ")
        self.browser.base = self.proxy.url

    async def start_backend(self) -> None:
        """On the port that it had."""
        self.backend = await self.run("-m", "tests.support.standin", str(self.port))
        await self.backend.says("listening on ")
        self.port = int(self.backend.said[0].split()[-1])

    async def check_that_a_stop_works(self) -> None:
        """A turn, its Stop, and the next turn."""
        stream_id = await self.browser.start_when_accepted(KEPT, "n=400 tag=B")
        tab = await self.browser.open(stream_id).until(lambda tab: "token" in tab.names)
        assert (await self.browser.cancel(stream_id)).json["cancelled"] is True
        assert (await tab.ended()).endings == ["cancel"]
        stream_id = await self.browser.start_when_accepted(KEPT, "n=3 tag=C")
        assert (await self.browser.open(stream_id).ended()).text == "C0 C1 C2 "


@pytest.fixture
async def pair(run: Run) -> AsyncIterator[Pair]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        browser = Browser("", session)
        yield Pair(run, browser)
        for tab in browser.tabs:
            await tab.leave()
