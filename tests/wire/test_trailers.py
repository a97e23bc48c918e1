"""Trailer sections: what is said behind a body reaches the other end, unless it would be believed (RFC 9110 §6.5).

A recipient may merge trailers into the fields of the head, whoever checked only those. So what frames, routes, says who
asks or describes the content ends here.
"""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.response import reply
from proxy.http.forward import exchange
from proxy.http.identity import TRIED
from proxy.http.upstream.lanes import Lane
from tests.wire.messages import ADDED, BEGUN, CHUNKED, HOST, OK, SMUGGLED, answered, asked_with, get, post

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start

BY_CHUNKS = b"POST / HTTP/1.1\r\nHost: h\r\n" + ADDED + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
CODED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n"
MUCH = b"10000\r\n" + BEGUN + b"\r\n"

PASSED = {
    "none": (b"", b""),
    "one": (b"X-Trailer: 1\r\n", b"X-Trailer: 1\r\n"),
    "some, in their order": (b"B: 1\r\na: 2\r\nB: 3\r\n", b"B: 1\r\na: 2\r\nB: 3\r\n"),
    "space around a value": (b"A: \t b \t\r\n", b"A: b\r\n"),
    "no value": (b"A:\r\n", b"A: \r\n"),
    "bytes that are not ASCII": (b"A: \xa0\xff\x85\r\n", b"A: \xa0\xff\x85\r\n"),
    "every byte of a token": (b"!#$%&'*+-.^_`|~09azAZ: v\r\n", b"!#$%&'*+-.^_`|~09azAZ: v\r\n"),
    "a checksum": (b"Content-MD5: x\r\nDigest: a=b\r\n", b"Content-MD5: x\r\nDigest: a=b\r\n"),
    "timings": (b"Server-Timing: a;dur=1\r\nETag: x\r\n", b"Server-Timing: a;dur=1\r\nETag: x\r\n"),
    "of gRPC": (b"grpc-status: 0\r\ngrpc-message: \r\n", b"grpc-status: 0\r\ngrpc-message: \r\n"),
    "one that only begins like another": (
        b"Hostname: a\r\nAges: b\r\nIfx: c\r\n",
        b"Hostname: a\r\nAges: b\r\nIfx: c\r\n",
    ),
    "99 of them": (b"A: b\r\n" * 99, b"A: b\r\n" * 99),
}

FRAMING_AND_ROUTING = (
    *(b"Host", b"Connection", b"Keep-Alive", b"Proxy-Connection", b"TE", b"Trailer", b"Upgrade", b"Expect"),
    *(b"Max-Forwards", b"Cache-Control", b"Range", b"If", b"If-Match", b"If-None-Match", b"If-Modified-Since"),
    *(b"If-Unmodified-Since", b"If-Range", b"If-Anything-New"),
)
AUTHENTICATION = (
    *(b"Authorization", b"Proxy-Authorization", b"WWW-Authenticate", b"Proxy-Authenticate", b"Cookie", b"Set-Cookie"),
    *(b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto", b"X-Forwarded-Prefix"),
    *(b"X-Real-IP", b"X-Real-Host", b"X-Real-Anything"),
)
CONTENT = (b"Content-Type", b"Content-Encoding", b"Content-Range")
CONTROL = (b"Age", b"Date", b"Expires", b"Location", b"Retry-After", b"Vary")
DROPPED = (*FRAMING_AND_ROUTING, *AUTHENTICATION, *CONTENT, *CONTROL)
IDENTITY = tuple(name.encode() for name in TRIED)


def around(name: bytes) -> bytes:
    """A section in which fields that may pass stand around one that may not, however it is spelled."""
    return b"A: 1\r\n%b: x\r\nB: 2\r\n" % name.swapcase()


KEPT = b"0\r\nA: 1\r\nB: 2\r\n\r\n"

# -- of requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "got"), PASSED.values(), ids=PASSED)
async def test_trailers_of_a_request_go_on_behind_its_last_chunk(
    proxied: Proxied, backend: Listener, sent: bytes, got: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, HELLO + b"0\r\n" + sent + b"\r\n"))
    asked = await backend.accept()
    expected = BY_CHUNKS + HELLO + b"0\r\n" + got + b"\r\n"
    assert await asked.take(len(expected)) == expected
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert not asked.buffer


