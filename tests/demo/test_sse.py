from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo import Faults

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LONG = "n=800 d=0.01 tag=A"


async def test_a_cancel_repeats_the_id_before_it(play: Play, release: str) -> None:
    """F11: an id is not unique."""
    client = (await play(release)).client
    stream_id = await client.start(await client.session(), LONG)
    live = await client.stream(stream_id)
    await live.until("token")
    assert await client.cancel(stream_id) is True
    await live.to_end()
    assert live.events[-1].event_id == live.events[-2].event_id
    await client.until_idle()
    replay = await (await client.stream(stream_id)).to_end()
    assert replay[-1].seq == (live.events[-1].seq or 0) + 1


async def test_what_nobody_heard_is_kept_for_the_first_subscriber(play: Play, release: str) -> None:
    client = (await play(release)).client
    stream_id = await client.start(await client.session(), LONG)
    await client.until_journalled(stream_id, 5)
    first = await client.stream(stream_id)
    for _ in range(3):
        await first.until("token")
    assert first.text == "A0 A1 A2 "


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("&after_seq=2", 3),
        ("&after_event_id=X:2", 3),
        ("&after_event_id=other:2", 1),
        ("&after_seq=9999", 1),
        ("&after_seq=soon", 1),
        ("&replay=1", 1),
        ("&after_seq=0", 1),
    ],
)
async def test_a_cursor_on_a_running_stream(play: Play, query: str, first: int) -> None:
    """F12 on v0.52: one that cannot be used asks for everything."""
    client = (await play()).client
    stream_id = await client.start(await client.session(), LONG)
    tab = await client.stream(stream_id)
    for _ in range(4):
        await tab.until("token")
    resumed = await client.stream(stream_id, query.replace("X", stream_id))
    for _ in range(6):
        await resumed.until("token")
    numbers = [event.seq for event in resumed.events]
    assert numbers == list(range(first, first + len(numbers)))


async def test_last_event_id_is_looked_at_unless_the_query_has_a_cursor(play: Play) -> None:
    client = (await play()).client
    stream_id = await client.start(await client.session(), LONG)
    tab = await client.stream(stream_id)
    for _ in range(4):
        await tab.until("token")
    by_header = await client.stream(stream_id, Last_Event_ID=f"{stream_id}:2")
    assert (await by_header.until("token")).seq == 3
    by_query = await client.stream(stream_id, "&after_seq=3", Last_Event_ID=f"{stream_id}:1")
    first = await by_query.next()
    assert first is not None
    assert first.seq == 4


async def test_a_resumed_subscriber_hears_the_cancel_once_the_worker_has_unwound(play: Play) -> None:
    """v0.52.262: the Stop's event has a borrowed id, so a resumed tab takes it for a repetition."""
    stage = await play()
    stage.hang()
    client = stage.client
    stream_id = await client.start(await client.session(), "n=5 d=30 tag=A")
    live = await client.stream(stream_id)
    await live.until("token")
    resumed = await client.stream(stream_id, "&after_seq=0")
    await resumed.until("token")
    assert await client.cancel(stream_id) is True
    told = await live.until("cancel")
    assert await resumed.connection.is_silent(0.05)
    stage.unhang()
    told_late = await resumed.until("cancel")
    assert (told_late.seq or 0) > (told.seq or 0)


async def test_a_stream_may_be_cut_without_an_ending(play: Play) -> None:
    client = (await play(faults=Faults(cut_after=3))).client
    stream_id = await client.start(await client.session(), LONG)
    live = await client.stream(stream_id)
    await live.to_end()
    assert live.story == ["context_status", "token", "token", "token"]
    assert (await client.status(stream_id))["active"] is True


async def test_a_reader_that_takes_nothing_is_dropped_after_the_write_deadline(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await play()
    monkeypatch.setattr("proxy.demo.exchange.Exchange.send", _never_taken)
    client = stage.client
    live = await client.stream(await client.start(await client.session(), LONG))
    await stage.backend.ledger.until(lambda: not stage.backend.ledger.open_streams)
    assert await live.connection.rest() == b""


async def _never_taken(*_args: object, **_more: object) -> None:
    raise TimeoutError


@pytest.mark.parametrize("path", ["/api/sessions/gateway/stream", "/api/kanban/events/stream", "/api/terminal/output"])
async def test_other_long_lived_streams_keep_alive(play: Play, path: str) -> None:
    client = (await play(heartbeat=0.05)).client
    stream = await client.subscribe(path)
    await stream.until(": keepalive")
    assert stream.head.header("Content-Type") == "text/event-stream; charset=utf-8"
