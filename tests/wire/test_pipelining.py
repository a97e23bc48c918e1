"""Several requests on one connection: each is answered for itself, and nothing of one is taken for another's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.http.settling import settle
from tests.wire.messages import ADDED, BEGUN, CHUNKED, HOST, OK, SMUGGLED, asked_with, get, post

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start, Wire

LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def send(browser: Wire, segments: str, *requests: bytes) -> None:
    """Send them in one segment, or each in its own, read before the next one comes."""
    for segment in [b"".join(requests)] if segments == "one" else requests:
        await browser.send(segment)
        for _ in range(5):
            await asyncio.sleep(0)  # and the proxy has its turn


SEGMENTS = pytest.mark.parametrize("segments", ["one", "many"])


@SEGMENTS
async def test_a_trailer_is_never_a_field_of_the_next_request(
    proxied: Proxied, backend: Listener, segments: str
) -> None:
    """RFC 9110 section 6.5: a trailer section belongs to its own message.

    aiohttp's parser hands its last field to the request behind it, which may be somebody else's where a proxy in front
    shares its connections.
    """
    browser = await proxied.browser()
    await send(browser, segments, post(CHUNKED, b"0\r\nX-Mine: 1\r\nCookie: mine\r\n\r\n"), SMUGGLED)
    asked = await backend.accept()
    assert (await asked.head()).startswith(b"POST / ")
    assert (await asked.until(b"\r\n\r\n")).startswith(b"0\r\n")
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert await (await backend.accept()).head() == SMUGGLED[:-2] + ADDED + b"\r\n"


CODED = {
    "nothing": b"0\r\n\r\n",
    "a chunk": b"5\r\nhello\r\n0\r\n\r\n",
    "chunks": b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n",
    "a request in a chunk": b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    "a trailer": b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "much": b"10000\r\n" + BEGUN + b"\r\n10000\r\n" + BEGUN + b"\r\n0\r\n\r\n",
}


@SEGMENTS
@pytest.mark.parametrize("body", CODED.values(), ids=CODED)
async def test_a_connection_survives_its_chunked_requests(
    proxied: Proxied, backend: Listener, body: bytes, segments: str
) -> None:
    """RFC 9112 section 9.3: the end of such a body is as certain as that of any other."""
    browser = await proxied.browser()
    async with asyncio.TaskGroup() as sending:
        requests = *[post(CHUNKED, body)] * 3, get(line=b"GET /4 HTTP/1.1")
        sending.create_task(send(browser, segments, *requests))
        for _ in range(3):
            asked = await backend.accept()
            assert (await asked.until(b"\r\n0\r\n")).startswith(b"POST / ")
            await asked.send(OK)
            assert await browser.take(len(OK)) == OK
        assert (await (await backend.accept()).head()).startswith(b"GET /4 HTTP/1.1\r\n")


async def test_a_chunked_request_may_be_cut_anywhere(proxied: Proxied, backend: Listener) -> None:
    request = post(CHUNKED, b"5;a\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n") + SMUGGLED
    for cut in range(len(request) - len(SMUGGLED) - 40, len(request) - len(SMUGGLED) + 4):
        browser = await proxied.browser()
        await send(browser, "many", request[:cut], request[cut:])
        asked = await backend.accept()
        assert (await asked.until(b"\r\n0\r\n")).endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n")
        await asked.send(OK)
        assert await browser.take(len(OK)) == OK
        following = await backend.accept()
        assert await following.head() == SMUGGLED[:-2] + ADDED + b"\r\n"
        following.close()
        browser.close()


REFUSED = {
    "a method that is none": (get(line=b"B(REW /2 HTTP/1.1"), b"400"),
    "a method that is not for here": (get(line=b"CONNECT h:2 HTTP/1.1"), b"501"),
    "no request at all": (b"\x16\x03\x01\r\n\r\n", b"400"),
    "a length that is none": (post(b"Content-Length: x\r\n"), b"400"),
    "a coding and a length": (post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), b"400"),
    "an unknown coding": (post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), b"501"),
    "a fold": (get(b"A: b\r\n c\r\n"), b"400"),
    "no host": (b"GET /2 HTTP/1.1\r\n\r\n", b"400"),
    "too many headers": (get(b"A: b\r\n" * 100), b"431"),
}


@SEGMENTS
@pytest.mark.parametrize(("refused", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_request_is_answered_in_its_turn_and_nothing_behind_it_is_read(
    proxied: Proxied, backend: Listener, refused: bytes, status: bytes, segments: str
) -> None:
    """RFC 9112 section 9.3.2: answers come in the order of the requests, however these were cut into segments."""
    browser = await proxied.browser()
    await send(browser, segments, *(get(line=b"GET /%d HTTP/1.1" % number) for number in range(2)), refused, SMUGGLED)
    asked = await backend.accept()
    for number in range(2):
        assert (await asked.head()).startswith(b"GET /%d " % number)
        await asked.send(OK)
        assert await browser.take(len(OK)) == OK
    assert (await browser.head()).startswith(b"HTTP/1.1 %b " % status)
    assert b"HTTP/1.1" not in await browser.rest()
    assert await backend.nobody_comes(0.01)
    assert not asked.buffer


@SEGMENTS
async def test_a_body_that_is_whole_is_carried_out_whatever_is_behind_it(
    proxied: Proxied, backend: Listener, segments: str
) -> None:
    browser = await proxied.browser()
    await send(browser, segments, post(b"Content-Length: 5\r\n", b"hello"), b"GARBAGE\x01\r\n\r\n")
    asked = await backend.accept()
    assert (await asked.until(b"hello")).startswith(b"POST / ")
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await browser.head()).startswith(b"HTTP/1.1 400 ")


CLOSING = {
    "close": get(b"Connection: close\r\n"),
    "close among others": get(b"Connection: keep-alive, x, CLOSE\r\n"),
    "HTTP/1.0": get(line=b"GET / HTTP/1.0"),
    "a chunked request that closes": post(CHUNKED + b"Connection: close\r\n", b"0\r\n\r\n"),
}


@SEGMENTS
@pytest.mark.parametrize("request_", CLOSING.values(), ids=CLOSING)
async def test_nothing_is_read_behind_the_last_request(
    proxied: Proxied, backend: Listener, request_: bytes, segments: str
) -> None:
    """RFC 9112 section 9.6: no request is processed behind one that closes the connection."""
    browser = await proxied.browser()
    await send(browser, segments, request_, SMUGGLED)
    asked = await backend.accept()
    assert b"smuggled" not in await asked.head()
    await asked.send(OK)
    assert await browser.rest() == LAST
    assert bytes(asked.buffer) in {b"", b"0\r\n\r\n"}
    assert await backend.nobody_comes(0.01)


async def test_empty_lines_between_requests_are_ignored(proxied: Proxied, backend: Listener) -> None:
    """RFC 9112 section 2.2: some clients send a line end behind a body."""
    browser, asked = await asked_with(proxied, backend, b"\r\n" + post(b"Content-Length: 2\r\n", b"hi\r\n"))
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(b"\r\n" + SMUGGLED)
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled HTTP/1.1\r\n" + HOST)


PAGE = bytes(50_000)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + PAGE


async def serve(backend: Listener, answered: list[bytes]) -> None:
    """Answers whatever comes, on as many connections as there are."""
    async with asyncio.TaskGroup() as connections:
        while True:
            connections.create_task(serve_one(await backend.accept(60), answered))


async def serve_one(asked: Wire, answered: list[bytes]) -> None:
    while True:
        answered.append(await asked.head())
        await asked.send(ANSWER)


async def settled(answered: list[bytes]) -> int:
    """How many are answered once nothing more is for a while."""
    count = -1
    while len(answered) > count:
        count = len(answered)
        await asyncio.sleep(0.3)
    return count


async def test_who_takes_no_answers_is_read_and_answered_no_further(proxied: Proxied, backend: Listener) -> None:
    """P7: each answer is small, and together they have no end."""
    answered: list[bytes] = []
    serving = asyncio.create_task(serve(backend, answered))
    browser = await proxied.browser(receive_buffer=4096)
    sending = asyncio.create_task(browser.send(get() * 500_000))
    try:
        count = await settled(answered)
        (connection,) = proxied.server.connections
        assert connection.writer.transport is not None
        assert connection.writer.transport.get_write_buffer_size() < 64 * 1024 + 2 * len(ANSWER)
        assert not sending.done()
        for _ in range(count + 20):
            assert await browser.take(len(ANSWER)) == ANSWER
    finally:
        await settle(sending, serving)


async def test_who_takes_no_answers_for_long_is_dropped(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.3)
    answered: list[bytes] = []
    serving = asyncio.create_task(serve(backend, answered))
    browser = await proxied.browser(receive_buffer=4096)
    sending = asyncio.create_task(browser.send(get() * 50_000))
    try:
        await settled(answered)
        async with asyncio.timeout(5):
            while proxied.server.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    finally:
        await settle(sending, serving)


async def test_who_half_closes_is_still_sent_what_was_answered_before(proxied: Proxied, backend: Listener) -> None:
    """RFC 9112 section 9.6: a reset could take answers away that have been written. What is under way ends there."""
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(get() * 3)
    asked = await backend.accept()
    await asked.head()
    await asked.send(ANSWER)
    await asked.head()

    browser.shut_down()

    assert await browser.rest() == ANSWER
    assert not browser.was_reset
    assert await asked.rest() == b""
    assert await backend.nobody_comes(0.01)
