"""The demo's page in a real browser: one Chromium for all tests here, and a fresh profile for each.

A module that reaches the backend by another way redefines `page_url`, to be `guarded_url` for the way
through the proxy; everything else stays as it is. All tests of this folder share one event loop, as the browser does:
their fixtures name it with ``loop_scope="session"``.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    async_playwright,
)

from proxy.app import running
from proxy.config import ListenSettings, Settings, UpstreamSettings
from proxy.demo import RELEASES, Backend, CancelOrder, Pace
from proxy.events.event import Event
from proxy.events.guard import InternalError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    # The browser's own surroundings, each a page of its own, cost a third of the processor time of a new tab.
    "--disable-features=InitialWebUI,WebUIReloadButton,WebUIToolbar,WebUILocationBar,WebUIOmniboxPopup,WebUITabStrip",
)
PATIENCE = 30.0
"""Seconds that a test waits for the page to do anything at all."""


@dataclass
class DemoPage:
    """The demo's page as a person sees it, and as its `window.demo` tells it.

    Attributes:
        tab: Playwright's handle of the tab.
        complaints: Errors on the browser's console and uncaught exceptions.
        expected: Parts of complaints that the test provokes; any other fails it.
    """

    tab: Page
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    @property
    def message(self) -> Locator:
        return self.tab.get_by_label("Message", exact=True)

    def button(self, name: str) -> Locator:
        return self.tab.get_by_role("button", name=name, exact=True)

    async def open(self, url: str) -> None:
        await self.tab.goto(url)
        await self.until("window.demo?.ready")

    async def reload(self) -> None:
        await self.tab.reload()
        await self.until("window.demo?.ready")

    async def send(self, text: str) -> None:
        await self.message.fill(text)
        await self.message.press("Enter")

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return await self.tab.evaluate(expression)

    async def until(self, expression: str, patience: float = PATIENCE) -> None:
        """Waits until a JavaScript expression holds."""
        try:
            await self.tab.wait_for_function(expression, timeout=patience * 1000, polling=20)
        except Exception as error:
            seen = await self.ask("window.demo ? {...demo.state(), timeline: demo.timeline()} : 0")
            raise AssertionError(f"the page never came to {expression}; it shows {seen}") from error

    async def until_idle(self) -> None:
        await self.until("!demo.state().busy && !demo.state().queue.length")

    async def until_answered(self) -> None:
        """Waits until every Stop has its answer."""
        count = "demo.timeline().filter(e => e.kind === 'cancel.{}').length"
        await self.until(f"{count.format('asked')} === {count.format('answered')}")

    async def until_text(self, word: str) -> None:
        """Waits until the page shows a whole word of an answer, which may be its last one."""
        await self.until(f"demo.transcript().some(m => m.role === 'assistant' && `${{m.text}} `.includes('{word} '))")

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = await self.ask("demo.state()")
        return state

    async def transcript(self) -> list[tuple[str, str]]:
        """Role and text of each message shown."""
        rows = await self.ask("demo.transcript()")
        return [(row["role"], row["text"].strip()) for row in rows]

    async def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The timeline, or its entries of one kind."""
        entries: list[dict[str, Any]] = await self.ask("demo.timeline()")
        return [entry for entry in entries if kind in {None, entry["kind"]}]

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def surprises(self) -> list[str]:
        """The complaints that the test did not provoke."""
        return [complaint for complaint in self.complaints if not any(part in complaint for part in self.expected)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs every test of this folder in the browser's event loop."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.xdist_group("browser"))  # one Chromium is enough
            item.add_marker(pytest.mark.no_cover)  # which would make the proxy seem slow to the page


def find_chromium() -> str | None:
    """The path of a browser, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; without one the tests fail rather than pass unseen."""
    found = find_chromium()
    if found is None:
        pytest.fail("Chromium is not installed, and the browser tests need it: apt-get install chromium")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Each release in turn; a test that is about one of them parametrizes this."""
    name: str = request.param
    return name


@pytest.fixture
def pace() -> Pace:
    """How fast the backend is; a test that needs another parametrizes this."""
    return Pace()


@pytest.fixture
def order() -> CancelOrder:
    """Which of a cancel's event and answer the backend sends first (F5); a test may parametrize this."""
    return CancelOrder.EVENT_FIRST


@pytest_asyncio.fixture(loop_scope="session")
async def backend(release: str, pace: Pace, order: CancelOrder) -> AsyncIterator[Backend]:
    async with Backend(release, pace=pace, order=order) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def guarded_url(backend: Backend) -> AsyncIterator[str]:
    """The proxy in front of the backend, with the settings it is shipped with; no internal error may be left."""
    errors: list[dict[str, object]] = []

    def report(event: Event, /) -> None:
        if isinstance(event, InternalError):
            errors.append(event.fields())

    settings = Settings(listen=ListenSettings(port=0), upstream=UpstreamSettings(url=backend.url))
    async with running(settings, report) as proxy:
        backend.guarded = proxy.url
        yield proxy.url
    assert errors == []


@pytest.fixture
def page_url(backend: Backend) -> str:
    """Where the page is opened: directly at the backend."""
    return backend.url


OpenPage = Callable[..., Awaitable[DemoPage]]
"""Opens the page in a tab: ``await open_page(url=…, **context_options)``."""


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, page_url: str) -> AsyncIterator[OpenPage]:
    """Opens the page, by default at `page_url`, each time as another person; no complaint may be left."""
    contexts: list[BrowserContext] = []
    pages: list[DemoPage] = []

    async def opened(url: str = page_url, **options: Any) -> DemoPage:
        # The tests' own expressions are evaluated in the page, which its (report-only) policy would report.
        context = await browser.new_context(bypass_csp=True, **options)
        contexts.append(context)
        page = DemoPage(await context.new_page())
        pages.append(page)
        page.tab.on("console", page.hear)
        page.tab.on("pageerror", lambda error: page.complaints.append(str(error)))
        await page.open(url)
        return page

    yield opened
    await asyncio.gather(*(context.close() for context in contexts))
    assert [page.surprises() for page in pages] == [[] for _ in pages]


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> DemoPage:
    """The page, opened once."""
    return await open_page()
