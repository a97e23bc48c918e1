"""Header fields of requests: which are none, which end with their hop, and which nobody can take away."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from tests.wire.messages import ADDED, answered, asked_with, get

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start

LINE = b"GET / HTTP/1.1\r\nHost: h\r\n"

REFUSED = {
    "no name": b": v\r\n",
    "no colon": b"Name\r\n",
    "no colon but a space": b"Content-Length 5\r\n",
    "two words": b"A B: v\r\n",
    "a space behind the name": b"A : v\r\n",
    "a tab behind the name": b"A\t: v\r\n",
    "a space before the name": b" A: v\r\n",
    "brackets": b"(A): v\r\n",
    "a slash": b"A/B: v\r\n",
    "an at": b"A@B: v\r\n",
    "a comma": b"A,B: v\r\n",
    "a semicolon": b"A;B: v\r\n",
    "an equals": b"A=B: v\r\n",
    "a quote": b'"A": v\r\n',
    "a backslash": b"A\\: v\r\n",
    "a brace": b"{A}: v\r\n",
    "a colon in front": b":A: v\r\n",
    "a control byte in the name": b"\x01A: v\r\n",
    "DEL in the name": b"A\x7f: v\r\n",
    "a name that is not ASCII": b"\xc3\xa4: v\r\n",
    "a bare CR in the name": b"A\rB: v\r\n",
    "a bare LF in the name": b"A\nB: v\r\n",
    "VT in the value": b"A: b\x0bc\r\n",
    "FF in the value": b"A: b\x0cc\r\n",
    "DEL in the value": b"A: b\x7fc\r\n",
    "ESC in the value": b"A: \x1b[2J\r\n",
    "a bare CR for a value": b"A: \r\rB: c\r\n",
    "a bare LF that ends the head": b"A: b\r\n\n",
    "a bare CR that ends the head": b"A: b\r\n\rX",
    "CR CR LF": b"A: b\r\r\nB: c\r\n",
    "a fold of a tab": b"A: b\r\n\tc\r\n",
    "an empty fold": b"A: b\r\n \r\nB: c\r\n",
    "a key of an old WebSocket": b"Sec-WebSocket-Key1: a\r\n",
}


@pytest.mark.parametrize("field", REFUSED.values(), ids=REFUSED)
async def test_a_malformed_field_is_400(proxied: Proxied, backend: Listener, field: bytes) -> None:
    """RFC 9110 sections 5.1 and 5.5, RFC 9112 sections 2.2 and 5."""
    browser = await proxied.browser()
    await browser.send(get(field))
    assert await answered(browser) == (400, "bad_request")
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize(
    "name", [b"Content-Type", b"User-Agent", b"ETag", b"Server", b"Max-Forwards", b"Content-Range"]
)
async def test_a_field_that_may_stand_once_is_refused_twice(proxied: Proxied, backend: Listener, name: bytes) -> None:
    """RFC 9110 section 5.3. A limit of aiohttp's, which knows some of them."""
    browser = await proxied.browser()
    await browser.send(get(name + b": a\r\n" + name.lower() + b": a\r\n"))
    assert await answered(browser) == (400, "bad_request")
    assert await backend.nobody_comes(0.01)


GO_ON = {
    "every byte of a token": (b"!#$%&'*+-.^_`|~09azAZ: v\r\n", b"!#$%&'*+-.^_`|~09azAZ: v\r\n"),
    "a colon in the value": (b"A:: b:c\r\n", b"A: : b:c\r\n"),
    "space around the value": (b"A: \t b \t\r\n", b"A: b\r\n"),
    "a tab in the value": (b"A: b\tc\r\n", b"A: b\tc\r\n"),
    "no value": (b"A:\r\nB: \t\r\n", b"A: \r\nB: \r\n"),
    "bytes that are not ASCII": (b"A: \xa0\xff\x85\r\n", b"A: \xa0\xff\x85\r\n"),
    "100 of them": (b"A: b\r\n" * 99, b"A: b\r\n" * 99),
}


