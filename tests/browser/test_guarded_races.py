"""Stop and Send through the proxy when each meets the other, or the turn's own end, half-way."""

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from proxy.demo import Backend, CancelOrder, Faults, Pace
from tests.browser.test_guarded import LAPSE, Second, begin, play, press, stops_the_right_turn

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage

SHORT = "first n=12 d=0.02 tag=A"
LONG = "second n=400 d=0.03 tag=B"
ROUNDS = 2
OLD_AND_NEW = pytest.mark.parametrize("release", ["v0.51.195", "v0.52.262"])
BOTH_ORDERS = pytest.mark.parametrize("order", [CancelOrder.EVENT_FIRST, CancelOrder.ANSWER_FIRST])


@pytest.fixture
def page_url(guarded_url: str) -> str:
    """Where the page is opened: at the proxy."""
    return guarded_url


async def while_the_cancel_is_in_flight(page: "DemoPage", backend: Backend, chance: Random) -> None:
    backend.faults = Faults(answer_delay=0.15)
    await press(page, 0, pause=chance.uniform(5, 120))


@OLD_AND_NEW
@BOTH_ORDERS
@pytest.mark.parametrize("pace", [Pace(unwind=0.1, gap=0.05)])
async def test_send_while_the_cancel_is_in_flight(page: "DemoPage", backend: Backend) -> None:
    """The backend answers 150 to 200 ms after Stop, and sends the event at once or last.

    With the event at once the page is idle, and sends while its Stop is unanswered: v0.51.195 then loses sight of its
    turn, see the module of the rounds.
    """
    chance = Random(2)  # noqa: S311  it varies delays
    for _ in range(ROUNDS):
        await play(page, backend, while_the_cancel_is_in_flight, chance)
        backend.faults = Faults()
    starts = backend.ledger.requests_for("/api/chat/start")
    assert [start.status for start in starts] == [200, 200] * ROUNDS
    await stops_the_right_turn(page, backend)


@pytest.mark.parametrize("release", ["v0.51.195"])
@pytest.mark.parametrize("pace", [Pace(unwind=0.1, gap=0.3)])
async def test_old_page_that_lost_sight_of_its_turn_finds_it_when_reloaded(page: "DemoPage", backend: Backend) -> None:
    """F5: v0.51.195 is idle on any answer to a Stop, also on one that is late and meets the turn sent meanwhile.

    Promised instead: the turn that was sent lives and owns the session, no word is foreign, and a reloaded page is busy
    with it and can stop it.
    """
    await begin(page)
    await press(page, 0, text=LONG)
    await page.until(f"demo.turns().at(-1).prompt === '{LONG}'")
    await page.until_answered()
    await page.reload()
    await page.until("demo.state().canStop")
    state = await page.state()
    assert list(backend.world.streams) == [state["stream"]]
    await page.button("Stop").click()
    await page.until_idle()
    assert backend.ledger.cancels[state["stream"]] == 1
    rows = await page.transcript()
    assert not any("A" in text for _, text in rows[rows.index(("user", LONG)) :])


@OLD_AND_NEW
@pytest.mark.parametrize("pace", [Pace(unwind=0.1)])
async def test_stop_exactly_as_the_turn_completes(page: "DemoPage", backend: Backend) -> None:
    """The last word is followed by `done` 20 ms later: Stop comes before, with, or after it, and Send with Stop.

    Either the first turn was stopped, and is marked so, or it was not, and its whole answer stands there unmarked.
    """
    chance = Random(3)  # noqa: S311  it varies delays
    for _ in range(4):
        await page.button("New session").click()
        before = Counter(backend.ledger.cancels)
        await page.send(SHORT)
        await press(page, chance.uniform(1, 35), once="A11")
        second = Second(page, backend, SHORT)
        complaints = await second.complaints()
        assert complaints <= ({LAPSE} if await second.overtook_its_stop() else set())
        assert (backend.ledger.cancels - before).total() <= 1
    await stops_the_right_turn(page, backend)
