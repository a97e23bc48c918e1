"""Either end may leave at any moment: the other one can tell, and nothing of the exchange is left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import BackendBrokenError
from proxy.http.message import RequestHead
from proxy.http.upstream.lanes import Lane
from tests.wire.conftest import PATIENCE, Wire
from tests.wire.messages import BEGUN, OK, answered, asked_with, get, post
from tests.wire.test_following import Heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.wire.conftest import Listener, Proxied, Start

LINE = b"HTTP/1.1 200 OK\r\n"


async def nothing_is_left(proxied: Proxied, backend: Listener) -> None:
    """Slots are given back, connections are closed, and the next browser is served."""
    async with asyncio.timeout(PATIENCE):
        while any(proxied.upstream.lanes.in_use(lane) for lane in Lane):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        while proxied.server.connections:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    browser, asked = await asked_with(proxied, backend, get(line=b"GET /next HTTP/1.1"))
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


BEFORE_ITS_HEAD = {
    "nothing": b"",
    "one byte": b"H",
    "half a status line": b"HTTP/1.1 2",
    "a status line": LINE,
    "half a field": LINE + b"Content-Le",
    "all but the last byte of a head": LINE + b"Content-Length: 2\r\n\r",
    "half an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: <",
}


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.shut_down])
@pytest.mark.parametrize("said", BEFORE_ITS_HEAD.values(), ids=BEFORE_ITS_HEAD)
async def test_a_backend_that_leaves_before_its_head_is_502(
    proxied: Proxied, backend: Listener, said: bytes, leave: Callable[[Wire], None]
) -> None:
    browser, asked = await asked_with(proxied, backend)
    if said:
        await asked.send(said)
    leave(asked)
    assert await answered(browser) == (502, "backend_broken")
    await nothing_is_left(proxied, backend)


@pytest.mark.parametrize("said", BEFORE_ITS_HEAD.values(), ids=BEFORE_ITS_HEAD)
async def test_a_backend_that_stops_before_its_head_is_504(start: Start, backend: Listener, said: bytes) -> None:
    proxied = await start(upstream={"response_timeout": 0.1})
    browser, asked = await asked_with(proxied, backend)
    if said:
        await asked.send(said)
    assert await answered(browser) == (504, "backend_too_slow")
    assert await asked.rest() == b""
    await nothing_is_left(proxied, backend)


IN_ITS_BODY = {
    "a length and nothing": (b"Content-Length: 9\r\n\r\n", b""),
    "half a length": (b"Content-Length: 9\r\n\r\n", b"abcd"),
    "all but a byte": (b"Content-Length: 9\r\n\r\n", b"abcdefgh"),
    "no chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b""),
    "half a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"9\r\nabcd"),
    "a chunk without its end": (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd"),
    "a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n"),
    "half a last chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n0\r\n"),
    "half a trailer": (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n0\r\nX-Trai"),
}
FRAMED = pytest.mark.parametrize(("framing", "body"), IN_ITS_BODY.values(), ids=IN_ITS_BODY)


async def begun(proxied: Proxied, backend: Listener, framing: bytes, body: bytes) -> tuple[Wire, Wire]:
    """An exchange in which the browser has all that the backend has said."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(LINE + framing + body)
    await browser.head()
    if b"abcd" in body:
        await browser.until(b"abcd")
    return browser, asked


async def cut_off(browser: Wire) -> None:
    """The connection ends so that an answer cannot be taken for whole."""
    rest = await browser.rest()
    assert b"0\r\n" not in rest
    assert b"HTTP/1.1" not in rest


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.shut_down])
@FRAMED
async def test_a_backend_that_leaves_in_its_body_is_heard_to_break_off(
    proxied: Proxied, backend: Listener, framing: bytes, body: bytes, leave: Callable[[Wire], None]
) -> None:
    browser, asked = await begun(proxied, backend, framing, body)
    leave(asked)
    await cut_off(browser)
    await nothing_is_left(proxied, backend)


