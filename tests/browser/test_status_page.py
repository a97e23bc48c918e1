"""The status page in a real browser, while turns are started and stopped: what it shows is what is the case."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Locator, Page, expect
from pydantic import SecretStr

from proxy.app.admin import Observed, administered
from proxy.app.running import running
from proxy.config import (
    AdminSettings,
    LaneSettings,
    ListenSettings,
    OwnershipSettings,
    RelaySettings,
    Settings,
    UpstreamSettings,
)
from proxy.demo import Backend, Faults
from tests.support.lab import Browser

PATIENCE = 10_000
"""Milliseconds that a test waits for the page to show anything."""

TOKEN = "correct-horse-battery-staple"
SECRET = "a secret that nobody else should read"
STUCK = Faults(hang=True, mute_cancel=True)
WELL = "All is well: Hermes answers, and no Stop is stuck."

pytestmark = pytest.mark.parametrize("release", ["v0.52.262"])


@dataclass
class Guarded:
    """The proxy in front of the backend, somebody who uses it, and its status page's URL."""

    browser: Browser
    admin: str
    stack: AsyncExitStack

    async def ask(self, path: str) -> Any:
        return (await Browser(self.admin, self.browser.session).call("GET", path)).json


Guard = Callable[..., Awaitable[Guarded]]


@pytest_asyncio.fixture(loop_scope="session")
async def guard(backend: Backend) -> AsyncIterator[Guard]:
    """Puts a proxy in front of the backend."""
    async with AsyncExitStack() as stack:

        async def start(*, lanes: LaneSettings | None = None, **sections: Any) -> Guarded:
            upstream = UpstreamSettings(url=backend.url, lanes=lanes or LaneSettings())
            anywhere = {"listen": ListenSettings(port=0), "admin": AdminSettings(port=0)}
            settings = Settings(upstream=upstream, **{**anywhere, **sections})
            observed = Observed()
            proxy = await stack.enter_async_context(running(settings, observed.report))
            inner = await stack.enter_async_context(AsyncExitStack())
            url = await inner.enter_async_context(administered(settings, proxy, observed))
            assert url is not None
            connections = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connections))
            browser = Browser(proxy.url, session)
            stack.push_async_callback(_leave, browser)
            return Guarded(browser, url, inner)

        yield start


async def _leave(browser: Browser) -> None:
    for tab in browser.tabs:
        await tab.leave()


@dataclass
class StatusPage:
    """The page, as a person sees it, under the policy that it is served with."""

    tab: Page
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def row(self, stream_id: str) -> Locator:
        return self.tab.locator(f'#running tr[data-stream="{stream_id[:8]}"]')

    def stop(self, cancel_id: str) -> Locator:
        return self.tab.locator(f'.stop[data-cancel="{cancel_id}"]')

    @property
    def concerns(self) -> Locator:
        return self.tab.locator("#concerns li")

    def surprises(self) -> list[str]:
        return [said for said in self.complaints if not any(part in said for part in self.expected)]


OpenStatus = Callable[..., Awaitable[StatusPage]]


@pytest_asyncio.fixture(loop_scope="session")
async def open_status(browser: Chromium) -> AsyncIterator[OpenStatus]:
    """Opens the page of a proxy; no complaint may be left that was not expected."""
    contexts: list[BrowserContext] = []
    pages: list[StatusPage] = []

    async def opened(guarded: Guarded, **options: Any) -> StatusPage:
        context = await browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = StatusPage(await context.new_page())
        pages.append(page)
        page.tab.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.tab.on("pageerror", lambda error: page.complaints.append(str(error)))
        await page.tab.goto(f"{guarded.admin}/")
        return page

    expect.set_options(timeout=PATIENCE)
    yield opened
    await asyncio.gather(*(context.close() for context in contexts))
    assert [page.surprises() for page in pages] == [[] for _ in pages]


