"""A turn on the page: sent, shown, stopped, interrupted, reloaded; alike on every release."""

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend, Faults, Pace

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage, OpenPage

LONG = "hello n=200 d=0.05 tag=A"
OLD_AND_NEW = pytest.mark.parametrize("release", ["v0.51.195", "v0.52.262"])
NEWEST = pytest.mark.parametrize("release", ["v0.52.262"])


def words(tag: str, count: int) -> str:
    return " ".join(f"{tag}{n}" for n in range(count))


async def test_shows_an_answer_once(page: "DemoPage") -> None:
    await page.send("hello n=12 d=0.02 tag=A")
    await page.until_text("A3")
    await page.until_idle()
    assert await page.transcript() == [
        ("user", "hello n=12 d=0.02 tag=A"),
        ("assistant", words("A", 12)),
    ]
    shown = await page.tab.get_by_role("log", name="Conversation").inner_text()
    assert shown.count("A11") == 1


@NEWEST
async def test_goes_on_with_a_second_turn(page: "DemoPage") -> None:
    for turn, tag in enumerate("AB", 1):
        await page.send(f"hello n=3 d=0.02 tag={tag}")
        await page.until(f"demo.timeline().filter(e => e.text === 'page: busy').length === {turn}")
        await page.until_idle()
    answers = [text for role, text in await page.transcript() if role == "assistant"]
    assert answers == [words("A", 3), words("B", 3)]


@NEWEST
async def test_says_which_turn_keeps_it_busy(page: "DemoPage") -> None:
    chip = page.tab.locator("#chip")
    assert await chip.inner_text() == "idle"
    await page.send(LONG)
    await page.until_text("A2")
    state = await page.state()
    assert await chip.inner_text() == f"busy: {state['stream'][:6]}"
    assert await page.button("Stop").is_enabled()


async def test_stops_a_turn(page: "DemoPage", backend: Backend) -> None:
    await page.send(LONG)
    await page.until_text("A2")
    await page.button("Stop").click()
    await page.until_idle()
    await page.until("demo.turns().at(-1).ending === 'cancel'")
    assert not backend.world.streams
    assert await page.button("Stop").is_disabled()
    (answer,) = await page.events("cancel.answered")
    assert (answer["status"], answer["cancelled"], answer["guard"]) == (200, True, None)


@NEWEST
async def test_stops_a_turn_by_key(page: "DemoPage") -> None:
    await page.send(LONG)
    await page.until_text("A2")
    await page.tab.keyboard.press("Escape")
    await page.until("demo.turns().at(-1).ending === 'cancel'")


@OLD_AND_NEW
async def test_queues_what_is_sent_while_a_turn_runs(page: "DemoPage") -> None:
    await page.send("hello n=20 d=0.05 tag=A")
    await page.until_text("A2")
    await page.send("second n=3 d=0.02 tag=B")
    assert (await page.state())["queue"] == ["second n=3 d=0.02 tag=B"]
    await page.until("demo.turns().at(-1).prompt.startsWith('second')")
    await page.until_idle()
    assert [text for _, text in await page.transcript()] == [
        "hello n=20 d=0.05 tag=A",
        words("A", 20),
        "second n=3 d=0.02 tag=B",
        words("B", 3),
    ]


@pytest.mark.realtime  # as a worker that unwinds late spoils the next turn (F1)
@OLD_AND_NEW
@pytest.mark.parametrize("pace", [Pace(unwind=0)])
async def test_interrupts_and_sends(page: "DemoPage") -> None:
    await page.send(LONG)
    await page.until_text("A2")
    await page.message.fill("second n=3 d=0.02 tag=B")
    await page.button("Interrupt and send").click()
    await page.until("demo.turns().at(-1).prompt.startsWith('second')")
    kinds = [entry["kind"] for entry in await page.events() if entry["kind"] != "event"]
    assert kinds.index("queued") < kinds.index("cancel.asked")
    await page.until_text("B2")


async def test_reloaded_in_mid_turn_it_follows_the_turn_again(page: "DemoPage") -> None:
    await page.send("hello n=60 d=0.05 tag=A")
    await page.until_text("A3")
    before = await page.state()
    await page.reload()
    after = await page.state()
    assert (after["busy"], after["stream"]) == (True, before["stream"])
    assert after["session"] == before["session"]
    await page.until_idle()
    assert await page.transcript() == [
        ("user", "hello n=60 d=0.05 tag=A"),
        ("assistant", words("A", 60)),
    ]


@NEWEST
async def test_reloaded_after_the_turn_it_shows_what_was_said(page: "DemoPage") -> None:
    await page.send("hello n=3 d=0.02 tag=A")
    await page.until("demo.turns().at(-1)?.ending")
    await page.reload()
    assert not (await page.state())["busy"]
    assert (await page.transcript())[-1] == ("assistant", words("A", 3))


@OLD_AND_NEW
async def test_a_second_tab_joins_the_running_turn(page: "DemoPage", open_page: "OpenPage") -> None:
    await page.send(LONG)
    await page.until_text("A3")
    other = await open_page(page.tab.url)
    assert (await other.state())["stream"] == (await page.state())["stream"]
    await other.button("Stop").click()
    for tab in (page, other):
        await tab.until_idle()
        await tab.until("demo.transcript().some(m => m.text.includes('Task cancelled'))")
    assert await other.transcript() == await page.transcript()


@OLD_AND_NEW
async def test_finds_a_stream_again_that_broke_off(page: "DemoPage", backend: Backend) -> None:
    backend.faults = Faults(cut_after=5)
    await page.send("hello n=20 d=0.02 tag=A")
    await page.until("demo.timeline().some(e => e.kind === 'reconnect')")
    backend.faults = Faults()
    await page.until_idle()
    assert await page.transcript() == [
        ("user", "hello n=20 d=0.02 tag=A"),
        ("assistant", words("A", 20)),
    ]


@OLD_AND_NEW
async def test_is_idle_again_when_the_backend_lost_the_turn(page: "DemoPage", backend: Backend) -> None:
    page.expected.append("ERR_")
    await page.send(LONG)
    await page.until_text("A2")
    await backend.restart()
    await page.until_idle()
    assert not (await page.state())["stream"]


@NEWEST
async def test_a_new_session_starts_empty(page: "DemoPage") -> None:
    await page.send(LONG)
    await page.until_text("A2")
    first = (await page.state())["session"]
    await page.button("New session").click()
    assert await page.transcript() == []
    await page.send("hello n=3 d=0.02 tag=B")
    await page.until_text("B2")
    assert (await page.state())["session"] != first


@NEWEST
async def test_an_unknown_session_in_the_address_is_let_go(open_page: "OpenPage", page_url: str) -> None:
    page = await open_page(f"{page_url}/#0123456789ab")
    page.expected.append("404")
    assert (await page.state())["session"] is None
    assert not page.tab.url.endswith("0123456789ab")


@NEWEST
async def test_says_that_the_backend_is_gone(page: "DemoPage", backend: Backend) -> None:
    page.expected.append("ERR_CONNECTION_REFUSED")
    await backend.close()
    await page.send("hello")
    await page.until("demo.state().notice.startsWith('No session')")
    assert not (await page.state())["busy"]
