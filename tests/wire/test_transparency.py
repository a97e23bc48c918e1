"""What the backend gets and what the browser gets is what they would have without the proxy."""

from __future__ import annotations

import gzip
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start

ADDED = b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: example.test:1\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TARGETS = [
    b"/",
    b"/a?",
    b"/a?b#c",
    b"//a//b",
    b"//[x",
    b"/./a/../b",
    b"/%2F%7e%zz%",
    b"/a\"<>\\^`{|}[]:@!$&'()*+,;=",
    b"/?a=b&a=c&&=?/",
    b"/~\x7e",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_target_goes_on_byte_for_byte(proxied: Proxied, backend: Listener, target: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET %b HTTP/1.1\r\nHost: example.test:1\r\n\r\n" % target)
    asked = await backend.accept()
    assert await asked.head() == (b"GET %b HTTP/1.1\r\nHost: example.test:1\r\n%b\r\n" % (target, ADDED))
    await asked.send(OK)
    assert await browser.until(b"ok") == OK


async def test_headers_keep_their_bytes_case_order_and_repetition_both_ways(
    proxied: Proxied, backend: Listener
) -> None:
    browser = await proxied.browser()
    await browser.send(
        b"GET / HTTP/1.1\r\nhOsT: example.test:1\r\nx-B: 1\r\nX-a: \xe4\xff caf\xc3\xa9\r\n"
        b"X-b: 2\r\nCookie: a=1\r\nEmpty:\r\nCookie: b=2\r\n\r\n"
    )
    asked = await backend.accept()
    assert await asked.head() == (
        b"GET / HTTP/1.1\r\nhOsT: example.test:1\r\nx-B: 1\r\nX-a: \xe4\xff caf\xc3\xa9\r\n"
        b"X-b: 2\r\nCookie: a=1\r\nEmpty: \r\nCookie: b=2\r\n" + ADDED + b"\r\n"
    )
    answer = (
        b"HTTP/1.1 299 Sch\xf6n, \xff\r\nset-cookie: a=1\r\nX-z: \xe4\xff\r\n"
        b"Set-Cookie: b=2\r\nServer: BaseHTTP\r\nContent-Length: 0\r\n\r\n"
    )
    await asked.send(answer)
    assert await browser.head() == answer


async def test_nothing_is_added_to_an_answer_without_a_body(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 204 \r\n\r\n")
    assert await browser.head() == b"HTTP/1.1 204 \r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND"])
async def test_methods_the_parser_knows_go_on(proxied: Proxied, backend: Listener, method: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(method + b" /x HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    assert (await asked.head()).startswith(method + b" /x HTTP/1.1\r\n")


async def test_asterisk_form_goes_on(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    assert (await asked.head()).startswith(b"OPTIONS * HTTP/1.1\r\n")


async def test_head_answers_keep_the_length_they_state(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    for _ in range(2):
        await browser.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        asked = backend.accepted[0] if backend.accepted else await backend.accept()
        await asked.head()
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        assert await browser.head() == b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"


async def test_not_modified_keeps_its_length_and_validators(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b'GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: W/"1"\r\n\r\n')
    asked = await backend.accept()
    assert b'\r\nIf-None-Match: W/"1"\r\n' in await asked.head()
    answer = b'HTTP/1.1 304 Not Modified\r\nETag: W/"1"\r\nContent-Length: 99\r\n\r\n'
    await asked.send(answer)
    assert await browser.head() == answer
    await browser.send(b"GET /again HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await asked.head()).startswith(b"GET /again ")


async def test_ranges_pass(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\n\r\n")
    asked = await backend.accept()
    assert b"\r\nRange: bytes=1-2\r\n" in await asked.head()
    answer = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nbc"
    await asked.send(answer)
    assert await browser.until(b"bc") == answer


async def test_compressed_bodies_are_left_alone(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n")
    asked = await backend.accept()
    assert b"\r\nAccept-Encoding: gzip, br, zstd\r\n" in await asked.head()
    body = gzip.compress(b"x" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    await asked.send(head + body)
    assert await browser.take(len(head + body)) == head + body


async def test_compressed_request_bodies_are_left_alone(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    body = gzip.compress(b"x" * 1000)
    await browser.send(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    asked = await backend.accept()
    await asked.head()
    assert await asked.take(len(body)) == body


async def test_chunked_answers_stay_chunked_and_flow_at_once(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert await browser.head() == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert await browser.until(b"abc\r\n") == b"3\r\nabc\r\n"
    await asked.send(b"1\r\nd\r\n0\r\n\r\n")
    assert await browser.until(b"0\r\n\r\n") == b"1\r\nd\r\n0\r\n\r\n"


async def test_answers_that_end_with_their_connection_end_as_chunks(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert await browser.until(b"abc\r\n") == (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    asked.close()
    assert await browser.until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_a_browser_of_http_1_0_gets_no_chunks(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.0\r\n\r\n")
    asked = await backend.accept()
    host = b"Host: " + backend.url.removeprefix("http://").encode()
    assert host in await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert await browser.rest() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"


async def test_a_browser_of_http_1_0_may_keep_its_connection(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    await asked.send(OK)
    kept = OK.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    assert await browser.until(b"ok") == kept
    await browser.send(b"GET /2 HTTP/1.0\r\nHost: h\r\n\r\n")
    assert (await asked.head()).startswith(b"GET /2 ")


async def test_hop_by_hop_fields_end_here_both_ways(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(
        b"GET / HTTP/1.1\r\nHost: example.test:1\r\nConnection: keep-alive, X-Mine\r\n"
        b"Keep-Alive: 5\r\nX-Mine: 1\r\nTE: trailers\r\nX-Kept: 1\r\n\r\n"
    )
    asked = await backend.accept()
    assert await asked.head() == (b"GET / HTTP/1.1\r\nHost: example.test:1\r\nX-Kept: 1\r\n" + ADDED + b"\r\n")
    await asked.send(
        b"HTTP/1.1 200 OK\r\nConnection: X-Theirs, close\r\nX-Theirs: 1\r\nX-Kept: 1\r\n"
        b"Keep-Alive: timeout=5\r\nTrailer: X\r\nContent-Length: 0\r\n\r\n"
    )
    assert await browser.head() == b"HTTP/1.1 200 OK\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n"


async def test_chunked_uploads_stay_chunked(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    much = b"10000\r\n" + BEGUN + b"\r\n"
    await browser.send(b"POST / HTTP/1.1\r\nHost: example.test:1\r\nTransfer-Encoding: Chunked\r\n\r\n")
    await browser.send(much.replace(b"\r\n", b";x=y\r\n", 1))
    asked = await backend.accept()
    assert await asked.head() == (
        b"POST / HTTP/1.1\r\nHost: example.test:1\r\n"
        + ADDED
        + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    assert await asked.until(BEGUN + b"\r\n") == much
    await browser.send(b"1\r\nc\r\n0\r\n\r\n")
    assert await asked.until(b"0\r\n\r\n") == b"1\r\nc\r\n0\r\n\r\n"


async def test_expect_is_the_backends_to_answer(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    asked = await backend.accept()
    assert b"\r\nExpect: 100-continue\r\n" in await asked.head()
    await asked.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert await browser.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await browser.send(b"hi")
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.until(b"ok") == OK


async def test_interim_answers_go_on(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    await asked.send(hints + OK)
    assert await browser.until(b"ok") == hints + OK


async def test_a_connection_is_kept_alive_and_pipelining_works(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    assert (await asked.head()).startswith(b"GET /1 ")
    await asked.send(OK)
    assert (await asked.head()).startswith(b"GET /2 ")
    await asked.send(OK)
    assert await browser.take(2 * len(OK)) == OK + OK


async def test_a_browser_that_wants_to_close_is_closed(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    asked = await backend.accept()
    assert b"connection" not in (await asked.head()).lower()
    await asked.send(OK)
    assert await browser.rest() == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_forwarded_fields_of_a_trusted_proxy_are_kept(start: Start, backend: Listener) -> None:
    proxied = await start(trusted_proxies=(ip_network("127.0.0.0/8"),))
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n")
    head = await (await backend.accept()).head()
    assert b"\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n" in head
    assert b"\r\nX-Forwarded-Proto: https\r\n" in head