@FRAMED
async def test_a_backend_that_stops_in_its_body_is_heard_to_break_off(
    start: Start, backend: Listener, framing: bytes, body: bytes
) -> None:
    proxied = await start(upstream={"response_timeout": 0.1})
    browser, asked = await begun(proxied, backend, framing, body)
    await cut_off(browser)
    assert await asked.rest() == b""
    await nothing_is_left(proxied, backend)


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_what_a_backend_said_before_it_broke_off_still_arrives(
    proxied: Proxied, backend: Listener, framing: str, leave: Callable[[Wire], None]
) -> None:
    """However slow the browser is: the last thing said may be why."""
    said = bytes(range(256)) * 600
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(get())
    asked = await backend.accept()
    await asked.head()
    if framing == "length":
        await asked.send(LINE + b"Content-Length: 999999\r\n\r\n" + said)
    else:
        await asked.send(LINE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(said), said))
    await asyncio.sleep(0.05)
    leave(asked)
    await asyncio.sleep(0.05)
    assert (await browser.head()).startswith(LINE)
    rest = await browser.rest()
    assert not browser.was_reset
    assert (rest if framing == "length" else dechunked(rest)) == said


async def followed(proxied: Proxied, backend: Listener, *said: bytes) -> tuple[bytes, Exception | None]:
    """What a follower heard of an answer, and how it ended; each part of it comes in a read of its own."""
    heard, begun = Heard(), asyncio.Event()

    async def follow() -> Exception | None:
        async with proxied.upstream.request(RequestHead("GET", b"/", ((b"Host", b"h"),)), Lane.RELAYS) as stream:
            stream.follow(heard)
            begun.set()
            return await heard.end()

    following = asyncio.create_task(follow())
    asked = await backend.accept()
    await asked.head()
    for part in said:
        await asked.send(part)
        await begun.wait()
    error = await following
    return b"".join(heard.pieces), error


BROKEN_OFF = LINE + b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\nnonsense\r\n"


@pytest.mark.parametrize("said", [(b"".join(BROKEN_OFF),), BROKEN_OFF], ids=["with the head", "later"])
async def test_a_follower_hears_what_came_in_the_read_in_which_it_broke_off(
    proxied: Proxied, backend: Listener, said: tuple[bytes, ...]
) -> None:
    heard, error = await followed(proxied, backend, *said)
    assert isinstance(error, BackendBrokenError)
    assert heard == b"abc"


@pytest.mark.parametrize("said", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
async def test_a_follower_hears_the_end_of_nothing(proxied: Proxied, backend: Listener, said: bytes) -> None:
    assert await followed(proxied, backend, LINE + said) == (b"", None)


def dechunked(body: bytes) -> bytes:
    """The data of chunks, of which the last one is missing."""
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        assert length
        data, body = data + body[:length], body[length + 2 :]
    return data


ASKING = {
    "nothing": b"",
    "half a request line": b"GET / HT",
    "half a head": b"GET / HTTP/1.1\r\nHost: h\r\n",
    "all but the last byte of a head": get()[:-1],
}


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.shut_down])
@pytest.mark.parametrize("said", ASKING.values(), ids=ASKING)
async def test_a_browser_that_leaves_before_its_head_asked_nothing(
    proxied: Proxied, backend: Listener, said: bytes, leave: Callable[[Wire], None]
) -> None:
    browser = await proxied.browser()
    if said:
        await browser.send(said)
    leave(browser)
    assert await backend.nobody_comes(0.01)
    await nothing_is_left(proxied, backend)


ASKED = {
    "half a body": (post(b"Content-Length: 99999\r\n", BEGUN), b""),
    "half a chunk": (post(b"Transfer-Encoding: chunked\r\n", b"fffff\r\n" + BEGUN), b""),
    "all but the last chunk": (post(b"Transfer-Encoding: chunked\r\n", b"10000\r\n" + BEGUN + b"\r\n"), b""),
    "a request": (get(), b""),
    "a request, and got half a head": (get(), LINE + b"A: b"),
    "a request, and got a head": (get(), LINE + b"Content-Length: 9\r\n\r\n"),
    "a request, and got half a body": (get(), LINE + b"Content-Length: 9\r\n\r\nabcd"),
    "a request, and got a stream": (get(), LINE + b"\r\n: heartbeat\n\n"),
}


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.shut_down])
@pytest.mark.parametrize(("request_", "answer"), ASKED.values(), ids=ASKED)
async def test_a_browser_that_leaves_takes_its_exchange_with_it(
    proxied: Proxied, backend: Listener, request_: bytes, answer: bytes, leave: Callable[[Wire], None]
) -> None:
    """P6; and of a request that broke off the backend can tell that it did."""
    browser, asked = await asked_with(proxied, backend, request_)
    if BEGUN in request_:
        await asked.until(BEGUN)
    if answer:
        await asked.send(answer)
    if b"\r\n\r\n" in answer:
        await browser.head()
    leave(browser)
    assert b"0\r\n" not in await asked.rest()
    await nothing_is_left(proxied, backend)