@pytest.mark.parametrize(("sent", "forwarded"), GO_ON.values(), ids=GO_ON)
async def test_a_field_goes_on_as_it_is(proxied: Proxied, backend: Listener, sent: bytes, forwarded: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(get(sent))
    assert await (await backend.accept()).head() == LINE + forwarded + ADDED + b"\r\n"


# -- Connection (RFC 9110 section 7.6.1) ----------------------------------------------------------

OPTIONS = {
    "one": (b"X-A", b"X-B: b\r\n"),
    "some, oddly spelled": (b",, x-a ,,X-B,", b""),
    "one in quotes": (b'"X-A"', b"X-A: a\r\nX-B: b\r\n"),
    "one with a parameter": (b"X-A;q=1", b"X-A: a\r\nX-B: b\r\n"),
    "itself": (b"Connection", b"X-A: a\r\nX-B: b\r\n"),
    "what frames and routes": (b"Host, Content-Length, Transfer-Encoding", b"X-A: a\r\nX-B: b\r\n"),
    "who asked": (b"X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto", b"X-A: a\r\nX-B: b\r\n"),
}


@pytest.mark.parametrize(("options", "kept"), OPTIONS.values(), ids=OPTIONS)
async def test_fields_that_connection_names_end_here(
    proxied: Proxied, backend: Listener, options: bytes, kept: bytes
) -> None:
    """But not those without which Hermes would read another message, or believe that another had sent it."""
    browser = await proxied.browser()
    await browser.send(get(b"X-A: a\r\nX-B: b\r\nConnection: " + options + b"\r\n"))
    assert await (await backend.accept()).head() == LINE + kept + ADDED + b"\r\n"


async def test_a_browser_may_take_away_its_own_credentials(proxied: Proxied, backend: Listener) -> None:
    """It could leave them out as well; what the guard compares of two callers is what Hermes gets of them (P9)."""
    browser = await proxied.browser()
    await browser.send(get(b"Connection: Cookie, Authorization\r\nCookie: a=b\r\nAuthorization: Basic x\r\n"))
    assert await (await backend.accept()).head() == LINE + ADDED + b"\r\n"


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-for"])
async def test_a_browser_cannot_take_away_what_a_trusted_proxy_says_of_it(
    start: Start, backend: Listener, name: bytes
) -> None:
    """A proxy that passes Connection on would make everybody come from that proxy's own address (F9)."""
    proxied = await start(trusted_proxies=[ip_network("127.0.0.0/8")])
    browser = await proxied.browser()
    await browser.send(get(b"Connection: " + name + b"\r\nX-Forwarded-For: 9.9.9.9\r\n"))
    assert b"\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n" in await (await backend.accept()).head()


WHO = b"X-Vouch-User: a\r\nx-pomerium-claim-email: a\r\nX_Goog_Authenticated_User_Email: a\r\nX-Mine: a\r\n"


async def test_what_says_who_is_logged_in_ends_here_by_any_gateways_name(proxied: Proxied, backend: Listener) -> None:
    """Hermes can be told to believe one, of the proxy in front of it."""
    browser = await proxied.browser()
    await browser.send(get(WHO))
    assert await (await backend.accept()).head() == LINE + b"X-Mine: a\r\n" + ADDED + b"\r\n"


async def test_a_trusted_proxy_may_say_who_is_logged_in(start: Start, backend: Listener) -> None:
    proxied = await start(trusted_proxies=[ip_network("127.0.0.0/8")])
    browser = await proxied.browser()
    await browser.send(get(WHO))
    assert WHO in await (await backend.accept()).head()


HOP_BY_HOP = (
    b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nTrailer: X\r\nUpgrade: h2c\r\n"
)


async def test_hop_by_hop_fields_end_here_though_connection_names_none(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend, get(b"Connection: keep-alive\r\n"))
    await asked.send(b"HTTP/1.1 200 OK\r\n" + HOP_BY_HOP + b"Content-Length: 0\r\n\r\n")
    assert await browser.head() == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    await browser.send(get(HOP_BY_HOP))
    assert await asked.head() == LINE + ADDED + b"\r\n"


FOR_ANOTHER_PROXY = b"Proxy-Authorization: Basic x\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\n"


async def test_what_another_proxy_asks_for_passes_both_ways(proxied: Proxied, backend: Listener) -> None:
    """RFC 9110 sections 7.6.1 and 11.7.2: it belongs to whoever asked for it, and this proxy never does."""
    browser, asked = await asked_with(proxied, backend, get(FOR_ANOTHER_PROXY))
    await asked.send(b"HTTP/1.1 200 OK\r\n" + FOR_ANOTHER_PROXY + b"Content-Length: 0\r\n\r\n")
    assert FOR_ANOTHER_PROXY in await browser.head()
    await browser.send(get(FOR_ANOTHER_PROXY))
    assert FOR_ANOTHER_PROXY in await asked.head()


async def test_what_is_said_of_the_way_passes_and_nothing_is_added_to_it(proxied: Proxied, backend: Listener) -> None:
    """No Via, although RFC 9110 section 7.6.3 asks a gateway for one: nothing is added but who asked."""
    said = b"Via: 1.1 front\r\nMax-Forwards: 5\r\n"
    browser = await proxied.browser()
    await browser.send(get(said, b"OPTIONS / HTTP/1.1"))
    asked = await backend.accept()
    passed = said.replace(b"5", b"4") + ADDED + b"Connection: close\r\n\r\n"
    assert await asked.head() == b"OPTIONS / HTTP/1.1\r\nHost: h\r\n" + passed
    await asked.send(b"HTTP/1.1 200 OK\r\nVia: 1.1 back\r\nContent-Length: 0\r\n\r\n")
    assert await browser.head() == b"HTTP/1.1 200 OK\r\nVia: 1.1 back\r\nContent-Length: 0\r\n\r\n"
