"""What a backend may answer, and must not: the browser gets all of an answer, or can tell that it did not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from proxy.http.upstream.lanes import Lane
from tests.wire.messages import BEGUN, OK, answered, asked_with, get, post

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start

LINE = b"HTTP/1.1 200 OK\r\n"
CODED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"
FORGED = LINE + b"Content-Length: 6\r\n\r\nforged"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
BROKEN = (502, "backend_broken")


async def next_one_is_served_afresh(proxied: Proxied, backend: Listener) -> None:
    """Nothing of what came before is given to the next browser, and every slot has been given back."""
    assert proxied.upstream.lanes.in_use(Lane.CALLS) == 0
    browser, asked = await asked_with(proxied, backend, get(line=b"GET /next HTTP/1.1"))
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


# -- an answer and more (RFC 9112 sections 6.3 and 9.2) -------------------------------------------

STRAY = {
    "a length that is too short": (b"GET", LINE + b"Content-Length: 2\r\n\r\n", b"okSTRAY", b"ok"),
    "another answer": (b"GET", LINE + b"Content-Length: 2\r\n\r\n", b"ok" + FORGED, b"ok"),
    "half another answer": (b"GET", LINE + b"Content-Length: 2\r\n\r\n", b"ok" + FORGED[:20], b"ok"),
    "something behind the last chunk": (b"GET", CODED, b"2\r\nok\r\n0\r\n\r\nSTRAY", b"2\r\nok\r\n0\r\n\r\n"),
    "a body for HEAD": (b"HEAD", LINE + b"Content-Length: 2\r\n\r\n", b"ok", b""),
    "an answer as the body for HEAD": (b"HEAD", LINE + b"Content-Length: 64\r\n\r\n", FORGED, b""),
    "a 204 with a body": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"ok", b""),
    "a 304 with a body": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"ok", b""),
    "a 304 and another answer": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 64\r\n\r\n", FORGED, b""),
}


@pytest.mark.parametrize("segments", ["one", "two"])
@pytest.mark.parametrize(("method", "head", "behind", "body"), STRAY.values(), ids=STRAY)
async def test_an_answer_is_whole_and_what_is_behind_it_is_nobodys(  # noqa: PLR0917 - pytest passes them by name
    proxied: Proxied, backend: Listener, method: bytes, head: bytes, behind: bytes, body: bytes, segments: str
) -> None:
    """Extra bytes are never another browser's answer, and never cost this one its own (response queue poisoning)."""
    browser, asked = await asked_with(proxied, backend, get(line=method + b" / HTTP/1.1"))
    await asked.send(head + behind if segments == "one" else head)
    assert await browser.take(len(head)) == head
    if segments == "two":
        await asked.send(behind)
    assert await browser.take(len(body)) == body
    await next_one_is_served_afresh(proxied, backend)
    assert not browser.buffer
    assert await asked.rest() == b""


