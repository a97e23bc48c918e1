"""Makes the pictures of the documentation: the status page, and the demo's page with the proxy beside it without.

    make screenshots

It takes a minute: the charts are to show something. The ports are the defaults, as they can be read in the pictures.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from playwright.async_api import Browser as Chromium
from playwright.async_api import async_playwright

from proxy.app.admin import Observed, administered
from proxy.app.running import running
from proxy.config import ListenSettings, Settings, UpstreamSettings
from proxy.demo import Backend, Fate, Faults, Pace
from proxy.ops.trace import fan_out
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.support.lab import Browser, Tab

IMAGES = Path(__file__).parents[2] / "deploy" / "images"
PACE = Pace(token=0.08, unwind=0.14)
STUCK = Faults(hang=True, mute_cancel=True)
BESIDE = """
<body style="margin: 0; padding: 12px; background: #888; display: flex; gap: 12px; align-items: flex-start">
<img src="data:image/png;base64,{}"><img src="data:image/png;base64,{}">
"""


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Backend, Browser, str]]:
    """The backend, somebody's browser, and the status page's URL."""
    settings = Settings()
    backend = Backend("v0.51.265", pace=PACE)
    await backend.start(port=8787)
    observed = Observed()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(backend.close)
        proxy = await stack.enter_async_context(running(settings, fan_out(observed.report)))
        url = await stack.enter_async_context(administered(settings, proxy, observed))
        connections = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connections))
        browser = Browser(proxy.url, session)
        yield backend, browser, f"{url}/"
        for tab in browser.tabs:
            await tab.leave()


async def stop_then_send(browser: Browser, presses: int) -> None:
    """A turn that is stopped after a while, and followed by another at once."""
    session_id, stream_id, _ = await browser.turn("n=400 tag=A")
    await asyncio.sleep(1.5)
    await asyncio.gather(*(browser.cancel(stream_id) for _ in range(presses)))
    reply = await browser.start(session_id, "n=20 tag=B")
    await browser.open(reply.json["stream_id"]).ended()


async def live(browser: Browser, rounds: int) -> list[Tab]:
    """Conversations as several people have them; the tabs of those that go on."""
    tabs = []
    for number in range(rounds):
        _, stream_id, tab = await browser.turn(f"n={60 + 400 * (number % 2)} tag=C")
        if number % 2:
            tabs += [tab, browser.open(stream_id)]
        await stop_then_send(browser, 1 + number % 3)
        if number % 4 == 3:
            await tab.leave()
    return tabs


async def stop_late(browser: Browser) -> None:
    """A Stop for a turn that has finished."""
    _, stream_id, tab = await browser.turn("n=3 tag=D")
    await tab.ended()
    await browser.cancel(stream_id)


async def take(chromium: Chromium, url: str, name: str, **options: object) -> None:
    context = await chromium.new_context(**options)  # type: ignore[arg-type]  # the names are playwright's
    page = await context.new_page()
    await page.goto(url)
    await page.locator("#running tbody, #running p").first.wait_for()
    await asyncio.sleep(1)
    await page.screenshot(path=IMAGES / f"{name}.png")
    await context.close()


async def play(chromium: Chromium, url: str) -> bytes:
    """The demo's page once its scenario has been played."""
    context = await chromium.new_context(viewport={"width": 620, "height": 900}, color_scheme="light", bypass_csp=True)
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_function("window.demo?.ready")
    await page.get_by_role("button", name="Run it", exact=True).click()
    await page.wait_for_function("demo.report()", timeout=40_000)
    picture = await page.screenshot()
    await context.close()
    return picture


async def show_the_difference(chromium: Chromium) -> None:
    """The same page, on the same backend: without the proxy to the left, with it to the right."""
    async with Backend("v0.51.195", pace=Pace(unwind=1.5, spoil=0.5)) as backend:
        settings = Settings(listen=ListenSettings(port=0), upstream=UpstreamSettings(url=backend.url))
        async with running(settings, lambda *_, **__: None) as proxy:
            backend.guarded = proxy.url
            backend.faults = Faults(fate=Fate.LEAK)
            urls = (backend.url, proxy.url)
            pictures = [base64.b64encode(await play(chromium, url)).decode() for url in urls]
    page = await chromium.new_page(viewport={"width": 1276, "height": 924})
    await page.set_content(BESIDE.format(*pictures))
    await page.screenshot(path=IMAGES / "difference.png")
    await page.close()


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    desk = {"width": 1120, "height": 880}
    phone = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 1.5}
    async with async_playwright() as playwright, scene() as (backend, browser, url):
        chromium = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        await show_the_difference(chromium)
        await live(browser, 12)
        await stop_late(browser)
        await take(chromium, url, "status-light", viewport=desk, color_scheme="light")
        backend.faults = STUCK
        session_id, stream_id, _ = await browser.turn("n=400 tag=E")
        stopping = asyncio.create_task(browser.cancel(stream_id))
        starting = asyncio.create_task(browser.start(session_id, "n=4 tag=F"))
        await asyncio.sleep(1.5)
        await asyncio.gather(
            take(chromium, url, "stuck-dark", viewport=desk, color_scheme="dark"),
            take(chromium, url, "stuck-phone", **phone, color_scheme="light"),
        )
        backend.faults = Faults()
        await asyncio.gather(stopping, starting)
        await chromium.close()


if __name__ == "__main__":
    asyncio.run(main())
