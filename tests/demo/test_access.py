from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo import RELEASES
from proxy.demo.access import LOGINS_LIMIT, Access

if TYPE_CHECKING:
    from tests.demo.conftest import Client, Play

LATER = "v0.52.262"


async def _login(client: Client) -> str:
    reply = await client.post("/api/auth/login", {"password": "sesame"})
    return (reply.header("Set-Cookie") or "").partition(";")[0]


async def test_the_body_of_a_refused_post_is_parsed_as_the_next_request(play: Play, release: str) -> None:
    """F8: what a stranger puts into a body is answered to whoever comes next on the connection."""
    stage = await play(release, password="sesame")
    connection = await stage.client.connect()
    injected = stage.client.encode("GET", "/health?injected")
    await connection.send(stage.client.encode("POST", "/api/chat/start", injected))
    assert (await connection.reply()).json == {"error": "Authentication required"}
    assert (await connection.reply()).json["status"] == "ok"
    targets = [request.target for request in stage.backend.ledger.requests]
    assert targets == ["/api/chat/start", "/health?injected"]
    assert stage.backend.ledger.requests[0].body_size == 0


async def test_the_body_of_a_cross_site_post_stays_unread_too(play: Play, release: str) -> None:
    stage = await play(release)
    connection = await stage.client.connect()
    refused = stage.client.encode("POST", "/api/session/new", b"GET /health HTTP/1.1\r\n\r\n", Origin="http://evil")
    await connection.send(refused)
    reply = await connection.reply()
    assert (reply.status, reply.json) == (403, {"error": "Cross-origin mismatch - check reverse proxy headers"})
    assert (await connection.reply()).json["status"] == "ok"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 200),
        ("http://evil.example", 403),
        ("https://{host}", 200),
        ("null", 403),
    ],
)
async def test_origin_must_match_host(play: Play, release: str, origin: str, status: int) -> None:
    """F10; without ``Origin`` and ``Referer`` it is no browser, and passes."""
    client = (await play(release)).client
    origin = origin.replace("{host}", client.host)
    assert (await client.post("/api/session/new", Origin=origin)).status == status
    assert (await client.post("/api/session/new", Referer=f"{origin}/page")).status == status
    assert (await client.post("/api/session/new")).status == 200


async def test_a_default_port_may_be_left_out(play: Play) -> None:
    client = (await play()).client
    same = await client.post("/api/session/new", Host="hermes.example:80", Origin="http://hermes.example")
    other = await client.post("/api/session/new", Host="hermes.example:80", Origin="https://hermes.example")
    assert (same.status, other.status) == (200, 403)


async def test_only_the_older_release_believes_a_forwarded_host(play: Play, release: str) -> None:
    client = (await play(release)).client
    reply = await client.post("/api/session/new", Origin="http://evil", X_Forwarded_Host="evil")
    assert reply.status == (403 if release == LATER else 200)


async def test_a_browser_s_post_needs_the_token_of_its_login(play: Play, release: str) -> None:
    client = (await play(release, password="sesame")).client
    cookie = await _login(client)
    origin = f"http://{client.host}"
    without = await client.post("/api/session/new", Cookie=cookie, Origin=origin)
    assert (without.status, without.json) == (403, {"error": "Session expired - reload the page"})
    token = (await client.get("/demo/config.json", Cookie=cookie)).json["csrf_token"]
    headers = {"Cookie": cookie, "Origin": origin, "X_Hermes_CSRF_Token": token}
    assert (await client.post("/api/session/new", **headers)).status == 200


async def test_a_page_is_redirected_to_the_login(play: Play) -> None:
    client = (await play(password="sesame")).client
    reply = await client.get("/sessions?limit=5")
    assert (reply.status, reply.header("Location")) == (302, "login?next=/sessions%3Flimit%3D5")


@pytest.mark.parametrize(
    "cookie", ["hermes_session=forged.signature", "hermes_session", 'a=b; "', "other=1", "a@b=1; hermes_session=x"]
)
async def test_a_forged_cookie_is_no_login(play: Play, cookie: str) -> None:
    client = (await play(password="sesame")).client
    assert (await client.get("/api/session?session_id=x", Cookie=cookie)).status == 401


async def test_the_login_limit_is_by_address_and_heals_after_a_minute(play: Play) -> None:
    """F9: no header changes whose failures they are."""
    now = [1000.0]
    client = (await play(password="sesame", clock=lambda: now[0])).client
    for number in range(5):
        wrong = await client.post("/api/auth/login", {"password": "x"}, X_Forwarded_For=f"198.51.100.{number}")
        assert wrong.status == 401
    locked_out = await client.post("/api/auth/login", {"password": "sesame"})
    assert (locked_out.status, locked_out.json) == (429, {"error": "Too many attempts. Try again in a minute."})
    now[0] += 61
    assert await _login(client)


async def test_the_failures_of_only_so_many_addresses_are_remembered() -> None:
    access = Access("sesame", RELEASES[LATER], lambda: 1000.0)
    for _ in range(5):
        access.login("x", "first")
    assert access.login("sesame", "first").status == 429
    for number in range(LOGINS_LIMIT):
        access.login("x", str(number))
    assert access.login("sesame", "first").status == 200


async def test_a_header_may_say_who_is_logged_in(play: Play) -> None:
    client = (await play(identity_header="Remote-User")).client
    assert (await client.get("/api/sessions")).status == 401
    assert (await client.get("/api/sessions", Remote_User="me")).status == 404
    status = (await client.get("/api/auth/status", Remote_User="me")).json
    assert (status["logged_in"], status["trusted_auth_enabled"], status["password_auth_enabled"]) == (True, True, False)


async def test_without_a_password_a_login_is_not_needed(play: Play) -> None:
    client = (await play()).client
    assert (await client.post("/api/auth/login")).json == {"ok": True, "message": "Auth not enabled"}
    assert (await client.get("/api/auth/status")).json["auth_enabled"] is False