UNASKED = {
    "an answer": FORGED,
    "half an answer": FORGED[:20],
    "one byte of an answer": b"H",
    "no answer": b"STRAY",
    "a request": get(),
    "a timeout": b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("said", UNASKED.values(), ids=UNASKED)
async def test_an_idle_connection_that_says_anything_is_not_used_again(
    proxied: Proxied, backend: Listener, said: bytes
) -> None:
    """RFC 9112 section 9.2: what was not asked for is not an answer."""
    browser, idle = await asked_with(proxied, backend)
    await idle.send(OK)
    assert await browser.take(len(OK)) == OK
    await idle.send(said)
    for _ in range(5):
        await asyncio.sleep(0)  # and the proxy has its turn
    await next_one_is_served_afresh(proxied, backend)
    assert await idle.rest() == b""


# -- heads (RFC 9112 sections 4 and 5) ------------------------------------------------------------

REFUSED_LINES = {
    "nothing like HTTP": b"<html>\r\n",
    "HTTP/0.9": b"hello\r\n",
    "no version": b"200 OK\r\n",
    "another protocol": b"ICY 200 OK\r\n",
    "a version in lower case": b"http/1.1 200 OK\r\n",
    "HTTP/0.9 by name": b"HTTP/0.9 200 OK\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\n",
    "no digits": b"HTTP/1.1 2x0 OK\r\n",
    "a sign": b"HTTP/1.1 -20 OK\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\n",
    "status 99": b"HTTP/1.1 099 OK\r\n",
    "no space before the reason": b"HTTP/1.1 200OK\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\n",
    "tabs": b"HTTP/1.1\t200\tOK\r\n",
    "a space in front": b" HTTP/1.1 200 OK\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\x00K\r\n",
    "a bare CR in the reason": b"HTTP/1.1 200 O\rK\r\n",
}


@pytest.mark.parametrize("line", REFUSED_LINES.values(), ids=REFUSED_LINES)
async def test_a_malformed_status_line_is_502_at_once(proxied: Proxied, backend: Listener, line: bytes) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(line + b"Content-Length: 2\r\n\r\nok")
    assert await answered(browser) == BROKEN
    await next_one_is_served_afresh(proxied, backend)


REFUSED_FIELDS = {
    "no name": b": a\r\n",
    "no colon": b"A\r\n",
    "a space in the name": b"A B: c\r\n",
    "a bracket in the name": b"(A): b\r\n",
    "NUL in the name": b"A\x00: b\r\n",
    "a name that is not ASCII": b"\xc3\xa4: b\r\n",
    "a tab before the colon": b"Content-Length\t: 2\r\n",
    "NUL in the value": b"A: b\x00c\r\n",
    "a bare CR in the value": b"A: b\rC: d\r\n",
    "CR CR LF": b"A: b\r\r\nC: d\r\n",
    "a name that is too long": b"A" * 65_537 + b": b\r\n",
    "a value that is too long": b"A: " + b"b" * 65_536 + b"\r\n",
    "too many": b"A: b\r\n" * 256,
}


@pytest.mark.parametrize("field", REFUSED_FIELDS.values(), ids=REFUSED_FIELDS)
async def test_a_malformed_field_is_502(proxied: Proxied, backend: Listener, field: bytes) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(LINE + field + b"Content-Length: 2\r\n\r\nok")
    assert await answered(browser) == BROKEN
    await next_one_is_served_afresh(proxied, backend)


PUT_RIGHT = {
    "empty lines in front": (b"\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"),
    "no reason": (b"HTTP/1.1 200\r\nA: b\r\n", b"HTTP/1.1 200 \r\nA: b\r\n"),
    "a status nobody knows": (b"HTTP/1.1 999 Odd\r\nA: b\r\n", b"HTTP/1.1 999 Odd\r\nA: b\r\n"),
    "line ends of LF": (b"HTTP/1.1 200 OK\nA: b\nC: d\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n"),
    "a fold": (b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n", b"HTTP/1.1 200 OK\r\nA: b  c\r\n"),
    "spaces around a value": (b"HTTP/1.1 200 OK\r\nA:\t b \t\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"),
    "bytes that are not UTF-8": (b"HTTP/1.1 200 \xff\r\nA: \xe4\xff\r\n", b"HTTP/1.1 200 \xff\r\nA: \xe4\xff\r\n"),
    "the same field twice": (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nServer: x\r\nServer: y\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nServer: x\r\nServer: y\r\n",
    ),
    "fields that Connection names": (
        b"HTTP/1.1 200 OK\r\nConnection: A, content-length\r\nA: b\r\nUpgrade: h2c\r\nC: d\r\n",
        b"HTTP/1.1 200 OK\r\nC: d\r\n",
    ),
}


@pytest.mark.parametrize(("sent", "got"), PUT_RIGHT.values(), ids=PUT_RIGHT)
async def test_a_head_with_one_reading_goes_on_in_its_strict_form(
    proxied: Proxied, backend: Listener, sent: bytes, got: bytes
) -> None:
    """RFC 9112 sections 2.2 and 5.2: what a recipient may tolerate, a proxy does not pass on."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(sent + b"Content-Length: 2\r\n\r\nok")
    expected = got + b"Content-Length: 2\r\n\r\nok"
    assert await browser.take(len(expected)) == expected


CHUNKS_OF_OK = b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
SPACED = {
    "a length": (b"Content-Length : 2\r\n\r\nok", b"Content-Length: 2\r\n\r\nok"),
    "a coding": (b"Transfer-Encoding : chunked" + CHUNKS_OF_OK, b"Transfer-Encoding: chunked" + CHUNKS_OF_OK),
    "options": (b"Connection : A, keep-alive\r\nA: b\r\nContent-Length: 2\r\n\r\nok", b"Content-Length: 2\r\n\r\nok"),
    "the first field": (b" Content-Length: 2\r\n\r\nok", b"Content-Length: 2\r\n\r\nok"),
}


@pytest.mark.parametrize(("sent", "got"), SPACED.values(), ids=SPACED)
async def test_space_around_a_name_does_not_hide_the_field(
    proxied: Proxied, backend: Listener, sent: bytes, got: bytes
) -> None:
    """RFC 9112 section 5.1: a proxy removes it; the parser reads such a field as if it had none."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(LINE + sent)
    assert await browser.take(len(LINE + got)) == LINE + got
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")
    assert not browser.buffer


# -- framing (RFC 9112 section 6) -----------------------------------------------------------------

REFUSED_FRAMINGS = {
    "length then coding": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding then length": b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "the same length twice": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": b"Content-Length: 2, 2\r\n\r\nok",
    "a length that may be octal": b"Content-Length: 02\r\n\r\nok",
    "an empty length": b"Content-Length:\r\n\r\nok",
    "a signed length": b"Content-Length: +2\r\n\r\nok",
    "a negative length": b"Content-Length: -2\r\n\r\nok",
    "a hexadecimal length": b"Content-Length: 0x2\r\n\r\nok",
    "a length of 2**63": b"Content-Length: 9223372036854775808\r\n\r\nok",
    "a length of 2**64-1": b"Content-Length: 18446744073709551615\r\n\r\nok",
    "a length of 2**64": b"Content-Length: 18446744073709551616\r\n\r\nok",
    "gzip": b"Transfer-Encoding: gzip\r\n\r\nok",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "gzip then chunked": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "identity": b"Transfer-Encoding: identity\r\n\r\nok",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\nok",
    "an empty coding": b"Transfer-Encoding:\r\n\r\nok",
    "a coding behind VT": b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("rest", REFUSED_FRAMINGS.values(), ids=REFUSED_FRAMINGS)
async def test_an_answer_whose_end_nobody_can_tell_is_502(proxied: Proxied, backend: Listener, rest: bytes) -> None:
    """A coding that is dropped with its hop would leave the browser a body it cannot read."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(LINE + rest)
    assert await answered(browser) == BROKEN
    await next_one_is_served_afresh(proxied, backend)


async def test_a_coding_in_http_1_0_is_502(proxied: Proxied, backend: Listener) -> None:
    """RFC 9112 section 6.1: its framing is faulty."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked" + CHUNKS_OF_OK)
    assert await answered(browser) == BROKEN
    await next_one_is_served_afresh(proxied, backend)


CHUNKS = {
    "leading zeros": (b"0002\r\nok\r\n", b"2\r\nok\r\n"),
    "an extension": (b'2;a="b;c"\r\nok\r\n', b"2\r\nok\r\n"),
    "space behind the size": (b"2 \t\r\nok\r\n", b"2\r\nok\r\n"),
    "LF behind the data": (b"2\r\nok\n", b"2\r\nok\r\n"),
}


@pytest.mark.parametrize(("sent", "got"), CHUNKS.values(), ids=CHUNKS)
async def test_chunks_go_on_in_their_plain_form(proxied: Proxied, backend: Listener, sent: bytes, got: bytes) -> None:
    """RFC 9112 section 7.1: extensions are the hop's."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(CODED + sent + b"0;last\r\nX-Trailer: 1\r\nSet-Cookie: a=1\r\n\r\n")
    expected = CODED + got + b"0\r\nX-Trailer: 1\r\n\r\n"
    assert await browser.take(len(expected)) == expected
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")


REFUSED_CHUNKS = {
    "a prefix": b"0x2\r\nok\r\n",
    "a sign": b"+2\r\nok\r\n",
    "a negative size": b"-2\r\nok\r\n",
    "an underscore": b"0_2\r\nok\r\n",
    "a size that nobody can count": b"10000000000000002\r\nok\r\n",
    "no size": b"\r\nok\r\n",
    "space before the size": b" 2\r\nok\r\n",
    "a bare LF behind the size": b"2\nok\r\n",
    "a bare CR behind the size": b"2\rok\r\n",
    "a bare LF in an extension": b'2;a="\n"\r\nok\r\n',
    "NUL in an extension": b"2;\x00\r\nok\r\n",
    "data that is longer than its size": b"2\r\noky\r\n",
    "no line end behind the data": b"2\r\nok0\r\n",
}


@pytest.mark.parametrize("chunk", REFUSED_CHUNKS.values(), ids=REFUSED_CHUNKS)
async def test_a_malformed_chunk_is_an_answer_broken_off(proxied: Proxied, backend: Listener, chunk: bytes) -> None:
    """It comes behind a whole one, so the browser has its head already and can only be cut off."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(CODED + b"3\r\nabc\r\n")
    assert await browser.take(len(CODED) + 8) == CODED + b"3\r\nabc\r\n"
    await asked.send(chunk + b"0\r\n\r\n")
    assert b"0\r\n\r\n" not in await browser.rest()
    await next_one_is_served_afresh(proxied, backend)


REFUSED_TRAILERS = {
    "no field": b"nothing\r\n",
    "a length": b"Content-Length: 9\r\n",
    "a bare CR": b"A: b\rC: d\r\n",
    "one that is too long": b"A: " + b"b" * 65_536 + b"\r\n",
}


@pytest.mark.parametrize("trailer", REFUSED_TRAILERS.values(), ids=REFUSED_TRAILERS)
async def test_a_malformed_trailer_is_an_answer_broken_off(proxied: Proxied, backend: Listener, trailer: bytes) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(CODED + b"2\r\nok\r\n")
    assert await browser.take(len(CODED) + 7) == CODED + b"2\r\nok\r\n"
    await asked.send(b"0\r\n" + trailer + b"\r\n")
    assert await browser.rest() == b""
    await next_one_is_served_afresh(proxied, backend)


async def test_a_204_states_no_length(proxied: Proxied, backend: Listener) -> None:
    """RFC 9110 section 8.6: a proxy in front that believed it would take the next answer for the body."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nA: b\r\n\r\n")
    assert await browser.head() == b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")


# -- interim answers (RFC 9110 section 15.2; test_interim.py has the rest) -------------------------


async def test_interim_answers_are_no_answer(start: Start, backend: Listener) -> None:
    """They go on, and do not put off the limit for the head of a real one (P7)."""
    proxied = await start(upstream={"response_timeout": 0.2})
    browser, asked = await asked_with(proxied, backend)
    ending = asyncio.create_task(asked.rest())
    while not ending.done():
        with contextlib.suppress(OSError):
            await asked.send(PROCESSING)
        await asyncio.sleep(0.02)
    while await browser.peek(len(PROCESSING)) == PROCESSING:
        await browser.take(len(PROCESSING))
    assert await answered(browser) == (504, "backend_too_slow")


# -- how long a connection lives (RFC 9112 section 9.3) -------------------------------------------

PERSISTENCE = {
    "HTTP/1.1": (OK, True),
    "HTTP/1.1 that closes": (OK.replace(b"\r\n\r\n", b"\r\nConnection: x, Close\r\n\r\n"), False),
    "HTTP/1.0": (OK.replace(b"1.1", b"1.0"), False),
    "HTTP/1.0 kept alive": (
        OK.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"),
        True,
    ),
}


@pytest.mark.parametrize(("answer", "kept"), PERSISTENCE.values(), ids=PERSISTENCE)
async def test_a_backend_says_whether_its_connection_is_used_again(
    proxied: Proxied,
    backend: Listener,
    answer: bytes,
    kept: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(answer)
    assert await browser.take(len(OK)) == OK
    await browser.send(get(line=b"GET /next HTTP/1.1"))
    following = asked if kept else await backend.accept()
    assert (await following.head()).startswith(b"GET /next ")


async def test_a_body_without_framing_ends_with_its_connection(proxied: Proxied, backend: Listener) -> None:
    """RFC 9112 section 6.3: also behind a Connection field that promises to stay."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(LINE + b"Connection: keep-alive\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    body = b"13\r\nHTTP/1.1 200 OK\r\n\r\n\r\n"
    assert await browser.take(len(CODED) + len(body)) == CODED + body
    asked.close()
    assert await browser.take(5) == b"0\r\n\r\n"
    await browser.send(get())
    assert (await (await backend.accept()).head()).startswith(b"GET / ")


# -- answers before their time (RFC 9112 section 9.5) ---------------------------------------------

EARLY = {
    "a success": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a refusal": b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
    "nothing to say": b"HTTP/1.1 204 No Content\r\n\r\n",
    "another way": b"HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("framing", [b"Content-Length: 65541\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("answer", EARLY.values(), ids=EARLY)
async def test_an_answer_that_is_whole_before_its_request_ends_both_connections(
    proxied: Proxied, backend: Listener, answer: bytes, framing: bytes
) -> None:
    """What is left of the body is nobody's next request, on neither of them (F8)."""
    browser = await proxied.browser()
    await browser.send(post(framing, b"10000\r\n" + BEGUN + b"\r\n" if b"chunked" in framing else BEGUN))
    asked = await backend.accept()
    await asked.until(BEGUN)
    await asked.send(answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    expected = head + b"\r\nConnection: close\r\n\r\n" + body
    assert await browser.take(len(expected)) == expected
    await asked.rest()
    await browser.send(b"0\r\n\r\n" + get() if b"chunked" in framing else b"efghi" + get())
    assert await browser.rest() == b""
    await next_one_is_served_afresh(proxied, backend)
