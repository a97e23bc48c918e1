"""Pages that wait for changes of the list of sessions: one upstream for all that ask with the same credentials."""

import asyncio

import pytest

from proxy.config import RelaySettings
from tests.support.lab import Lab, MakeLab, Tab

CHANNEL = "/api/sessions/events"
SOON = 0.05
"""Seconds between two heartbeats of the backend's."""


def held(lab: Lab) -> int:
    """How many threads of Hermes' serve such pages."""
    return len([stream for stream in lab.backend.ledger.open_streams if (stream.path or "").startswith(CHANNEL)])


async def opened(lab: Lab, query: str = "", **headers: str) -> Tab:
    """A page that Hermes, or the log, has let in."""
    return await lab.browser.watch(CHANNEL + query, headers=headers).until(lambda tab: tab.status == 200)


async def only_one_held(lab: Lab) -> None:
    await lab.backend.ledger.until(lambda: held(lab) == 1)


async def joined(lab: Lab, count: int) -> None:
    """So many pages have joined one that was there."""
    await lab.until_reported("relay_opened", count + 1)
    assert [line["joined"] for line in lab.reported("relay_opened")].count("now") == count


async def change(lab: Lab, times: int = 1) -> None:
    """The list of sessions changes so often."""
    for _ in range(times):
        lab.backend.start_turn(await lab.browser.new_session(), "n=1 tag=A")


async def changed(tab: Tab, times: int) -> None:
    await tab.until(lambda tab: tab.names.count("sessions_changed") == times)


async def test_pages_share_one_upstream_and_are_all_told_of_every_change(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, heartbeat=SOON)
    tabs = [await opened(lab) for _ in range(4)]
    await joined(lab, 3)
    await only_one_held(lab)

    await change(lab, 3)

    for tab in tabs:
        await changed(tab, 3)
        assert [data["version"] for name, data, _ in tab.frames if name == "sessions_changed"] == [1, 2, 3]
        assert tab.raw.startswith((b"event: ", b": ")), "a newcomer begins with a whole frame"


async def test_each_is_let_in_by_hermes(make_lab: MakeLab) -> None:
    """P9: who is not logged in, or is no more, is told so."""
    lab = await make_lab(password="secret", heartbeat=SOON)
    login = await lab.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    known = {"Cookie": next(value.partition(";")[0] for name, value in login.headers if name == "Set-Cookie")}
    await opened(lab, **known)
    assert (await lab.browser.call("GET", CHANNEL)).status == 401

    await lab.browser.call("POST", "/api/auth/logout", headers=known)

    assert (await lab.browser.call("GET", CHANNEL, headers=known)).status == 401


@pytest.mark.parametrize(("query", "headers"), [("?a=b", {}), ("", {"Cookie": "a=b"}), ("", {"X-Person": "b"})])
async def test_who_asks_otherwise_has_an_upstream_of_their_own(
    make_lab: MakeLab, query: str, headers: dict[str, str]
) -> None:
    lab = await make_lab(heartbeat=SOON)
    await opened(lab)
    await opened(lab, query, **headers)

    await lab.backend.ledger.until(lambda: held(lab) == 2)
    assert [line["joined"] for line in lab.reported("relay_opened")] == ["opened", "opened"]


async def test_nobody_shares_where_there_are_no_logs(make_lab: MakeLab) -> None:
    lab = await make_lab(heartbeat=SOON, relay=RelaySettings(log=0))
    await opened(lab)
    await opened(lab)

    await lab.backend.ledger.until(lambda: held(lab) == 2)


async def test_the_upstream_goes_with_the_last_page(make_lab: MakeLab) -> None:
    """P6."""
    lab = await make_lab(heartbeat=SOON)
    first, second = await opened(lab), await opened(lab)
    await only_one_held(lab)
    await first.leave()
    await change(lab)
    await changed(second, 1)
    await second.leave()

    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams)


async def test_a_page_that_comes_back_is_told_what_changed_meanwhile(make_lab: MakeLab) -> None:
    lab = await make_lab(heartbeat=SOON, relay=RelaySettings(reattach=30))
    tab = await opened(lab)
    await only_one_held(lab)
    await tab.leave()
    await lab.until_reported("upstream_kept")
    await change(lab)

    await changed(await opened(lab), 1)


async def test_an_upstream_that_may_be_dead_is_not_joined(make_lab: MakeLab) -> None:
    """Where nothing was heard for longer than Hermes' heartbeats take."""
    lab = await make_lab(heartbeat=100)
    await opened(lab)
    await asyncio.sleep(13)

    await opened(lab)

    assert [line["joined"] for line in lab.reported("relay_opened")] == ["opened", "opened"]


async def test_all_come_back_when_hermes_ends_it(make_lab: MakeLab) -> None:
    lab = await make_lab(heartbeat=SOON)
    tabs = [await opened(lab), await opened(lab)]
    await joined(lab, 1)

    await lab.backend.restart()

    for tab in tabs:
        await tab.ended()
