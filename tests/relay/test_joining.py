"""Browsers that look at one turn: how many upstreams they take, and what each of them is sent (P4, P5, P6, P9)."""

import asyncio
from dataclasses import replace

import pytest

from proxy.config import RelaySettings
from proxy.demo import CancelOrder
from proxy.http.upstream.exchange import Exchange
from tests.support.lab import FAST, UNHURRIED, Lab, MakeLab, Tab

STREAM = "/api/chat/stream"
KEEPING = RelaySettings(reattach=30)
SLOWLY = replace(FAST, token=0.02)


def asked(lab: Lab) -> int:
    """How often Hermes was asked for the stream."""
    return len(lab.backend.ledger.requests_for(STREAM))


def held(lab: Lab) -> int:
    """How many threads of Hermes' serve it."""
    return len([stream for stream in lab.backend.ledger.open_streams if (stream.path or "").startswith(STREAM)])


async def words(tab: Tab, count: int) -> None:
    await tab.until(lambda tab: tab.names.count("token") >= count)


def whole(count: int) -> str:
    return "".join(f"A{number} " for number in range(count))


async def test_five_tabs_of_one_browser_hold_one_thread_and_get_every_word(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=60 tag=A")
    others = [lab.browser.open(stream_id) for _ in range(4)]
    for tab in others:
        await words(tab, 1)

    assert (held(lab), asked(lab)) == (1, 1)
    assert {relay["joined"] for relay in lab.reported("relay_opened")} == {"opened", "now"}
    assert (await first.ended()).text == whole(60)
    for tab in others:
        await tab.ended()
        assert first.raw.endswith(tab.raw), "contiguous, byte for byte"
        assert tab.endings == ["stream_end"]


async def test_tabs_that_come_at_once_share_one_as_well(make_lab: MakeLab, release: str) -> None:
    """As those of a browser that has just been started: each was asked for before the first had its answer."""
    lab = await make_lab(release, pace=SLOWLY, heartbeat=0.05)
    started = await lab.browser.start(await lab.browser.new_session(), "n=60 tag=A")

    tabs = [lab.browser.open(started.json["stream_id"]) for _ in range(40)]
    for tab in tabs:
        await words(tab, 1)

    await lab.backend.ledger.until(lambda: held(lab) == 1)
    assert sum(line["joined"] == "opened" for line in lab.reported("relay_opened")) == 1
    assert {(await tab.ended()).text for tab in tabs} == {whole(60)}


async def test_tabs_that_come_at_once_are_each_sent_what_they_ask_for(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, pace=SLOWLY)
    started = await lab.browser.start(await lab.browser.new_session(), "n=30 tag=A")
    stream_id = started.json["stream_id"]

    first, behind = lab.browser.open(stream_id), lab.browser.open(stream_id, "&after_seq=4")

    assert (await first.ended()).text == whole(30)
    assert whole(30).endswith((await behind.ended()).text)
    assert first.raw.endswith(behind.raw)


async def test_a_stop_ends_all_of_them_with_its_one_event(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, order=CancelOrder.ANSWER_FIRST, pace=UNHURRIED)
    _, stream_id, first = await lab.browser.turn()
    other = lab.browser.open(stream_id)
    await words(other, 1)

    answer = await lab.browser.cancel(stream_id)

    assert answer.json["cancelled"] is True
    for tab in (first, other):
        assert (await tab.ended()).endings == ["cancel"]
    wrote = [line["t"] for line in lab.traced("relay_wrote") if "cancel" in line["events"]]
    assert len(wrote) == 2
    assert max(wrote) < lab.answered(), "F5"


async def test_the_upstream_goes_with_the_last_of_them(make_lab: MakeLab, release: str) -> None:
    """P6, P10."""
    lab = await make_lab(release)
    _, stream_id, first = await lab.browser.turn()
    other = lab.browser.open(stream_id)
    await words(other, 1)

    await first.leave()
    await words(other, other.names.count("token") + 5)
    assert held(lab) == 1
    await other.leave()

    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams)
    assert not lab.backend.ledger.cancels