async def test_an_idle_proxy_says_so(guard: Guard, open_status: OpenStatus) -> None:
    page = await open_status(await guard())

    await expect(page.tab.locator("#pill")).to_have_text("serving")
    await expect(page.concerns).to_have_text([WELL])
    await expect(page.tab.locator("#running")).to_contain_text("No turn runs.")
    await expect(page.tab.locator("#stops")).to_contain_text("Nobody has pressed Stop yet.")
    await expect(page.tab.locator("#orphans")).to_contain_text("None yet.")


async def test_what_runs_is_shown_with_its_tabs(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard(relay=RelaySettings(reattach=0))
    page = await open_status(guarded)
    session_id, stream_id, first = await guarded.browser.turn(f"{SECRET} n=400 d=0.02 tag=A")
    second = await guarded.browser.open(stream_id).until(lambda tab: "token" in tab.names)

    row = page.row(stream_id)
    await expect(row.locator("td")).to_have_text(
        [session_id[:8], stream_id[:8], re.compile("running"), re.compile(r"\d"), "2"]
    )
    await expect(page.tab.locator("[data-lane=relays] .number")).to_have_text("1 / 80")
    await second.leave()
    await expect(row.locator("td").last).to_have_text("1")
    await first.leave()
    await expect(page.tab.locator("#orphans [data-cause=browser_left] td").last).to_have_text("1")
    shown = await page.tab.content()
    assert stream_id not in shown
    assert SECRET not in shown


async def test_a_turn_that_nobody_watches_is_what_the_backend_says(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard()
    page = await open_status(guarded)
    started = await guarded.browser.start(await guarded.browser.new_session(), "n=120 d=0.02 tag=A")

    row = page.row(started.json["stream_id"])
    await expect(row).to_have_attribute("data-state", "running")
    await expect(row).to_have_attribute("data-state", "gone")
    await expect(page.tab.locator("#running")).to_contain_text("Nobody saw the end of a turn in no tab")
    await expect(page.tab.locator("#running-count")).to_have_text("0")


async def test_a_stop_leaves_its_receipt(guard: Guard, open_status: OpenStatus) -> None:
    """However often it is pressed."""
    guarded = await guard()
    page = await open_status(guarded)
    _, stream_id, tab = await guarded.browser.turn("n=400 d=0.02 tag=A")
    await expect(page.row(stream_id)).to_be_visible()

    answers = await asyncio.gather(*(guarded.browser.cancel(stream_id) for _ in range(3)))
    await tab.ended()

    cancel_id = answers[0].guard["cancel-id"]
    stop = page.stop(cancel_id)
    await expect(stop).to_have_attribute("data-outcome", "settled")
    await expect(stop.locator(".badge")).to_have_text(re.compile(r"settled in \d"))
    await expect(stop.locator('[data-state="done"]')).to_have_count(5)
    await expect(stop).to_contain_text(re.compile(r"Its worker was gone after \d+ ms\. Pressed 3 times\."))
    await expect(page.row(stream_id)).to_have_count(0)
    await expect(page.concerns).to_have_text([WELL])
    receipt = (await guarded.ask(f"/api/cancels/{cancel_id}"))["receipt"]
    assert receipt["missing"] == []
    await expect(page.tab.locator("#charts .dot")).to_have_count(1)
    await expect(page.tab.locator(".events")).to_contain_text("cancel settled")


async def test_a_stop_that_came_too_late_says_why(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard()
    page = await open_status(guarded)
    _, stream_id, tab = await guarded.browser.turn("n=2 tag=A")
    await tab.ended()

    answer = await guarded.browser.cancel(stream_id)

    stop = page.stop(answer.guard["cancel-id"])
    await expect(stop).to_have_attribute("data-outcome", "stale")
    await expect(stop).to_contain_text("Not sent to Hermes: its turn had finished. Answered “cancelled: false”.")


async def test_a_stop_that_does_not_work_is_told_while_it_does_not(
    backend: Backend, guard: Guard, open_status: OpenStatus
) -> None:
    """What is missing, the next turn that waits for it, and in the end that Hermes did not stop."""
    ownership = OwnershipSettings(settle_timeout=3, stop_timeout=4, answer_timeout=0.1)
    guarded = await guard(ownership=ownership)
    page = await open_status(guarded)
    backend.faults = STUCK
    session_id, stream_id, _ = await guarded.browser.turn("n=400 d=0.02 tag=A")

    answer = await guarded.browser.cancel(stream_id)
    start = asyncio.create_task(guarded.browser.start(session_id, "n=2 tag=B"))

    stop = page.stop(answer.guard["cancel-id"])
    await expect(page.row(stream_id)).to_have_attribute("data-state", "settling")
    await expect(stop).to_have_attribute("data-outcome", "under_way")
    await expect(stop.locator('[data-step="terminal_seen"]')).to_have_attribute("data-state", "open")
    await expect(page.concerns).to_have_text(
        [
            f"The Stop of {stream_id[:8]} is stuck: no event has told every tab.",
            "1 next turn waits until the stopped one has settled.",
        ]
    )
    await expect(stop).to_contain_text("Sent to Hermes again, ")
    await expect(stop).to_have_attribute("data-outcome", "unsettled")
    await expect(stop.locator(".badge")).to_have_text("did not stop")
    await expect(stop.locator('[data-step="slot_free"]')).to_have_attribute("data-state", "missing")
    await expect(stop).to_contain_text(
        "Hermes did not stop: Hermes' worker has not been seen to end. Sent to Hermes again"
    )
    await expect(page.concerns.first).to_contain_text(
        "Hermes did not stop 1 turn of the last minutes: its worker was never seen to end."
    )
    await expect(page.tab.locator("#charts .never")).to_have_count(1)
    await expect(page.tab.locator("#orphans [data-cause=cancelled] td").last).to_have_text("1")
    backend.faults = Faults()
    await start


async def test_a_further_stop_of_a_turn_that_did_not_stop_takes_its_place(
    backend: Backend, guard: Guard, open_status: OpenStatus
) -> None:
    ownership = OwnershipSettings(settle_timeout=1, stop_timeout=1, answer_timeout=0.1)
    guarded = await guard(ownership=ownership)
    page = await open_status(guarded)
    backend.faults = Faults(hang=True)
    _, stream_id, _ = await guarded.browser.turn("n=400 d=0.02 tag=A")
    await guarded.browser.cancel(stream_id)
    await expect(page.concerns.first).to_contain_text("Hermes did not stop 1 turn")

    backend.faults = Faults()
    again = await guarded.browser.cancel(stream_id)

    assert again.json["cancelled"] is True or again.guard["verdict"] == "stale"
    await expect(page.concerns).to_have_text([WELL])


async def without(backend: Backend, page: StatusPage, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """A page on which all is well, what it shows while the backend does not listen, and that it is well again."""
    await expect(page.concerns).to_have_text([WELL])
    port = backend.port
    await backend.close()
    await meanwhile()
    await backend.start(port=port)
    await expect(page.tab.locator("#pill")).to_have_text("serving")
    await expect(page.concerns).to_have_text([WELL])


async def test_a_backend_that_is_away_is_told_until_it_is_back(
    backend: Backend, guard: Guard, open_status: OpenStatus
) -> None:
    page = await open_status(await guard())

    async def away() -> None:
        await expect(page.tab.locator("#pill")).to_have_text("Hermes is away")
        await expect(page.concerns.first).to_contain_text("Hermes has not answered since")

    await without(backend, page, away)


async def test_a_backend_that_hangs_is_told_while_it_is_still_waited_for(
    backend: Backend, guard: Guard, open_status: OpenStatus
) -> None:
    """A frozen process still takes connections: the kernel does it."""
    page, port = await open_status(await guard()), backend.port

    async def frozen() -> None:
        with socket.create_server(("127.0.0.1", port)):
            await expect(page.tab.locator("#pill")).to_have_text("Hermes is silent")
            await expect(page.concerns.first).to_contain_text("and has not answered yet")
            await expect(page.tab.locator("#pill")).to_have_text("Hermes is away")

    await without(backend, page, frozen)


async def test_a_full_lane_is_told(guard: Guard, open_status: OpenStatus) -> None:
    """F7."""
    guarded = await guard(lanes=LaneSettings(relays=1))
    page = await open_status(guarded)
    await guarded.browser.turn("n=400 d=0.02 tag=A")

    await expect(page.tab.locator("[data-lane=relays] .number")).to_have_text("1 / 1")
    await expect(page.concerns.first).to_contain_text("All 1 connections of the lane relays are in use")


async def test_a_drained_proxy_is_told(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard()
    page = await open_status(guarded)
    operator = Browser(guarded.admin, guarded.browser.session)
    await operator.call("POST", "/api/drain", json={"action": "begin"})

    await expect(page.tab.locator("#pill")).to_have_text(re.compile("drain"))
    await operator.call("POST", "/api/drain", json={"action": "resume"})
    await expect(page.tab.locator("#pill")).to_have_text("serving")


async def test_a_proxy_that_is_gone_is_told_and_what_was_seen_stays(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard()
    page = await open_status(guarded)
    page.expected.append("Failed to load resource")
    await expect(page.concerns).to_have_text([WELL])

    await guarded.stack.aclose()

    await expect(page.tab.locator("#pill")).to_have_text("no answer")
    await expect(page.concerns.first).to_contain_text("The proxy has not answered since")
    await expect(page.tab.locator("#running")).to_be_visible()


async def test_a_token_is_asked_for_and_kept_for_this_tab(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard(admin=AdminSettings(port=0, token=SecretStr(TOKEN)))
    page = await open_status(guarded)
    page.expected.append("401")
    token = page.tab.get_by_label("Token")
    await expect(page.tab.locator("#shown")).to_be_hidden()

    await token.fill("not-the-right-token")
    await token.press("Enter")
    await expect(page.tab.locator("#token-wrong")).to_have_text("That is not the token.")
    await token.fill(TOKEN)
    await token.press("Enter")

    await expect(page.concerns).to_have_text([WELL])
    await guarded.browser.turn("n=2 tag=A")
    await expect(page.tab.locator(".events")).to_contain_text("relay opened")
    await page.tab.reload()
    await expect(page.concerns).to_have_text([WELL])
    assert TOKEN not in page.tab.url
    assert await page.tab.evaluate("Object.keys(localStorage).length") == 0


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(guard: Guard, open_status: OpenStatus) -> None:
    guarded = await guard()
    page = await open_status(guarded, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    _, stream_id, tab = await guarded.browser.turn("n=400 d=0.02 tag=A")
    answer = await guarded.browser.cancel(stream_id)
    await tab.ended()
    await guarded.browser.turn("n=400 d=0.02 tag=A")

    await expect(page.stop(answer.guard["cancel-id"])).to_have_attribute("data-outcome", "settled")
    await expect(page.tab.locator("#running tbody tr")).to_have_count(1)
    assert await page.tab.evaluate("document.documentElement.scrollWidth") == 360


CONTRAST = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (color) => numbers(color).map((c) => linear(c / 255));
  const luminance = (color) => light(color).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!color.endsWith(", 0)")) return color;
    }
  };
  const texts = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() &&
    [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return Math.min(...texts.map((node) => {
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(behind(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""
"""The least contrast of any text that is shown, as WCAG 2.2 measures it."""


@pytest.mark.parametrize(("scheme", "ground"), [("light", "rgb(245, 245, 243)"), ("dark", "rgb(19, 22, 21)")])
async def test_both_colour_schemes_can_be_read(guard: Guard, open_status: OpenStatus, scheme: str, ground: str) -> None:
    """WCAG 2.2 success criterion 1.4.3: 4.5 to 1."""
    guarded = await guard()
    page = await open_status(guarded, color_scheme=scheme, reduced_motion="reduce")
    _, stream_id, tab = await guarded.browser.turn("n=400 d=0.02 tag=A")
    answer = await guarded.browser.cancel(stream_id)
    await tab.ended()
    await expect(page.stop(answer.guard["cancel-id"])).to_have_attribute("data-outcome", "settled")

    assert await page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    assert await page.tab.evaluate(CONTRAST) >= 4.5
