"""The timeline beside the chat, the switch between the two ways, and the page's manners."""

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage, OpenPage

pytestmark = pytest.mark.parametrize("release", ["v0.52.262"])


async def test_tells_a_turn_from_start_to_close(page: "DemoPage") -> None:
    await page.send("hello n=12 d=0.02 tag=A")
    await page.until("demo.timeline().some(e => e.kind === 'stream.closed')")
    told = [entry["text"] for entry in await page.events() if entry["text"] != "context_status"]
    assert told == [
        "page: busy",
        "start asked: hello n=12 d=0.02 tag=A",
        "start answered 200",
        "stream open",
        "token",
        "done",
        "page: idle",
        "title_status",
        "title",
        "stream_end",
        "stream closed by the page",
    ]


async def test_counts_what_repeats(page: "DemoPage") -> None:
    await page.send("hello n=12 d=0.02 tag=A")
    await page.until_text("A2")
    await page.until_idle()
    (tokens,) = [entry for entry in await page.events("event") if entry["text"] == "token"]
    assert tokens["count"] == 12
    assert await page.tab.get_by_text("token \N{MULTIPLICATION SIGN}12").count() == 1


async def test_shows_the_proxys_verdict_and_reason(page: "DemoPage") -> None:
    await page.send("hello n=200 d=0.05 tag=A")
    await page.until_text("A2")
    await page.tab.route(
        "**/api/chat/cancel*",
        lambda route: route.fulfill(
            json={"ok": True, "cancelled": False, "reason": "superseded"},
            headers={"Stream-Guard": "verdict=stale"},
        ),
    )
    await page.button("Stop").click()
    row = page.tab.get_by_text("cancel answered cancelled:false (superseded) \N{EN DASH} Stream-Guard: verdict=stale")
    await row.wait_for()


async def test_forgets_when_cleared(page: "DemoPage") -> None:
    await page.send("hello n=1 d=0.02 tag=A")
    await page.until("demo.turns().at(-1)?.ending")
    await page.until("demo.timeline().at(-1).kind === 'stream.closed'")
    await page.button("Clear").click()
    assert await page.events() == []


async def test_without_a_proxy_the_switch_says_so(page: "DemoPage") -> None:
    assert (await page.state())["route"] == "direct"
    switch = page.tab.get_by_role("navigation", name="How this page reaches the backend")
    assert await switch.get_by_text("Without proxy").get_attribute("aria-current") == "true"
    assert await switch.get_by_text("With proxy").get_attribute("aria-disabled") == "true"


async def test_the_switch_leads_to_the_other_origin_with_nothing_kept(backend: Backend, open_page: "OpenPage") -> None:
    """The other origin here is the same backend by its other name."""
    backend.guarded = backend.url.replace("127.0.0.1", "localhost")
    page = await open_page()
    await page.send("hello n=1 d=0.02 tag=A")
    await page.until("demo.turns().at(-1)?.ending")
    await page.tab.get_by_role("link", name="With proxy").click()
    await page.tab.wait_for_url(f"{backend.guarded}/")
    await page.until("window.demo?.ready")
    state = await page.state()
    assert (state["route"], state["session"]) == ("guarded", None)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_fits_a_phone(open_page: "OpenPage", scheme: str) -> None:
    page = await open_page(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    await page.send("hello n=30 d=0.01 tag=A")
    await page.until_text("A2")
    await page.until_idle()
    assert await page.ask("document.documentElement.scrollWidth <= innerWidth")
    assert await page.ask("document.querySelector('#send').getBoundingClientRect().height >= 44")


async def test_every_control_has_a_name(page: "DemoPage") -> None:
    controls = page.tab.locator("button, a[href], textarea, select")
    unnamed = await controls.evaluate_all(
        "all => all.filter(c => !(c.labels?.length || c.textContent.trim())).map(c => c.id)"
    )
    assert unnamed == []
