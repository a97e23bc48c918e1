"""F8: a refused POST leaves its body in the way of the next request on that connection. Nobody's may be there."""

import json

import pytest

from tests.chaos.conftest import MakeStage, Stage
from tests.support.raw import RawBrowser

INJECTED = b"GET /api/approval/inject_test?session_id=injected&command=evil HTTP/1.1\r\nHost: hermes\r\n\r\n"
INJECTED_PATH = "/api/approval/inject_test"

CARRIERS = {
    "a call": b"POST /api/session/new",
    "a start": b"POST /api/chat/start",
    "a side stream": b"POST /api/btw",
    "an upload": b"POST /api/upload",
    "a put": b"PUT /api/session/new",
    "a stop": b"GET /api/chat/cancel?stream_id=x",
    "a stream": b"GET /api/chat/stream?stream_id=x",
    "a status": b"GET /api/chat/stream/status?stream_id=x",
    "a health check": b"GET /health",
    "a page": b"GET /api/session?session_id=x",
    "a preflight": b"OPTIONS /api/session/new",
}


async def log_in(stage: Stage) -> str:
    reply = await stage.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    return next(value for name, value in reply.headers if name == "Set-Cookie").partition(";")[0]


async def smuggle(browser: RawBrowser, carrier: bytes) -> None:
    """A request whose body is another one. It may be refused with its connection, or answered and kept."""
    head = b"%b HTTP/1.1\r\nHost: hermes\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    await browser.send(head % (carrier, len(INJECTED)) + INJECTED)
    await browser.until(b"\r\n\r\n")


async def test_the_backend_has_the_habit(make_stage: MakeStage) -> None:
    """Without the proxy the injected request runs, in whoever's name is next: so the test below can fail."""
    stage = await make_stage(password="secret")
    cookie = await log_in(stage)
    connection = await stage.raw_browser(stage.backend.port)
    await smuggle(connection, CARRIERS["a call"])

    await connection.get("/api/auth/status", f"Cookie: {cookie}")
    await stage.backend.ledger.until(lambda: bool(stage.backend.ledger.requests_for(INJECTED_PATH)))


@pytest.mark.parametrize("release", ["v0.51.195", "v0.52.262"])
@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)
async def test_a_strangers_request_stays_a_body(make_stage: MakeStage, carrier: bytes, release: str) -> None:
    """The next users get their own answers, and the injected request never runs."""
    stage = await make_stage(release, password="secret")
    cookie = await log_in(stage)
    await stage.browser.call("GET", "/api/auth/status", headers={"Cookie": cookie})
    strangers = [await stage.raw_browser() for _ in range(8)]
    for stranger in strangers:
        await smuggle(stranger, carrier)

    for _ in range(8):
        status = await stage.browser.call("GET", "/api/auth/status", headers={"Cookie": cookie})
        assert status.json["logged_in"] is True
        health = await stage.browser.call("GET", "/health")
        assert "uptime_seconds" in health.json
        session = await stage.browser.call("POST", "/api/session/new", json={}, headers={"Cookie": cookie})
        assert session.json["session"]["session_id"]

    assert stage.backend.ledger.requests_for(INJECTED_PATH) == []


async def test_a_stranger_who_goes_on_is_only_himself(make_stage: MakeStage) -> None:
    """On his own connection, too, the body is no request, and what he asks next is answered to him."""
    stage = await make_stage(password="secret")
    await log_in(stage)
    stranger = await stage.raw_browser()
    await smuggle(stranger, CARRIERS["a call"])
    await stranger.get("/api/auth/status", "Connection: close")

    answers = await stranger.rest()

    first, _, second = answers.partition(b'{"error":"Authentication required"}')
    assert first.startswith(b"HTTP/1.1 401 ")
    if second:  # the connection was kept
        assert json.loads(second.partition(b"\r\n\r\n")[2])["logged_in"] is False
    assert stage.backend.ledger.requests_for(INJECTED_PATH) == []
