"""Request lines and Host: what is asked for, of whom, has one reading for everybody (RFC 9112 section 3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.wire.messages import OK, SMUGGLED, answered, asked_with, get

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied

BAD = (400, "bad_request")
NOT_HERE = (501, "not_implemented")

LINES_REFUSED = {
    "a tab behind the method": (b"GET\t/ HTTP/1.1", BAD),
    "VT behind the method": (b"GET\x0b/ HTTP/1.1", BAD),
    "a space before the method": (b" GET / HTTP/1.1", BAD),
    "NUL in the method": (b"G\x00ET / HTTP/1.1", BAD),
    "DEL in the method": (b"G\x7fET / HTTP/1.1", BAD),
    "brackets in the method": (b"G(E)T / HTTP/1.1", BAD),
    "a colon behind the method": (b"GET: / HTTP/1.1", BAD),
    "a slash in the method": (b"G/T / HTTP/1.1", BAD),
    "a method in quotes": (b'"GET" / HTTP/1.1', BAD),
    "a method that is not ASCII": (b"G\xcbT / HTTP/1.1", BAD),
    "no method": (b" / HTTP/1.1", BAD),
    "no target": (b"GET  HTTP/1.1", BAD),
    "nothing but a method": (b"GET", BAD),
    "two targets": (b"GET / / HTTP/1.1", BAD),
    "nothing but a version": (b"HTTP/1.1", BAD),
    "a bare CR in the line": (b"GET /\r HTTP/1.1", BAD),
    "a field for a request line": (b"A: b", BAD),
    "a tab before the version": (b"GET /\tHTTP/1.1", BAD),
    "a space behind the version": (b"GET / HTTP/1.1 ", BAD),
    "more behind the version": (b"GET / HTTP/1.1 GET", BAD),
    "a space and no version": (b"GET / ", BAD),
    "a version in lower case": (b"GET / http/1.1", BAD),
    "a version without a slash": (b"GET / HTTP 1.1", BAD),
    "a version without a minor": (b"GET / HTTP/1", BAD),
    "a version that stops short": (b"GET / HTTP/1.", BAD),
    "a version of three digits": (b"GET / HTTP/1.10", BAD),
    "a version with a zero": (b"GET / HTTP/01.1", BAD),
    "a version with a sign": (b"GET / HTTP/+1.1", BAD),
    "HTTP/1.9": (b"GET / HTTP/1.9", BAD),
    "HTTP/3.0": (b"GET / HTTP/3.0", BAD),
    "another protocol": (b"GET / XHTTP/1.1", BAD),
    "the preface of HTTP/2 as a request": (b"PRI / HTTP/1.1", BAD),
    "RTSP for HTTP": (b"GET / RTSP/1.1", BAD),
    "a method of RTSP for RTSP": (b"PLAY / RTSP/1.0", BAD),
    "ICE for HTTP": (b"SOURCE / ICE/1.0", BAD),
    "no version": (b"GET /", (505, "version_not_supported")),
}


@pytest.mark.parametrize(("line", "told"), LINES_REFUSED.values(), ids=LINES_REFUSED)
async def test_a_malformed_request_line_is_refused(
    proxied: Proxied, backend: Listener, line: bytes, told: tuple[int, str]
) -> None:
    browser = await proxied.browser()
    await browser.send(get(line=line))
    assert await answered(browser) == told
    assert await backend.nobody_comes(0.01)


PUT_RIGHT = {
    "two spaces behind the method": get(line=b"GET  / HTTP/1.1"),
    "two spaces before the version": get(line=b"GET /  HTTP/1.1"),
    "an empty line in front": b"\r\n" + get(),
    "many empty lines in front": b"\r\n" * 1000 + get(),
    "a bare LF in front": b"\n" + get(),
    "a bare CR in front": b"\r" + get(),
}


@pytest.mark.parametrize("request_", PUT_RIGHT.values(), ids=PUT_RIGHT)
async def test_what_the_parser_tolerates_goes_on_in_its_strict_form(
    proxied: Proxied, backend: Listener, request_: bytes
) -> None:
    """RFC 9112 sections 2.2 and 3: a recipient may; a sender may not."""
    browser = await proxied.browser()
    await browser.send(request_)
    assert (await (await backend.accept()).head()).startswith(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: ")


METHODS = {
    "TRACE": b"TRACE",
    "a young one": b"QUERY",
    "of WebDAV": b"REPORT",
    "of UPnP": b"M-SEARCH",
    "of Icecast": b"SOURCE",
    "of RTSP": b"DESCRIBE",
    "of RTSP, with an underscore": b"GET_PARAMETER",
    "unknown": b"BREW",
    "half a known one": b"GE",
    "a known one and more": b"GETX",
    "in mixed case": b"GeT",
    "in lower case": b"get",
    "HEAD in lower case": b"head",
    "CONNECT in lower case": b"connect",
    "of one letter": b"X",
    "of digits": b"200",
    "of punctuation": b"X-Y!",
    "of every byte of a token": b"!#$%&'*+-.^_`|~09azAZ",
    "long": b"A" * 1000,
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_any_method_is_the_backends_to_judge(proxied: Proxied, backend: Listener, method: bytes) -> None:
    """RFC 9110 sections 9.1 and 16.1: any token may be one. By the case of each letter it is another one."""
    browser = await proxied.browser()
    await browser.send(get(line=method + b" /x?y HTTP/1.1"))
    asked = await backend.accept()
    assert (await asked.head()).startswith(method + b" /x?y HTTP/1.1\r\nHost: h\r\n")
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(SMUGGLED)
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")


@pytest.mark.parametrize("method", [b"BREW", b"get", b"DESCRIBE"])
async def test_a_method_that_nobody_knows_is_never_sent_twice(
    proxied: Proxied, backend: Listener, method: bytes
) -> None:
    """RFC 9110 section 9.2.2: nobody knows whether it is idempotent. So it gets a connection of its own (F8)."""
    browser, idle = await asked_with(proxied, backend)
    await idle.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(get(line=method + b" / HTTP/1.1"))
    asked = await backend.accept()
    assert b"\r\nConnection: close\r\n" in await asked.head()
    asked.close()
    assert (await browser.head()).startswith(b"HTTP/1.1 502 ")
    assert await backend.nobody_comes(0.05)


@pytest.mark.parametrize("cut", range(1, 16))
async def test_a_request_line_may_come_in_pieces(proxied: Proxied, backend: Listener, cut: int) -> None:
    """Where TCP cuts means nothing, and half a method is no method yet."""
    browser = await proxied.browser()
    request = get(line=b"BREW /x HTTP/1.1")
    await browser.send(request[:cut])
    await asyncio.sleep(0.01)
    await browser.send(request[cut:])
    assert (await (await backend.accept()).head()).startswith(b"BREW /x HTTP/1.1\r\n")


@pytest.mark.parametrize("target", [b"h:443", b"/", b"*", b"http://h/"])
async def test_connect_is_501_whatever_it_asks_for(proxied: Proxied, backend: Listener, target: bytes) -> None:
    """RFC 9110 section 9.3.6: the method is known here, and nothing is tunnelled."""
    browser = await proxied.browser()
    await browser.send(get(line=b"CONNECT %b HTTP/1.1" % target) + SMUGGLED)
    assert await answered(browser) == NOT_HERE
    assert await backend.nobody_comes(0.01)


TLS = {
    "whole": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    "its record's header": b"\x16\x03\x01\x02\x00",
    "its version": b"\x16\x03\x03",
}


@pytest.mark.parametrize("hello", TLS.values(), ids=TLS)
async def test_a_tls_handshake_is_told_at_once_that_nobody_here_speaks_it(
    proxied: Proxied, backend: Listener, hello: bytes
) -> None:
    """It has no line end, and is no reason to wait for one."""
    browser = await proxied.browser()
    await browser.send(hello)
    head, _, body = (await browser.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"TLS" in body
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize("byte", [b"\x00", b"\x01", b"\x16", b"\x80", b"\xff"])
async def test_what_can_begin_no_request_is_400_at_once(proxied: Proxied, backend: Listener, byte: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(byte + b"\x03\x01")
    assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


# -- Max-Forwards (RFC 9110 section 7.6.2) ---------------------------------------------------------


@pytest.mark.parametrize("target", [b"/x", b"*"])
async def test_options_that_may_go_no_further_are_answered_here(
    proxied: Proxied, backend: Listener, target: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(get(b"Max-Forwards: 0\r\n", b"OPTIONS %b HTTP/1.1" % target))
    head = await browser.head()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nAllow: GET, HEAD, " in head
    assert b"\r\nContent-Length: 0\r\n" in head
    assert await backend.nobody_comes(0.01)
    await browser.send(get())
    assert (await (await backend.accept()).head()).startswith(b"GET / ")


async def test_a_trace_that_may_go_no_further_shows_nobody_its_credentials(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(get(b"Max-Forwards: 0\r\nCookie: secret\r\n", b"TRACE / HTTP/1.1"))
    assert await answered(browser) == NOT_HERE
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
@pytest.mark.parametrize(("stated", "sent"), [(b"1", b"0"), (b"10", b"9"), (b"007", b"6")])
async def test_max_forwards_is_counted_down(
    proxied: Proxied, backend: Listener, method: bytes, stated: bytes, sent: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(get(b"max-forwards: %b\r\n" % stated, method + b" / HTTP/1.1"))
    assert b"\r\nmax-forwards: %b\r\n" % sent in await (await backend.accept()).head()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_max_forwards_means_nothing_for_other_methods(proxied: Proxied, backend: Listener, method: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(get(b"Max-Forwards: 0\r\n", method + b" / HTTP/1.1"))
    assert b"\r\nMax-Forwards: 0\r\n" in await (await backend.accept()).head()


@pytest.mark.parametrize(
    "field", [b"Max-Forwards: x\r\n", b"Max-Forwards: -1\r\n", b"Max-Forwards:\r\n", b"Max-Forwards: 0, 1\r\n"]
)
async def test_a_max_forwards_with_two_readings_is_refused(proxied: Proxied, backend: Listener, field: bytes) -> None:
    for fields in (field, b"Max-Forwards: 1\r\n" + field):
        browser = await proxied.browser()
        await browser.send(get(fields, b"OPTIONS / HTTP/1.1"))
        assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


TARGETS_REFUSED = {
    "nothing but a fragment": b"#f",
    "nothing but a query": b"?q",
    "a backslash": b"\\x",
    "a path without a slash": b"h/x",
    "an authority": b"h:80",
    "an asterisk for GET": b"*",
    "a scheme without an authority": b"http:/x",
    "a scheme and no more": b"http://",
    "an empty authority": b"http:///x",
    "a file": b"file:///etc/passwd",
    "no scheme": b"://h/x",
    "a scheme that begins with a digit": b"1http://h/x",
    "a scheme in percents": b"ht%74p://h/x",
    "a port that is no number": b"http://h:x/",
    "a port over 65535": b"http://h:65536/",
    "a bracket left open": b"http://[::1/x",
    "a backslash before an at": b"http://h\\@other/",
    "a fragment before an at": b"http://h#@other/x",
    "a space in the authority": b"http://h /x",
    "DEL": b"/\x7f",
    "VT": b"/a\x0bb",
    "NUL": b"/a\x00b",
    "ESC": b"/\x1b[2J",
    "a unit separator": b"/a\x1fb",
    "a tab": b"/a\tb",
    "what is a space to Python": b"/a\xa0b",
    "what is a space to Python, at the end": b"/api/chat/cancel?stream_id=a\xa0",
    "what is a line end to Python": b"/a\x85b",
    "what is a space to Python, in UTF-8": "/\N{LATIN SMALL LETTER A WITH GRAVE}".encode(),
    "a byte that is not ASCII in the authority": b"http://h\xff/",
    "an asterisk and a query": b"*?a",
}


@pytest.mark.parametrize("target", TARGETS_REFUSED.values(), ids=TARGETS_REFUSED)
async def test_a_malformed_target_is_400(proxied: Proxied, backend: Listener, target: bytes) -> None:
    """RFC 9112 section 3.2.

    Python's server cuts the request line at what is a space in Latin-1, which two bytes over 0x7f are: behind one of
    them Hermes would read less of a target than was judged here.
    """
    browser = await proxied.browser()
    await browser.send(get(line=b"GET %b HTTP/1.1" % target))
    assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize(
    "target", [b"/\xff", b"/\x80?\xfe", "/\N{EURO SIGN}?\N{EURO SIGN}".encode(), b"/\x9f\xa1"], ids=repr
)
async def test_bytes_that_are_not_ascii_go_on_as_they_are(proxied: Proxied, backend: Listener, target: bytes) -> None:
    """They are no URI (RFC 3986 section 2), and nobody reads them in two ways."""
    browser, asked = await asked_with(proxied, backend, get(line=b"BREW / HTTP/1.1"))
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(get(line=b"GET %b HTTP/1.1" % target))
    assert (await (await backend.accept()).head()).startswith(b"GET %b HTTP/1.1\r\nHost: h\r\n" % target)


async def test_every_byte_of_a_target_is_passed_or_refused_as_python_reads_it(
    proxied: Proxied, backend: Listener
) -> None:
    """Hermes splits the line by ``str.split`` of Latin-1."""
    for byte in range(256):
        line = b"GET /a%cb HTTP/1.1" % byte
        browser = await proxied.browser()
        await browser.send(get(line=line))
        if len(line.decode("latin-1").split()) == 3 and byte > 0x20 and byte != 0x7F:
            asked = await backend.accept()
            assert (await asked.head()).startswith(line + b"\r\n")
            asked.close()
        else:
            assert await answered(browser) == BAD
        browser.close()
    assert await backend.nobody_comes(0.01)


@pytest.mark.parametrize("target", [b"*/", b"*x"])
async def test_asterisk_form_is_an_asterisk(proxied: Proxied, backend: Listener, target: bytes) -> None:
    """RFC 9112 section 3.2.4."""
    browser = await proxied.browser()
    await browser.send(get(line=b"OPTIONS %b HTTP/1.1" % target))
    assert await answered(browser) == BAD


@pytest.mark.parametrize("method", [b"BREW", b"options", b"OPTIONSX", b"GET", b"POST"])
async def test_asterisk_form_is_for_options_only(proxied: Proxied, backend: Listener, method: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(get(line=method + b" * HTTP/1.1"))
    assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


# -- Host (RFC 9110 section 7.2, RFC 9112 section 3.2) --------------------------------------------

HOSTS = {
    "a name": b"example.test",
    "a name and a port": b"example.test:8788",
    "a name and no port": b"example.test:",
    "a port that nobody has": b"h:99999999",
    "an address": b"127.0.0.1:1",
    "an IPv6 address": b"[2001:db8::1]:1",
    "an IPv6 address with a zone": b"[fe80::1%25eth0]",
    "an address of the future": b"[v1.a:b]",
    "a trailing dot": b"h.",
    "an underscore": b"my_host",
    "percents": b"%68",
    "sub-delims": b"a!$&'()*+,;=~b",
    "nothing": b"",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_a_host_goes_on_as_it_is(proxied: Proxied, backend: Listener, host: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert (await (await backend.accept()).head()) == (
        b"GET / HTTP/1.1\r\nHost: %b\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: %b\r\n\r\n" % (host, host)
    )


HOSTS_REFUSED = {
    "two names": b"a b",
    "a tab": b"a\tb",
    "a user": b"user@h",
    "a user and a password": b"user:password@h",
    "a path": b"h/x",
    "a query": b"h?x",
    "a fragment": b"h#x",
    "a URL": b"http://h",
    "a backslash": b"h\\x",
    "a port that is no number": b"h:x",
    "a port with a sign": b"h:+80",
    "a port behind a space": b"h: 80",
    "two ports": b"h:80:80",
    "an IPv6 address without brackets": b"::1",
    "a bracket left open": b"[::1",
    "a bracket that nobody opened": b"::1]",
    "brackets around a name": b"[h]",
    "something behind brackets": b"[::1]x",
    "quotes": b'"h"',
    "angle brackets": b"<h>",
    "half a percent": b"h%4",
    "a byte that is not ASCII": b"h\xff",
    "UTF-8": b"\xc3\xa4",
}


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("host", HOSTS_REFUSED.values(), ids=HOSTS_REFUSED)
async def test_a_host_that_is_none_is_400(proxied: Proxied, backend: Listener, host: bytes, version: bytes) -> None:
    """Hermes compares Origin with it (F10), and X-Forwarded-Host repeats it."""
    browser = await proxied.browser()
    await browser.send(b"GET / %b\r\nHost: %b\r\n\r\n" % (version, host))
    assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


async def test_two_hosts_are_refused_in_http_1_0_too(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")
    assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


ABSOLUTE = {
    "the same host": (b"http://h/x?y", b"h", b"/x?y", b"h"),
    "another host": (b"http://other:81/x", b"h", b"/x", b"other:81"),
    "another spelling": (b"HTTP://Other", b"h", b"/", b"Other"),
    "an IPv6 address": (b"http://[::1]:81/x", b"h", b"/x", b"[::1]:81"),
    "an empty host": (b"http://other/x", b"", b"/x", b"other"),
    "a query for a path": (b"http://other?@h", b"h", b"/?@h", b"other"),
    "https": (b"https://other/x", b"h", b"/x", b"other"),
}


@pytest.mark.parametrize(("target", "host", "path", "meant"), ABSOLUTE.values(), ids=ABSOLUTE)
async def test_the_host_of_an_absolute_target_is_the_one(  # noqa: PLR0917 - pytest passes them by name
    proxied: Proxied, backend: Listener, target: bytes, host: bytes, path: bytes, meant: bytes
) -> None:
    """RFC 9112 section 3.2.2: the received Host is ignored, so that nobody is told two of them."""
    browser = await proxied.browser()
    await browser.send(b"GET %b HTTP/1.1\r\nA: b\r\nHost: %b\r\n\r\n" % (target, host))
    assert (await (await backend.accept()).head()) == (
        b"GET %b HTTP/1.1\r\nA: b\r\nHost: %b\r\nX-Forwarded-For: 127.0.0.1\r\n"
        b"X-Forwarded-Host: %b\r\n\r\n" % (path, meant, meant)
    )


async def test_an_absolute_target_of_http_1_0_needs_no_host(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"GET http://other/x HTTP/1.0\r\n\r\n")
    assert (await (await backend.accept()).head()).startswith(b"GET /x HTTP/1.1\r\nHost: other\r\n")


@pytest.mark.parametrize("target", [b"http://user@h/", b"http://user:password@h/", b"http://@h/"])
async def test_a_user_in_an_absolute_target_is_400(proxied: Proxied, backend: Listener, target: bytes) -> None:
    """RFC 9110 section 4.2.4: it is an error, likely to obscure whom the rest is for."""
    browser = await proxied.browser()
    await browser.send(get(line=b"GET %b HTTP/1.1" % target))
    assert await answered(browser) == BAD
    assert await backend.nobody_comes(0.01)


async def test_a_refused_request_line_says_so(proxied: Proxied) -> None:
    browser = await proxied.browser()
    await browser.send(get(line=b"GET / HTTP/1.1 GET"))
    assert b'"error": "The request line is malformed."' in await browser.rest()


async def test_many_requests_may_follow_a_tolerated_line(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend, b"\r\n" + get(line=b"GET  /1  HTTP/1.1"))
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(get(line=b"GET /2 HTTP/1.1"))
    assert (await asked.head()).startswith(b"GET /2 HTTP/1.1\r\n")
