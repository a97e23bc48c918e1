"""Ambiguous and oversized requests are refused, and the backend never hears of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.messages import BEGUN, CHUNKED, HOST, SMUGGLED, answered, get, post

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied


AMBIGUOUS = {
    "two lengths": post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"x"),
    "the same length twice": post(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"x"),
    "a list of lengths": post(b"Content-Length: 1, 1\r\n", b"x"),
    "a signed length": post(b"Content-Length: +1\r\n", b"x"),
    "a length that may be octal": post(b"Content-Length: 010\r\n", b"8 to octal"),
    "zero in two digits": post(b"Content-Length: 00\r\n"),
    "an empty length": post(b"Content-Length:\r\n"),
    "length then coding": post(b"Content-Length: 1\r\n" + CHUNKED, b"0\r\n\r\n"),
    "coding then length": post(CHUNKED + b"Content-Length: 1\r\n", b"0\r\n\r\n"),
    "a coding in HTTP/1.0": post(CHUNKED, b"0\r\n\r\n", b"HTTP/1.0"),
    "a space before the colon": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "a folded header": get(b"A: b\r\n c\r\n"),
    "a folded first header": b"GET / HTTP/1.1\r\n A: b\r\n" + HOST + b"\r\n",
    "a bare LF": b"GET / HTTP/1.1\nHost: h\n\n",
    "a bare LF in a header": get(b"A: b\nC: d\r\n"),
    "a bare CR in a header": get(b"A: b\rC: d\r\n"),
    "NUL in a value": get(b"A: b\x00c\r\n"),
    "NUL in a name": get(b"A\x00: b\r\n"),
    "NUL in the target": get(line=b"GET /\x00 HTTP/1.1"),
    "a control byte": get(b"A: \x01\r\n"),
    "two hosts": get(b"Host: other\r\n"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a space in the target": get(line=b"GET /a b HTTP/1.1"),
    "a target that its parser chokes on": get(line=b"GET http://[]a--9@? HTTP/1.1"),
    "a target without a slash": get(line=b"GET foo HTTP/1.1"),
    "an unknown version": get(line=b"GET / HTTP/1.2"),
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_ambiguous_requests_get_400(proxied: Proxied, backend: Listener, request_: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(request_)
    assert await answered(browser) == (400, "bad_request")
    assert await backend.nobody_comes(0.01)


UNSUPPORTED = {
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "a comma before chunked": post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"),
    "two codings": post(CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity\r\n"),
    "an empty coding": post(b"Transfer-Encoding:\r\n"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1\r\n"),
    "CONNECT": b"CONNECT h:1 HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("request_", UNSUPPORTED.values(), ids=UNSUPPORTED)
async def test_connect_and_unknown_codings_get_501(proxied: Proxied, backend: Listener, request_: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(request_)
    assert await answered(browser) == (501, "not_implemented")
    assert await backend.nobody_comes(0.01)


TOO_LONG = {
    "a target": (get(line=b"GET /%b HTTP/1.1" % (b"a" * 65_522)), 414, "target_too_long"),
    "a value": (get(b"A: %b\r\n" % (b"a" * 65_533)), 431, "headers_too_large"),
    "a name": (get(b"%b: a\r\n" % (b"A" * 65_532)), 431, "headers_too_large"),
    "too many": (get(b"A: b\r\n" * 100), 431, "headers_too_large"),
    "an impossible length": (post(b"Content-Length: %d\r\n" % (2**64 - 1)), 413, "request_too_large"),
}


@pytest.mark.parametrize(("request_", "status", "code"), TOO_LONG.values(), ids=TOO_LONG)
async def test_what_is_too_long_says_so(
    proxied: Proxied, backend: Listener, request_: bytes, status: int, code: str
) -> None:
    browser = await proxied.browser()
    await browser.send(request_)
    assert await answered(browser) == (status, code)
    assert await backend.nobody_comes(0.01)


async def test_lines_up_to_what_hermes_reads_pass(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    target, value = b"/" + b"a" * 65_520, b"v" * 65_531
    await browser.send(b"GET %b HTTP/1.1\r\nHost: h\r\nA: %b\r\n\r\n" % (target, value))
    asked = await backend.accept()
    head = await asked.head()
    assert head.startswith(b"GET %b HTTP/1.1\r\n" % target)
    assert b"\r\nA: %b\r\n" % value in head


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
async def test_other_versions_get_505(proxied: Proxied, backend: Listener, version: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(get(line=b"GET / " + version))
    assert await answered(browser) == (505, "version_not_supported")


async def test_a_request_behind_a_refused_one_is_never_read(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + SMUGGLED))
    assert await answered(browser) == (501, "not_implemented")
    assert await backend.nobody_comes(0.05)


async def test_a_length_named_in_connection_still_frames_the_body(proxied: Proxied, backend: Listener) -> None:
    """Stripping it would turn the body into the backend's next request."""
    browser = await proxied.browser()
    body = SMUGGLED
    await browser.send(post(b"Content-Length: %d\r\nConnection: Content-Length, Host\r\n" % len(body), body))
    head = await (await backend.accept()).head()
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert b"\r\nHost: h\r\n" in head


async def test_a_malformed_chunk_fails_the_request_under_way(proxied: Proxied, backend: Listener) -> None:
    """aiohttp's parser forgets the body then, and whoever reads it would wait for ever."""
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, b"10000\r\n" + BEGUN + b"\r\n"))
    asked = await backend.accept()
    await asked.head()
    assert await asked.until(BEGUN + b"\r\n")
    await browser.send(b"nonsense\r\n")
    assert await answered(browser) == (400, "bad_request")
    assert await asked.rest() == b""
