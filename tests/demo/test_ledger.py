from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo.ledger import Ledger

if TYPE_CHECKING:
    from tests.demo.conftest import Play


async def test_requests_are_kept_byte_for_byte(play: Play) -> None:
    stage = await play()
    connection = await stage.client.connect()
    head = b"POST /api/session/new?a=%2F HTTP/1.1\r\nhOsT: h\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\n"
    await connection.send(head + b"{}")
    await connection.reply()
    (request,) = stage.backend.ledger.requests
    assert request.head == head
    assert request.line == b"POST /api/session/new?a=%2F HTTP/1.1"
    assert request.target == "/api/session/new?a=%2F"
    assert request.headers == [("hOsT", "h"), ("X-A", "1"), ("X-A", "2"), ("Content-Length", "2")]
    assert (request.body_size, request.status, request.connection) == (2, 200, 1)


async def test_cancels_are_counted_by_stream(play: Play) -> None:
    stage = await play()
    for stream_id in ("x", "y", "x"):
        await stage.client.cancel(stream_id)
    await stage.client.get("/api/chat/cancel")
    assert stage.backend.ledger.cancels == {"x": 2, "y": 1, "": 1}
    assert len(stage.backend.ledger.requests_for("/api/chat/cancel")) == 4


async def test_waiting_has_a_limit() -> None:
    with pytest.raises(TimeoutError):
        await Ledger().until(lambda: False, within=0.01)


async def test_a_connection_ends_once() -> None:
    record = Ledger().opened("127.0.0.1")
    record.closed()
    closed_at = record.closed_at
    record.client_left()
    assert record.closed_at == closed_at
    assert record.client_left_at is not None
