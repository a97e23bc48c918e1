"""Upgrade and Expect: what a browser asks of this hop, and not of the backend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.http.upstream.lanes import Lane
from tests.wire.messages import ADDED, CHUNKED, OK, SMUGGLED, answered, asked_with, get, post

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied

WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

# -- Upgrade (RFC 9110 section 7.8) ---------------------------------------------------------------

UNKNOWN = {
    "HTTP/2": get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    "TLS": get(b"Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n"),
    "two in two fields": get(b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: IRC/6.9\r\n"),
    "one that is like a known one": get(b"Connection: Upgrade\r\nUpgrade: xwebsocket\r\n"),
    "nothing": get(b"Connection: Upgrade\r\nUpgrade:\r\n"),
}


@pytest.mark.parametrize("segments", ["one", "two"])
@pytest.mark.parametrize("request_", UNKNOWN.values(), ids=UNKNOWN)
async def test_an_upgrade_that_nobody_knows_is_ignored(
    proxied: Proxied, backend: Listener, request_: bytes, segments: str
) -> None:
    """A server may. What is said behind it is HTTP/1.1 still, and is judged as every request (no h2c smuggling)."""
    browser = await proxied.browser()
    await browser.send(request_ + SMUGGLED if segments == "one" else request_)
    asked = await backend.accept()
    assert await asked.head() == b"GET / HTTP/1.1\r\nHost: h\r\n" + ADDED + b"\r\n"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    if segments == "two":
        await browser.send(SMUGGLED)
    assert await asked.head() == SMUGGLED[:-2] + ADDED + b"\r\n"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert await backend.nobody_comes(0.01)


async def test_the_preface_of_http_2_behind_an_upgrade_is_400(proxied: Proxied, backend: Listener) -> None:
    """Nobody has agreed to it (RFC 9113 section 3.4), and the backend never sees it."""
    browser, asked = await asked_with(proxied, backend, UNKNOWN["HTTP/2"] + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert await answered(browser) == (400, "bad_request")
    assert not asked.buffer
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", CHUNKED])
async def test_an_unknown_upgrade_with_a_body_is_an_ordinary_request(
    proxied: Proxied, backend: Listener, framing: bytes
) -> None:
    body = b"hello" if framing != CHUNKED else b"5\r\nhello\r\n0\r\n\r\n"
    browser = await proxied.browser()
    await browser.send(post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + framing, body) + SMUGGLED)
    asked = await backend.accept()
    assert b"pgrade" not in await asked.head()
    assert await asked.take(len(body)) == body
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")


IGNORED = {
    "a list with WebSocket in it": get(b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
    "two fields": get(b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"),
    "a version of WebSocket": get(b"Connection: Upgrade\r\nUpgrade: websocket/13\r\n"),
    "WebSocket by HTTP/1.0": get(WEBSOCKET, b"GET / HTTP/1.0"),
}


@pytest.mark.parametrize("request_", IGNORED.values(), ids=IGNORED)
async def test_an_upgrade_to_more_than_a_websocket_is_ignored_and_ends_the_connection(
    proxied: Proxied, backend: Listener, request_: bytes
) -> None:
    """A server may; and what such a browser says behind it may be frames that nobody agreed to."""
    browser = await proxied.browser()
    await browser.send(request_ + SMUGGLED)
    asked = await backend.accept()
    assert await asked.head() == b"GET / HTTP/1.1\r\nHost: h\r\n" + ADDED + b"\r\n"
    await asked.send(OK)
    assert await browser.rest() == LAST
    assert not asked.buffer
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize("connection", [b"", b"Connection: keep-alive\r\n"])
async def test_an_upgrade_that_connection_does_not_name_is_none(
    proxied: Proxied, backend: Listener, connection: bytes
) -> None:
    browser, asked = await asked_with(proxied, backend, get(connection + b"Upgrade: websocket\r\n"))
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", CHUNKED])
async def test_an_upgrade_with_a_body_is_an_ordinary_request(
    proxied: Proxied, backend: Listener, method: bytes, framing: bytes
) -> None:
    """RFC 6455 section 4.1: a handshake has none."""
    body = b"hello" if framing != CHUNKED else b"5\r\nhello\r\n0\r\n\r\n"
    browser = await proxied.browser()
    await browser.send(get(WEBSOCKET + framing, method + b" / HTTP/1.1") + body + SMUGGLED)
    asked = await backend.accept()
    assert b"pgrade" not in await asked.head()
    assert await asked.take(len(body)) == body
    await asked.send(OK)
    assert await browser.rest() == LAST
    assert await backend.nobody_comes(0.01)


SWITCHES_REFUSED = {
    "without a protocol": b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\n\r\n",
    "without the option": b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n",
    "without either": b"HTTP/1.1 101 Go\r\n\r\n",
    "to another protocol": b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "to two": b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("switch", SWITCHES_REFUSED.values(), ids=SWITCHES_REFUSED)
async def test_a_switch_to_what_was_not_asked_for_is_502(proxied: Proxied, backend: Listener, switch: bytes) -> None:
    browser, asked = await asked_with(proxied, backend, get(WEBSOCKET))
    await asked.send(switch + b"more")
    assert await answered(browser) == (502, "backend_broken")
    assert proxied.upstream.lanes.in_use(Lane.RELAYS) == 0
    assert await asked.rest() == b""


@pytest.mark.parametrize("status", [b"200 OK", b"426 Upgrade Required"])
async def test_nothing_passes_a_websocket_that_was_refused(proxied: Proxied, backend: Listener, status: bytes) -> None:
    """A proxy that tunnels without having seen the 101 lets requests past itself (WebSocket smuggling)."""
    browser, asked = await asked_with(proxied, backend, get(WEBSOCKET + b"Sec-WebSocket-Version: 777\r\n"))
    await browser.send(SMUGGLED)
    await asked.send(
        b"HTTP/1.1 %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno" % status
    )
    assert await browser.rest() == b"HTTP/1.1 %b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno" % status
    assert await asked.rest() == b""
    assert await backend.nobody_comes(0.01)


# -- Expect (RFC 9110 section 10.1.1) -------------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTED = {
    "as it is": b"100-continue",
    "in capitals": b"100-CONTINUE",
    "in a list": b"x, 100-continue",
    "twice": b"100-continue\r\nExpect: 100-continue",
}


@pytest.mark.parametrize("expect", EXPECTED.values(), ids=EXPECTED)
async def test_the_body_is_asked_for_once_and_by_the_backend(
    proxied: Proxied, backend: Listener, expect: bytes
) -> None:
    """However it was spelled, it goes on in the one that every server reads; test_expect.py has the rest."""
    browser = await proxied.browser()
    await browser.send(post(b"Content-Length: 2\r\nExpect: " + expect + b"\r\n"))
    asked = await backend.accept()
    fields = (await asked.head()).split(b"\r\n")
    assert [field for field in fields if field.lower().startswith(b"expect:")] == [b"Expect: 100-continue"]
    await asked.send(CONTINUE)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    await browser.send(b"hi")
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


UNEXPECTED = {
    "another expectation": (b"Expect: x\r\nContent-Length: 2\r\n", b"HTTP/1.1"),
    "none": (b"Expect:\r\nContent-Length: 2\r\n", b"HTTP/1.1"),
    "HTTP/1.0": (b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"HTTP/1.0"),
}


@pytest.mark.parametrize(("fields", "version"), UNEXPECTED.values(), ids=UNEXPECTED)
async def test_no_other_expectation_is_answered(
    proxied: Proxied, backend: Listener, fields: bytes, version: bytes
) -> None:
    """Unknown ones are ignored, where a server may as well say 417."""
    browser = await proxied.browser()
    await browser.send(post(fields, b"hi", version))
    asked = await backend.accept()
    assert b"xpect" not in await asked.head()
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert (await browser.head()).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_is_refused_is_not_asked_for(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(post(b"Expect: 100-continue\r\nContent-Length: 18446744073709551615\r\n"))
    assert await answered(browser) == (413, "request_too_large")
    assert await backend.nobody_comes(0.01)


async def test_a_pipelined_expectation_waits_for_its_turn(proxied: Proxied, backend: Listener) -> None:
    """A 100 in the middle of another answer would be part of it."""
    browser, asked = await asked_with(proxied, backend, get() + post(b"Expect: 100-continue\r\nContent-Length: 2\r\n"))
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
    assert await browser.until(b"\r\n\r\no")
    await asyncio.sleep(0.02)
    await asked.send(b"k")
    assert await browser.until(b"k") == b"k"
    following = await backend.accept()
    await following.head()
    await following.send(CONTINUE)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    await browser.send(b"hi")
    assert await following.take(2) == b"hi"