async def test_a_browser_that_comes_back_misses_nothing(make_lab: MakeLab, release: str) -> None:
    """F12: though it names no cursor. Hermes' own connection stays meanwhile."""
    lab = await make_lab(release, relay=KEEPING, pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=60 tag=A")
    await words(first, 5)
    await first.leave()
    await lab.until_reported("upstream_kept")

    again = await lab.browser.open(stream_id).ended()

    assert asked(lab) == 1
    assert again.text.endswith(whole(60)[len(first.text) :]), "from where it left, or from a word before"
    assert len(again.text) <= len(whole(60)) - len(first.text) + len("A00 A00 A00 ")
    assert again.endings == ["stream_end"]


async def test_a_cursor_is_gone_on_from(make_lab: MakeLab, release: str) -> None:
    """F12: on v0.51 as well, where Hermes would take no note of it."""
    lab = await make_lab(release, relay=KEEPING, pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=60 tag=A")
    await words(first, 8)
    await first.leave()
    last = bytes(first.raw).rpartition(b"id: ")[2].partition(b"\n")[0].decode()

    again = await lab.browser.open(stream_id, f"&after_event_id={last}").ended()

    assert asked(lab) == 1
    assert lab.reported("relay_opened")[-1]["joined"] == "cursor"
    assert first.text + again.text == whole(60)


async def test_the_header_is_a_cursor_as_well(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, relay=KEEPING, pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=40 tag=A")
    await words(first, 8)

    again = await lab.browser.open(stream_id, headers={"Last-Event-ID": f"{stream_id}:0"}).ended()

    assert asked(lab) == 1
    assert again.text == whole(40)
    assert (await first.ended()).raw == again.raw


async def test_after_the_turn_its_log_is_there_for_a_while(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, relay=KEEPING)
    _, stream_id, first = await lab.browser.turn("n=20 tag=A")
    await first.ended()

    again = await lab.browser.open(stream_id, "&after_seq=0").ended()

    assert asked(lab) == 1
    assert again.raw == first.raw


async def test_after_the_turn_a_browser_without_a_cursor_gets_what_hermes_says(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, relay=KEEPING)
    _, stream_id, first = await lab.browser.turn("n=20 tag=A")
    await first.ended()

    again = await lab.browser.open(stream_id).ended()

    assert asked(lab) == 2
    assert again.text == first.text


async def test_a_log_is_forgotten_after_its_time(make_lab: MakeLab) -> None:
    lab = await make_lab(relay=RelaySettings(log_keep=0.05))
    _, stream_id, first = await lab.browser.turn("n=5 tag=A")
    await first.ended()
    async with asyncio.timeout(5):
        while lab.logs.size:  # noqa: ASYNC110 - nothing tells when a log is forgotten
            await asyncio.sleep(0.01)

    await lab.browser.open(stream_id, "&after_seq=0").ended()

    assert asked(lab) == 2


async def test_what_a_log_does_not_reach_hermes_is_asked_for(make_lab: MakeLab) -> None:
    """A cursor from before the log: Hermes has a journal."""
    lab = await make_lab(pace=SLOWLY)
    _, stream_id, tab = await lab.direct.turn("n=60 tag=A")
    await words(tab, 10)
    late = lab.browser.open(stream_id, "&after_seq=8")
    await words(late, 1)

    early = await lab.browser.open(stream_id, "&after_seq=2").ended()

    assert early.raw.endswith((await late.ended()).raw)
    assert len(early.raw) > len(late.raw)
    assert [relay["joined"] for relay in lab.reported("relay_opened")] == ["opened", "opened"]


async def test_without_logs_every_browser_has_an_upstream_of_its_own(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, relay=RelaySettings(log=0), pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=40 tag=A")
    other = lab.browser.open(stream_id)
    await words(other, 1)

    assert (held(lab), asked(lab)) == (2, 2)
    assert lab.logs.size == 0 or lab.logs.size < 2 << 15
    assert (await first.ended()).text == whole(40)
    assert first.text.endswith((await other.ended()).text)


async def test_an_upstream_that_is_kept_for_nobody_gives_way_to_other_turns(make_lab: MakeLab) -> None:
    """P7: its slot is needed, and none else is free."""
    lab = await make_lab(relay=KEEPING, pace=SLOWLY, relays=1)
    _, _, first = await lab.browser.turn("n=200 tag=A")
    await first.leave()
    await lab.until_reported("upstream_kept")

    _, _, other = await lab.browser.turn("n=20 tag=A")

    assert (await other.ended()).text == whole(20)
    assert lab.reported("upstream_closed")[0]["upstream"] == "u-1"


async def test_the_last_browser_leaves_just_as_another_joins(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newcomer's own connection is being closed for it at that moment; then it is asked for once more."""
    lab = await make_lab("v0.51.195", pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=60 tag=A")
    close = Exchange.close

    async def slowly(exchange: Exchange) -> None:
        monkeypatch.setattr(Exchange, "close", close)
        await first.leave()
        await lab.until_reported("relay_ended")
        await close(exchange)

    monkeypatch.setattr(Exchange, "close", slowly)
    other = await lab.browser.open(stream_id, headers={"Cookie": "who=another"}).ended()

    assert not other.broken
    assert other.endings == ["stream_end"]
    assert whole(60).endswith(other.text)


async def test_many_joins_and_leaves_at_once_leave_nothing_behind(make_lab: MakeLab) -> None:
    """As v0.52's page does when it attaches twice."""
    lab = await make_lab(pace=SLOWLY)
    _, stream_id, first = await lab.browser.turn("n=80 tag=A")
    for _ in range(20):
        tab = lab.browser.open(stream_id)
        await asyncio.sleep(0)
        await tab.leave()

    assert (await first.ended()).text == whole(80)
    await lab.until_reported("relay_ended")
    assert not lab.backend.ledger.open_streams
