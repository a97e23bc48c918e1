from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LATER = "v0.52.262"
CHANNEL = "/api/sessions/events"


async def test_every_slot_taken_by_idle_subscribers_leaves_a_bare_503(play: Play) -> None:
    """F7: for every call, a Stop included; not even a ``Server`` header."""
    stage = await play(slots=3, heartbeat=0.1)
    client = stage.client
    tabs = [await client.subscribe(CHANNEL) for _ in range(3)]
    refused = await client.get("/api/chat/cancel?stream_id=x")
    assert (refused.status, refused.body) == (503, b"")
    assert refused.headers == [("Connection", "close"), ("Content-Length", "0")]
    for tab in tabs:
        await tab.connection.close()
    ledger = stage.backend.ledger
    await ledger.until(lambda: all(record.released_at for record in list(ledger.connections)[:3]))
    assert (await client.get("/health")).status == 200


async def test_a_slot_is_only_given_back_when_a_write_fails(play: Play) -> None:
    """F7: the first heartbeat after the browser's FIN still seems to arrive."""
    stage = await play(slots=1, heartbeat=0.3)
    tab = await stage.client.subscribe(CHANNEL)
    (record,) = stage.backend.ledger.connections
    await tab.connection.close()
    await stage.backend.ledger.until(lambda: record.client_left_at is not None)
    assert record.released_at is None
    await stage.backend.ledger.until(lambda: record.released_at is not None)
    assert (record.released_at or 0) - (record.client_left_at or 0) > 0.3


async def test_an_idle_connection_holds_a_slot(play: Play) -> None:
    stage = await play(slots=1, idle_timeout=0.6)
    idle = await stage.client.connect()
    await stage.backend.ledger.until(lambda: len(stage.backend.ledger.connections) == 1)
    assert (await stage.client.get("/health")).status == 503
    assert await idle.rest() == b""


async def test_only_the_later_release_has_slots(play: Play, release: str) -> None:
    stage = await play(release)
    tabs = [stage.client.subscribe(CHANNEL) for _ in range(130)]
    statuses = [tab.head.status for tab in await asyncio.gather(*tabs)]
    assert statuses.count(503) == (2 if release == LATER else 0)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_browser_that_leaves_is_seen_at_once(play: Play, how: str) -> None:
    stage = await play(heartbeat=30.0)
    tab = await stage.client.subscribe(CHANNEL)
    ledger = stage.backend.ledger
    assert [record.path for record in ledger.open_streams] == [CHANNEL]
    if how == "fin":
        await tab.connection.close()
    else:
        tab.connection.reset()
    await ledger.until(lambda: not ledger.open_streams)


async def test_a_connection_serves_one_request_after_another(play: Play, release: str) -> None:
    stage = await play(release)
    connection = await stage.client.connect()
    await connection.send(stage.client.encode("GET", "/health") + stage.client.encode("GET", "/nope"))
    assert (await connection.reply()).status == 200
    assert (await connection.reply()).status == 404
    await connection.send(stage.client.encode("GET", "/health", Connection="close"))
    assert (await connection.reply()).status == 200
    assert await connection.rest() == b""
    assert {request.connection for request in stage.backend.ledger.requests} == {1}


async def test_an_old_client_may_ask_to_keep_its_connection(play: Play) -> None:
    connection = await (await play()).client.connect()
    for _ in range(2):
        await connection.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await connection.reply()).status == 200
    await connection.send(b"GET /health HTTP/1.0\r\n\r\n")
    assert (await connection.reply()).status == 200
    assert await connection.rest() == b""


async def test_the_oldest_client_gets_a_body_without_a_head(play: Play) -> None:
    connection = await (await play()).client.connect()
    await connection.send(b"GET /api/chat/cancel\r\n\r\n")
    assert (await connection.rest()).startswith(b'{\n  "error"')


@pytest.mark.parametrize("method", ["HEAD", "BREW"])
async def test_a_method_that_hermes_lacks_is_501_in_html(play: Play, release: str, method: str) -> None:
    """Recorded for HEAD; it closes, and HEAD gets no body."""
    stage = await play(release)
    connection = await stage.client.connect()
    await connection.send(stage.client.encode(method, "/api/chat/cancel?stream_id=x"))
    head = await connection.head()
    assert (head.status, head.reason) == (501, f"Unsupported method ('{method}')")
    assert head.header("Content-Type") == "text/html;charset=utf-8"
    assert head.header("Connection") == "close"
    page = await connection.rest()
    assert (page == b"") is (method == "HEAD")
    assert not stage.backend.ledger.cancels


async def test_a_waiting_client_is_told_to_go_on(play: Play) -> None:
    stage = await play()
    connection = await stage.client.connect()
    request = stage.client.encode("POST", "/api/session/new", Expect="100-continue", Content_Length="2")
    await connection.send(request)
    assert (await connection.head()).status == 100
    await connection.send(b"{}")
    assert (await connection.reply()).status == 200


async def test_a_client_that_leaves_in_mid_body_is_answered_all_the_same(play: Play) -> None:
    stage = await play()
    connection = await stage.client.connect()
    await connection.send(stage.client.encode("POST", "/api/session/new", Content_Length="100") + b'{"a"')
    connection.writer.write_eof()
    assert (await connection.reply()).status == 200
    assert stage.backend.ledger.requests[0].body_size == 4