async def test_trailers_of_a_request_that_is_streamed_go_on_as_well(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, MUCH))
    asked = await backend.accept()
    assert await asked.until(BEGUN + b"\r\n") == BY_CHUNKS + MUCH
    await browser.send(b"0\r\nX-Trai")
    await browser.send(b"ler: 1\r\n")
    await browser.send(b"\r\n" + SMUGGLED)
    last = b"0\r\nX-Trailer: 1\r\n\r\n"
    assert await asked.take(len(last)) == last
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert await (await backend.accept()).head() == SMUGGLED[:-2] + ADDED + b"\r\n"


async def test_the_last_chunk_goes_on_with_its_trailers_and_not_before(proxied: Proxied, backend: Listener) -> None:
    """A request whose trailer section breaks off is not whole (RFC 9112 section 8)."""
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, MUCH + b"0\r\nX-Trailer: 1\r\n"))
    asked = await backend.accept()
    assert await asked.until(BEGUN + b"\r\n") == BY_CHUNKS + MUCH
    browser.close()
    assert await asked.rest() == b""


@pytest.mark.parametrize("name", [*DROPPED, *IDENTITY], ids=bytes.decode)
async def test_a_request_says_behind_its_body_nothing_that_would_be_believed(
    proxied: Proxied, backend: Listener, name: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, HELLO + b"0\r\n" + around(name) + b"\r\n"))
    asked = await backend.accept()
    expected = BY_CHUNKS + HELLO + KEPT
    assert await asked.take(len(expected)) == expected


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"X-Forwarded-Prefix", b"Remote-User", b"x_pomerium_claim_email"])
async def test_not_even_a_trusted_proxy_is_believed_behind_a_body(start: Start, backend: Listener, name: bytes) -> None:
    """Where it says such a thing is the head; what it passes on behind a body is the browser's."""
    proxied = await start(trusted_proxies=[ip_network("127.0.0.0/8")])
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, HELLO + b"0\r\n" + around(name) + b"\r\n"))
    asked = await backend.accept()
    assert await asked.until(b"B: 2\r\n\r\n") == BY_CHUNKS + HELLO + KEPT


async def test_identity_headers_of_the_settings_are_dropped_too(start: Start, backend: Listener) -> None:
    proxied = await start(identity_headers=frozenset({b"x-house"}))
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, HELLO + b"0\r\n" + around(b"X-House") + b"\r\n"))
    asked = await backend.accept()
    assert await asked.until(b"B: 2\r\n\r\n") == BY_CHUNKS + HELLO + KEPT


async def test_a_trailer_that_connection_names_ends_here(proxied: Proxied, backend: Listener) -> None:
    """RFC 9110 section 7.6.1: header and trailer fields of that name."""
    browser = await proxied.browser()
    await browser.send(post(CHUNKED + b"Connection: X-Mine\r\n", HELLO + b"0\r\n" + around(b"X-Mine") + b"\r\n"))
    asked = await backend.accept()
    assert await asked.until(b"B: 2\r\n\r\n") == BY_CHUNKS + HELLO + KEPT


async def test_trailer_says_to_the_backend_what_is_to_come(proxied: Proxied, backend: Listener) -> None:
    """RFC 9110 section 6.6.2: whoever reads it may make ready for them."""
    browser = await proxied.browser()
    await browser.send(post(CHUNKED + b"Trailer: X-A, X-B\r\n", HELLO + b"0\r\nX-A: 1\r\n\r\n"))
    asked = await backend.accept()
    assert b"\r\nTrailer: X-A, X-B\r\n" in await asked.head()
    assert await asked.until(b"X-A: 1\r\n\r\n") == HELLO + b"0\r\nX-A: 1\r\n\r\n"


