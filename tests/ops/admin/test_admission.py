"""Who may ask: with a token, without one, and from another site's page."""

from typing import TYPE_CHECKING

import pytest

from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from tests.ops.admin.conftest import Guard, Operator, Serve

TOKEN = "correct-horse-battery-staple"
GUARDED = ["/metrics", "/api/status", "/api/streams", "/api/cancels", "/api/cancels/c-1", "/api/history", "/api/events"]
BEGIN = {"action": "begin"}


# -- the token ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GUARDED)
async def test_nothing_is_told_without_the_token(serve: "Serve", path: str) -> None:
    reply = await (await serve(token=TOKEN)).ask(path)

    assert (reply.status, reply.code) == (401, "unauthorized")
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="Hermes Stream Guard"'


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer ünïcödé-ünïcödé",
    ],
)
async def test_another_token_is_none(guard: "Guard", serve: "Serve", shown: str) -> None:
    operator = await serve(token=TOKEN)

    reply = await operator.ask("/api/drain", "POST", json=BEGIN, headers={"Authorization": shown})

    assert (reply.status, reply.code) == (401, "unauthorized")
    assert guard.drain.state == "serving"


@pytest.mark.parametrize(
    "fields", [b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer", b"Authorization:", b"X-Nothing: \xff"]
)
async def test_whatever_bytes_are_shown_are_no_token(serve: "Serve", fields: bytes) -> None:
    operator = await serve(token=TOKEN)
    browser = RawBrowser(operator.port)
    await browser.connect()
    await browser.send(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n\r\n")

    assert b"401 Unauthorized" in await browser.until(b"\r\n\r\n")
    browser.close()


async def test_a_request_that_names_no_host_is_refused_at_once(operator: "Operator") -> None:
    """Without asking the resolver who this machine is, which could take seconds."""
    browser = RawBrowser(operator.port)
    await browser.connect()
    await browser.send(b"GET /api/status HTTP/1.0\r\n\r\n")

    assert b"unknown_host" in await browser.rest()
    browser.close()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_with_the_token_everything_is(serve: "Serve", scheme: str) -> None:
    operator = await serve(host="0.0.0.0", token=TOKEN)
    headers = {"Authorization": f"{scheme} {TOKEN}", "Host": "guard.example:8789"}

    assert (await operator.ask("/api/status", headers=headers)).status == 200
    assert (await operator.ask("/api/drain", "POST", json=BEGIN, headers=headers)).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/page/page.js"])
async def test_probes_and_the_empty_page_need_none(serve: "Serve", path: str) -> None:
    operator = await serve(token=TOKEN)

    assert (await operator.ask(path, headers={"Host": "pod.internal"})).status == 200


async def test_the_token_is_not_in_the_page(serve: "Serve") -> None:
    operator = await serve(token=TOKEN)

    for path in ("/", "/page/page.js", "/page/api.js"):
        assert TOKEN.encode() not in (await operator.ask(path)).body


# -- other sites ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8789", "localhost:8789", "LOCALHOST", "guard.localhost", "[::1]:8789", "127.9.9.9"]
)
async def test_a_listener_on_loopback_is_called_by_its_names(operator: "Operator", host: str) -> None:
    assert (await operator.ask("/api/status", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8789", "192.168.1.5:8789", "localhost.evil.example", "[", ""]
)
async def test_a_name_that_somebody_has_pointed_at_it_is_refused(operator: "Operator", host: str) -> None:
    """DNS rebinding: the page that asks believes to be of the same origin."""
    for path in ("/", "/api/status"):
        reply = await operator.ask(path, headers={"Host": host})
        assert (reply.status, reply.code) == (403, "unknown_host")


async def test_a_listener_may_be_called_as_it_was_configured(serve: "Serve") -> None:
    operator = await serve(host="localhost")

    assert (await operator.ask("/api/status", headers={"Host": "localhost:1"})).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", [*GUARDED, "/page/page.js"])
async def test_another_sites_page_may_not_ask(operator: "Operator", path: str, site: str) -> None:
    reply = await operator.ask(path, headers={"Sec-Fetch-Site": site})

    assert (reply.status, reply.code) == (403, "cross_site")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_link_to_the_page_may_stand_anywhere(operator: "Operator", site: str) -> None:
    assert (await operator.ask("/", headers={"Sec-Fetch-Site": site})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_another_sites_page_may_not_drain(guard: "Guard", operator: "Operator", headers: dict[str, str]) -> None:
    reply = await operator.ask("/api/drain", "POST", json=BEGIN, headers=headers)

    assert (reply.status, reply.code) == (403, "cross_site")
    assert guard.drain.state == "serving"


async def test_the_listeners_own_page_may(guard: "Guard", operator: "Operator") -> None:
    headers = {"Origin": operator.url, "Sec-Fetch-Site": "same-origin"}

    assert (await operator.ask("/api/drain", "POST", json=BEGIN, headers=headers)).status == 200


async def test_the_listeners_own_page_may_though_a_proxy_in_front_sends_another_host(operator: "Operator") -> None:
    """The browser knows; what it calls this is not what the proxy calls it."""
    headers = {"Origin": "https://status.example", "Sec-Fetch-Site": "same-origin"}

    assert (await operator.ask("/api/drain", "POST", json=BEGIN, headers=headers)).status == 200


async def test_the_token_does_not_make_up_for_another_site(serve: "Serve") -> None:
    operator = await serve(token=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}

    assert (await operator.ask("/api/drain", "POST", json=BEGIN, headers=headers)).status == 403
