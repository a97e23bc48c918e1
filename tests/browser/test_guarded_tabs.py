"""Two tabs on one session, through the proxy: Stop in A while B sends.

No release's page is told of a turn that another tab began, so no proxy can make tab A busy with B's. Promised instead:
A is idle after its Stop, joins B's turn when it is reloaded, and its Stop of the turn before, however late, leaves B's
turn alone (P1).
"""

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Route

from proxy.demo import Backend, Faults, Pace
from tests.browser.test_guarded import SECOND, THIRD, Second, begin, press

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage, OpenPage

pytestmark = pytest.mark.parametrize("pace", [Pace(unwind=0.2, spoil=0.1)])
OLD_AND_NEW = pytest.mark.parametrize("release", ["v0.51.195", "v0.52.262"])


@pytest.fixture
def page_url(guarded_url: str) -> str:
    """Where the page is opened: at the proxy."""
    return guarded_url


class SlowRoad:
    """Where a tab's second and later Stops are held up on their way to the proxy."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self._passed = 0

    async def carry(self, route: Route) -> None:
        self._passed += 1
        if self._passed > 1:
            await self.opened.wait()
        await route.continue_()


async def stop_twice(page: "DemoPage", backend: Backend) -> SlowRoad:
    """Presses Stop twice: the first is with the backend, the second still on its way."""
    road = SlowRoad()
    await page.tab.route("**/api/chat/cancel*", road.carry)
    await press(page, 0, 0, text="")
    await backend.ledger.until(lambda: bool(backend.ledger.cancels))
    return road


async def stop_late(page: "DemoPage", road: SlowRoad, second: "DemoPage") -> None:
    """Lets the second Stop through once the other tab's turn runs."""
    await second.until_text("B1")
    road.opened.set()
    await page.until_answered()


@OLD_AND_NEW
async def test_stop_in_one_tab_while_the_other_sends(
    open_page: "OpenPage", backend: Backend, release: str, page_url: str
) -> None:
    """Tab B, idle and knowing nothing of A's turn, sends while A's Stop is in flight: held, never refused (F2)."""
    a, b = await two_tabs(open_page, page_url)
    stopped = await begin(a)
    backend.faults = Faults(answer_delay=Random(release).uniform(0.02, 0.15))  # noqa: S311  it varies a delay
    road = await stop_twice(a, backend)
    await b.send(SECOND)
    await judge(a, b, backend, road, stopped)


@OLD_AND_NEW
async def test_stop_in_one_tab_while_the_other_had_queued(
    open_page: "OpenPage", backend: Backend, page_url: str
) -> None:
    """Tab B follows A's turn, so it queues what is sent and goes on by the event that A's Stop brings."""
    a, b = await two_tabs(open_page, page_url)
    stopped = await begin(a)
    await b.reload()
    await b.send(SECOND)
    assert (await b.state())["queue"] == [SECOND]
    road = await stop_twice(a, backend)
    await judge(a, b, backend, road, stopped)


async def two_tabs(open_page: "OpenPage", page_url: str) -> "tuple[DemoPage, DemoPage]":
    """Both on one new session."""
    a = await open_page()
    session_id = (await (await a.tab.request.post(f"{page_url}/api/session/new", data={})).json())["session"][
        "session_id"
    ]
    await a.tab.goto(f"{page_url}/#{session_id}")
    await a.reload()
    return a, await open_page(f"{page_url}/#{session_id}")


async def judge(a: "DemoPage", b: "DemoPage", backend: Backend, road: SlowRoad, stopped: str) -> None:
    """B's turn lives and B knows it, A is idle, and each Stop of A's reaches its own turn or nothing."""
    complaints, _ = await asyncio.gather(Second(b, backend).complaints(), stop_late(a, road, b))
    assert complaints == set()
    assert not (await a.state())["busy"]
    first, late = await a.events("cancel.answered")
    assert (first["cancelled"], late["cancelled"], late["reason"]) == (True, False, "cancelled")
    third = await begin(b, THIRD)
    await a.reload()
    assert (await a.state())["stream"] == third
    await a.button("Stop").click()
    for tab in (a, b):
        await tab.until_idle()
    assert backend.ledger.cancels == {stopped: 1, third: 1}
    assert not backend.world.streams


@pytest.mark.parametrize("release", ["v0.52.262"])
async def test_a_message_refused_by_a_running_turn_is_said_once_that_is_stopped(
    open_page: "OpenPage", backend: Backend, page_url: str
) -> None:
    """Tab B, knowing nothing of A's turn, sends before A's Stop: a real conflict, B's to see at once.

    Its page tries again when it next looks at the session (v0.52.262 every second, older ones every five).
    """
    a, b = await two_tabs(open_page, page_url)
    stopped = await begin(a)
    b.expected.append("409")
    await b.send(SECOND)
    await b.until("demo.state().queue.length === 1")
    await a.button("Stop").click()
    complaints = await Second(b, backend).complaints()
    assert complaints <= {"refused with 409"}
    assert backend.ledger.cancels == {stopped: 1}