@pytest.mark.parametrize("request_", [get(b"Trailer: X\r\n"), post(b"Trailer: X\r\nContent-Length: 2\r\n", b"hi")])
async def test_trailer_ends_here_where_none_can_come(proxied: Proxied, backend: Listener, request_: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(request_)
    assert b"railer" not in await (await backend.accept()).head()


async def held_and_sent(request: Request, upstream: Upstream) -> Response:
    body = await request.buffered(100)
    return reply(request, await exchange(upstream, request.head(), Lane.CALLS, body=body, limit=100, repeatable=False))


async def test_a_body_that_goes_on_by_its_length_has_no_trailers(start: Start, backend: Listener) -> None:
    """RFC 9110 section 6.5.1: there is no room for them."""
    proxied = await start(held_and_sent)
    browser = await proxied.browser()
    request = post(CHUNKED + b"Trailer: X-Trailer\r\n", HELLO + b"0\r\nX-Trailer: 1\r\n\r\n")
    await browser.send(request + SMUGGLED)
    asked = await backend.accept()
    head = await asked.head()
    assert b"\r\nContent-Length: 5\r\n" in head
    assert b"railer" not in head
    assert await asked.take(5) == b"hello"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert not asked.buffer
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled HTTP/1.1\r\n" + HOST)


REFUSED = {
    "a length": b"Content-Length: 5\r\n",
    "a coding": b"Transfer-Encoding: chunked\r\n",
    "no colon": b"nothing\r\n",
    "no name": b": a\r\n",
    "a space behind the name": b"A : b\r\n",
    "a bracket in the name": b"(A): b\r\n",
    "NUL in the value": b"A: b\x00c\r\n",
    "a bare CR": b"A: b\rC: d\r\n",
    "a bare LF": b"A: b\n",
    "a fold": b"A: b\r\n c\r\n",
    "too many": b"A: b\r\n" * 101,
    "one that is too long": b"A: " + b"b" * 65_536 + b"\r\n",
}
TOO_LONG = (b"A: " + b"b" * 60_000 + b"\r\n") * 5
"""Each within its limit, and all of them over 256 KiB."""


@pytest.mark.parametrize("trailer", REFUSED.values(), ids=REFUSED)
async def test_a_malformed_trailer_behind_much_is_400_and_breaks_off_as_the_backend_can_tell(
    proxied: Proxied, backend: Listener, trailer: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, MUCH))
    asked = await backend.accept()
    assert await asked.until(BEGUN + b"\r\n") == BY_CHUNKS + MUCH
    await browser.send(b"0\r\nX-Fine: 1\r\n" + trailer + b"\r\n" + SMUGGLED)
    assert await answered(browser) == (400, "bad_request")
    assert await asked.rest() == b""
    assert await backend.nobody_comes(0.01)


async def test_a_trailer_section_is_not_held_without_end(proxied: Proxied, backend: Listener) -> None:
    """P7."""
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, MUCH))
    asked = await backend.accept()
    assert await asked.until(BEGUN + b"\r\n") == BY_CHUNKS + MUCH
    with contextlib.suppress(ConnectionError):
        await browser.send(b"0\r\n" + TOO_LONG)
    assert await asked.rest() == b""
    assert (await browser.rest())[:13] in {b"HTTP/1.1 400 ", b""}


# -- of answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", ["one", "two"])
@pytest.mark.parametrize(("sent", "got"), PASSED.values(), ids=PASSED)
async def test_trailers_of_an_answer_go_on_behind_its_last_chunk(
    proxied: Proxied, backend: Listener, sent: bytes, got: bytes, segments: str
) -> None:
    browser, asked = await asked_with(proxied, backend)
    if segments == "two":
        await asked.send(CODED + HELLO)
        assert await browser.take(len(CODED + HELLO)) == CODED + HELLO
        await asked.send(b"0\r\n" + sent + b"\r\n")
    else:
        await asked.send(CODED + HELLO + b"0\r\n" + sent + b"\r\n")
        assert await browser.take(len(CODED + HELLO)) == CODED + HELLO
    last = b"0\r\n" + got + b"\r\n"
    assert await browser.take(len(last)) == last
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")
    assert not browser.buffer


