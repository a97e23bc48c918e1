"""The order in which a page sees the end of a stopped turn, through the proxy: event, answer, next turn (F5)."""

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend, CancelOrder, Pace
from tests.browser.test_guarded import begin, press

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage, OpenPage

pytestmark = pytest.mark.realtime  # what is 15 ms apart on two connections, a browser with no time may see as one

ROUNDS = 3
APART = pytest.mark.parametrize("pace", [Pace(unwind=0.05, gap=0.05)])
ANSWER_FIRST = pytest.mark.parametrize("order", [CancelOrder.ANSWER_FIRST])


@pytest.fixture
def page_url(guarded_url: str) -> str:
    """Where the page is opened: at the proxy."""
    return guarded_url


async def order_seen(page: "DemoPage") -> list[str]:
    """What the page saw, in order, from Stop to the next turn's acceptance."""
    await begin(page)
    await press(page, 0)
    await page.until("demo.turns().at(-1).prompt.startsWith('second')")
    await page.until_answered()
    entries = await page.events()
    asked = next(n for n, entry in enumerate(entries) if entry["kind"] == "cancel.asked")
    names = ["cancel" if entry["text"] == "cancel" else entry["kind"] for entry in entries[asked:]]
    return [name for name in names if name in {"cancel", "cancel.answered", "start.answered"}]


@APART
@pytest.mark.parametrize("order", [CancelOrder.ANSWER_FIRST, CancelOrder.EVENT_FIRST])
async def test_event_then_answer_then_the_next_turn(page: "DemoPage", backend: Backend) -> None:
    """Whichever the backend sends first, on every release."""
    for _ in range(ROUNDS):
        await page.button("New session").click()
        assert await order_seen(page) == ["cancel", "cancel.answered", "start.answered"]


@APART
@ANSWER_FIRST
@pytest.mark.parametrize("release", ["v0.51.265", "v0.52.262"])
async def test_without_the_proxy_the_answer_comes_first(open_page: "OpenPage", backend: Backend) -> None:
    """The same backend, unguarded, so that the test above can fail."""
    seen = await order_seen(await open_page(backend.url))
    assert seen[:2] == ["cancel.answered", "cancel"]
