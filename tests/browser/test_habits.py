"""Where the releases' pages differ: what they make of a cancel's answer, its event, and a 409 (F2, F4, F5)."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Route

from proxy.demo import Backend, Pace

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage

OLD = pytest.mark.parametrize("release", ["v0.51.195"])
NEW = pytest.mark.parametrize("release", ["v0.51.265", "v0.52.262"])
NEWEST = pytest.mark.parametrize("release", ["v0.52.262"])
CANCEL = "**/api/chat/cancel*"
LONG = "hello n=200 d=0.05 tag=A"


async def run_a_turn(page: "DemoPage") -> str:
    """The stream of a turn that runs."""
    await page.send(LONG)
    await page.until_text("A2")
    stream: str = (await page.state())["stream"]
    return stream


async def answer_cancels(page: "DemoPage", status: int, **body: object) -> None:
    """Answers the page's cancels without the backend ever hearing of them."""

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, json=body)

    await page.tab.route(CANCEL, answer)


async def stop_unheard(page: "DemoPage") -> None:
    await page.button("Stop").click()
    await page.until("demo.timeline().some(e => e.kind === 'cancel.answered')")


@OLD
@pytest.mark.parametrize(("status", "cancelled"), [(200, True), (200, False), (502, False)])
async def test_old_page_is_idle_after_any_answer(page: "DemoPage", status: int, *, cancelled: bool) -> None:
    await run_a_turn(page)
    page.expected.append("502")
    await answer_cancels(page, status, ok=status == 200, cancelled=cancelled)
    await stop_unheard(page)
    assert (await page.state())["busy"] is False


@NEW
async def test_newer_page_waits_for_the_terminal_event(page: "DemoPage", backend: Backend) -> None:
    stream = await run_a_turn(page)
    await answer_cancels(page, 200, ok=True, cancelled=True)
    await stop_unheard(page)
    assert (await page.state())["stream"] == stream
    await page.tab.unroute(CANCEL)
    await page.button("Stop").click()
    await page.until_idle()
    assert not backend.world.streams


@NEW
async def test_newer_page_is_idle_when_told_that_nothing_runs(page: "DemoPage") -> None:
    await run_a_turn(page)
    await answer_cancels(page, 200, ok=True, cancelled=False)
    await stop_unheard(page)
    state = await page.state()
    assert (state["busy"], state["notice"]) == (False, "The stream is no longer active.")


@NEWEST
async def test_newest_page_heeds_no_refusal_from_a_failed_cancel(page: "DemoPage") -> None:
    stream = await run_a_turn(page)
    page.expected.append("502")
    await answer_cancels(page, 502, ok=False, cancelled=False)
    await stop_unheard(page)
    assert (await page.state())["stream"] == stream


async def stop_with_late_answer(page: "DemoPage") -> asyncio.Event:
    """Stops the turn; the backend hears it, but its answer waits for the event returned."""
    release_answer = asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        await release_answer.wait()
        await route.fulfill(response=answer)

    await page.tab.route(CANCEL, hold)
    await page.button("Stop").click()
    await page.until_idle()
    return release_answer


@pytest.mark.parametrize("pace", [Pace(unwind=0)])
async def test_late_answer_meets_the_next_turn(page: "DemoPage", release: str) -> None:
    """F5: only the old page lets the late answer clear the next turn's state."""
    await run_a_turn(page)
    release_answer = await stop_with_late_answer(page)
    await page.send("second n=40 d=0.05 tag=B")
    await page.until_text("B2")
    release_answer.set()
    await page.until("demo.timeline().some(e => e.kind === 'cancel.answered')")
    state = await page.state()
    assert (state["busy"], state["canStop"]) == ((False,) * 2 if release == "v0.51.195" else (True,) * 2)


@pytest.mark.parametrize("pace", [Pace(unwind=0)])
async def test_late_event_meets_the_next_turn(page: "DemoPage", page_url: str, release: str) -> None:
    """F5: only the old page lets the stopped turn's late event clear the next turn's state."""
    stream = await run_a_turn(page)
    await answer_cancels(page, 200, ok=True, cancelled=False)
    await stop_unheard(page)
    may_start = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_start.wait()
        await route.continue_()

    await page.tab.route("**/api/chat/start", hold)
    await page.send("second n=40 d=0.05 tag=B")
    await page.until("demo.state().busy")
    await page.tab.request.get(f"{page_url}/api/chat/cancel?stream_id={stream}")
    await page.until("demo.timeline().some(e => e.text === 'cancel')")
    may_start.set()
    await page.until_text("B2")
    state = await page.state()
    assert (state["busy"], state["canStop"]) == ((False,) * 2 if release == "v0.51.195" else (True,) * 2)


@NEWEST
async def test_a_409_queues_the_text_again(page: "DemoPage", backend: Backend) -> None:
    await page.send("hello n=2 d=0.02 tag=A")
    await page.until("demo.turns().at(-1)?.ending")
    await page.until_idle()
    page.expected.append("409")
    backend.start_turn((await page.state())["session"], "unasked n=40 d=0.05 tag=C")
    await page.send("second n=3 d=0.02 tag=B")
    await page.until("demo.state().queue.length === 1")
    (refusal,) = [entry for entry in await page.events("start.answered") if entry["status"] == 409]
    assert refusal["trouble"]
    await page.until("demo.turns().at(-1).prompt.startsWith('second')")
    await page.until_idle()
    prompts = [text for role, text in await page.transcript() if role == "user"]
    assert prompts == ["hello n=2 d=0.02 tag=A", "unasked n=40 d=0.05 tag=C", "second n=3 d=0.02 tag=B"]