@pytest.mark.parametrize("name", [*DROPPED, b"Remote-User", b"X-Auth-Request-Email"], ids=bytes.decode)
async def test_an_answer_says_behind_its_body_nothing_that_would_be_believed(
    proxied: Proxied, backend: Listener, name: bytes
) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(CODED + HELLO + b"0\r\n" + around(name) + b"\r\n")
    expected = CODED + HELLO + KEPT
    assert await browser.take(len(expected)) == expected


async def test_a_trailer_that_an_answers_connection_names_ends_here(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend)
    head = b"HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nTransfer-Encoding: chunked\r\n\r\n"
    await asked.send(head + HELLO + b"0\r\n" + around(b"X-Theirs") + b"\r\n")
    expected = CODED + HELLO + KEPT
    assert await browser.take(len(expected)) == expected


TRAILER = b"HTTP/1.1 200 OK\r\nTrailer: X-Trailer\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_trailer_says_to_the_browser_what_is_to_come(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(TRAILER + HELLO + b"0\r\nX-Trailer: 1\r\n\r\n")
    head = await browser.head()
    assert b"\r\nTrailer: X-Trailer\r\n" in head
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert await browser.until(b"X-Trailer: 1\r\n\r\n") == HELLO + b"0\r\nX-Trailer: 1\r\n\r\n"


async def test_a_browser_of_http_1_0_gets_no_trailers(proxied: Proxied, backend: Listener) -> None:
    """It knows no chunks, so there is nothing to put them behind."""
    browser, asked = await asked_with(proxied, backend, get(line=b"GET / HTTP/1.0"))
    await asked.send(TRAILER + HELLO + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert await browser.rest() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"


async def test_a_browser_that_closes_gets_them_all_the_same(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend, get(b"Connection: close\r\n"))
    await asked.send(CODED + HELLO + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert (await browser.rest()).endswith(b"\r\n\r\n" + HELLO + b"0\r\nX-Trailer: 1\r\n\r\n")


async def held_and_told(request: Request, upstream: Upstream) -> Response:
    held = await exchange(upstream, request.head(), Lane.CALLS, limit=100, repeatable=True)
    return reply(request, held.with_body(b"another"))


async def test_an_answer_that_goes_on_by_its_length_has_no_trailers(start: Start, backend: Listener) -> None:
    proxied = await start(held_and_told)
    browser, asked = await asked_with(proxied, backend)
    await asked.send(TRAILER + HELLO + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert await browser.until(b"another") == b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother"
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")
    assert not browser.buffer


TOLERATED = ("a space behind the name", "a bare LF", "a fold")
BROKEN = {**REFUSED, "too many": b"A: b\r\n" * 300, "all too long": TOO_LONG}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_malformed_trailer_of_an_answer_is_never_passed(proxied: Proxied, backend: Listener, name: str) -> None:
    """The answer breaks off, or what has one reading goes on in its strict form: answers are read as leniently."""
    browser, asked = await asked_with(proxied, backend, get(b"Connection: close\r\n"))
    await asked.send(CODED + HELLO)
    await browser.until(HELLO)
    with contextlib.suppress(ConnectionError):
        await asked.send(b"0\r\nX-Fine: 1\r\n" + BROKEN[name] + b"\r\n" + OK)
    asked.close()
    rest = await browser.rest()
    assert b"HTTP/1.1" not in rest
    assert rest == b"" or name in TOLERATED
    assert all(part not in rest for part in (b"A :", b"\n ", b"b\n"))


async def test_nothing_of_a_trailer_is_in_the_next_answer(proxied: Proxied, backend: Listener) -> None:
    """aiohttp's parser would hand the last field on."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(CODED + HELLO + b"0\r\nX-Trailer: 1\r\nSet-Cookie: a=b\r\n\r\n")
    await browser.until(b"X-Trailer: 1\r\n\r\n")
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
