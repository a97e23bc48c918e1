"""Expect: the backend says whether it wants a body before the browser sends it (RFC 9110 §10.1.1)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.response import reply
from proxy.http.forward import exchange, forward
from proxy.http.message import resumed
from proxy.http.upstream.lanes import Lane
from tests.wire.conftest import Wire
from tests.wire.messages import BEGUN, CHUNKED, OK, SMUGGLED, answered, get, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"
FRAMINGS = {
    "length": (b"Content-Length: 2\r\n", b"hi"),
    "chunked": (CHUNKED, b"2\r\nhi\r\n0\r\n\r\n"),
    "chunked, with a trailer": (CHUNKED, b"2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n"),
}
FRAMED = pytest.mark.parametrize(("framing", "body"), FRAMINGS.values(), ids=FRAMINGS)
BOUNDS = {Lane.CONTROL: 2, Lane.CALLS: 5, Lane.RELAYS: 20}
QUIET = 0.05
"""Seconds in which nothing comes."""


async def expecting(proxied: Proxied, framing: bytes = b"Content-Length: 2\r\n", line: bytes = b"POST / ") -> Wire:
    """A browser that has asked, and waits."""
    browser = await proxied.browser()
    await browser.send(get(EXPECT + framing, line + b"HTTP/1.1"))
    return browser


async def heard(backend: Listener) -> Wire:
    """The connection on which the backend hears once what is expected of it, and none of the body."""
    asked = await backend.accept()
    fields = (await asked.head()).lower().split(b"\r\n")
    assert [field for field in fields if field.startswith(b"expect:")] == [b"expect: 100-continue"]
    assert not asked.buffer
    return asked


async def hears_nothing(wire: Wire) -> bool:
    """Whether nothing comes for a while, not even the end."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(QUIET):
            wire.buffer += await loop.sock_recv(wire.socket, 65_536)
    except TimeoutError:
        return not wire.buffer
    return False


# -- the backend is asked first -------------------------------------------------------------------


@FRAMED
async def test_the_backend_says_whether_the_body_is_to_come(
    proxied: Proxied, backend: Listener, framing: bytes, body: bytes
) -> None:
    browser = await expecting(proxied, framing)
    asked = await heard(backend)
    assert await hears_nothing(browser)
    await asked.send(CONTINUE)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    await browser.send(body)
    assert await asked.take(len(body)) == body
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(SMUGGLED)
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")
    assert not browser.buffer


async def test_a_long_body_is_passed_as_it_comes(proxied: Proxied, backend: Listener) -> None:
    browser = await expecting(proxied, b"Content-Length: %d\r\n" % (3 * len(BEGUN)))
    asked = await heard(backend)
    await asked.send(CONTINUE)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    for _ in range(3):
        await browser.send(BEGUN)
        assert await asked.take(len(BEGUN)) == BEGUN
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


async def test_what_else_it_says_goes_on_too(proxied: Proxied, backend: Listener) -> None:
    """RFC 9110 section 15.2: each of them, with its fields and in its order."""
    said = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Go\r\nA: b\r\n\r\nHTTP/1.1 103 Hints\r\nC: d\r\n\r\n"
    browser = await expecting(proxied)
    asked = await heard(backend)
    await asked.send(said)
    assert await browser.take(len(said)) == said
    await browser.send(b"hi")
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


REFUSALS = {
    "401": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
    "413": b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
    "417": b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno",
    "503": b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno",
    "303": b"HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "200": OK,
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("then", ["waits", "closes"])
@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n", CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
async def test_an_answer_instead_is_heard_at_once_and_the_body_never_asked_for(
    proxied: Proxied, backend: Listener, answer: bytes, framing: bytes, then: str
) -> None:
    """Whether the browser sends the body after all, nobody can tell: so both connections end (F8)."""
    browser = await expecting(proxied, framing)
    asked = await heard(backend)
    await asked.send(answer)
    if then == "closes":
        asked.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    expected = head + b"\r\nConnection: close\r\n\r\n" + body
    assert await browser.take(len(expected)) == expected
    if then == "waits":
        assert await asked.rest() == b""
    with contextlib.suppress(ConnectionError):
        await browser.send(SMUGGLED)
    assert await browser.rest() == b""
    assert await backend.nobody_comes(0.01)
    assert all(proxied.upstream.lanes.in_use(lane) == 0 for lane in Lane)


async def test_an_answer_behind_the_100_and_before_the_body_is_heard_as_well(
    proxied: Proxied, backend: Listener
) -> None:
    browser = await expecting(proxied)
    asked = await heard(backend)
    await asked.send(CONTINUE + REFUSALS["401"])
    assert await browser.take(len(CONTINUE)) == CONTINUE
    assert (await browser.rest()).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@FRAMED
async def test_a_browser_that_sends_all_the_same_is_served(
    proxied: Proxied, backend: Listener, framing: bytes, body: bytes
) -> None:
    """RFC 9110 section 10.1.1: it must not wait for ever, and a backend of HTTP/1.0 says nothing."""
    browser = await expecting(proxied, framing)
    asked = await heard(backend)
    assert await hears_nothing(browser)
    await browser.send(body)
    assert await asked.take(len(body)) == body
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert not browser.buffer


async def test_a_100_that_comes_late_goes_on_all_the_same(proxied: Proxied, backend: Listener) -> None:
    browser = await expecting(proxied)
    asked = await heard(backend)
    await browser.send(b"hi")
    assert await asked.take(2) == b"hi"
    await asked.send(CONTINUE + OK)
    assert await browser.take(len(CONTINUE + OK)) == CONTINUE + OK


@FRAMED
async def test_a_body_that_is_at_hand_waits_for_nobody(
    proxied: Proxied, backend: Listener, framing: bytes, body: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(post(EXPECT + framing, body) + SMUGGLED)
    asked = await backend.accept()
    await asked.head()
    assert await asked.take(len(body)) == body
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")
    assert not browser.buffer


# -- either end leaves, or says nothing -----------------------------------------------------------


async def expecting_behind(proxied: Proxied, backend: Listener, said: bytes) -> tuple[Wire, Wire]:
    """A browser that waits to send its body and the backend it asked, once ``said`` has come through."""
    browser = await expecting(proxied)
    asked = await heard(backend)
    if said:
        await asked.send(said)
        await browser.take(len(said))
    return browser, asked


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
@pytest.mark.parametrize("said", [b"", CONTINUE], ids=["before", "behind the 100"])
async def test_a_browser_that_leaves_takes_the_backends_connection_with_it(
    proxied: Proxied, backend: Listener, said: bytes, leave: Callable[[Wire], None]
) -> None:
    """P6: a backend that reads on would wait for the body for ever."""
    browser, asked = await expecting_behind(proxied, backend, said)
    leave(browser)
    assert await asked.hear_end(5.0) < 2.0
    await asyncio.sleep(0.02)
    assert all(proxied.upstream.lanes.in_use(lane) == 0 for lane in Lane)


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
@pytest.mark.parametrize("said", [b"", CONTINUE], ids=["before", "behind the 100"])
async def test_a_backend_that_leaves_is_502(
    proxied: Proxied, backend: Listener, said: bytes, leave: Callable[[Wire], None]
) -> None:
    browser, asked = await expecting_behind(proxied, backend, said)
    leave(asked)
    assert await answered(browser) == (502, "backend_broken")
    assert await backend.nobody_comes(0.05)


async def test_a_body_that_was_asked_for_and_does_not_come_is_408(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.3)
    browser = await expecting(proxied)
    asked = await heard(backend)
    await asked.send(CONTINUE)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    assert await answered(browser) == (408, "request_timeout")
    assert await asked.rest() == b""
    assert all(proxied.upstream.lanes.in_use(lane) == 0 for lane in Lane)


async def test_two_that_wait_for_each_other_are_given_up(start: Start, backend: Listener) -> None:
    """The browser for the 100, and the backend for the body: whose fault it is, nobody can tell."""
    proxied = await start(patience=0.3, upstream={"response_timeout": 0.3})
    browser = await expecting(proxied)
    asked = await heard(backend)
    assert (await answered(browser))[0] in {408, 504}
    assert await asked.rest() == b""
    assert all(proxied.upstream.lanes.in_use(lane) == 0 for lane in Lane)


# -- slots (F7) -----------------------------------------------------------------------------------


async def by_path(request: Request, upstream: Upstream) -> Response:
    return await forward(request, upstream, Lane(request.target[1:].decode()))


async def test_with_no_slot_free_the_body_is_asked_for_here(start: Start, backend: Listener) -> None:
    """A slot is taken once the body is there, so that bodies that do not come keep nobody out."""
    proxied = await start(bounds={**BOUNDS, Lane.CALLS: 1})
    other = await proxied.browser()
    await other.send(get(line=b"GET /other HTTP/1.1"))
    holding = await backend.accept()
    assert (await holding.head()).startswith(b"GET /other ")
    browser = await expecting(proxied)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    assert await backend.nobody_comes(QUIET)
    await browser.send(b"hi")
    await holding.send(OK)
    assert await other.take(len(OK)) == OK
    asked = await backend.accept()
    head = await asked.head()
    assert head.startswith(b"POST / ")
    assert b"xpect" not in head
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert not browser.buffer


async def next_get(backend: Listener) -> Wire:
    """The connection of the next ``GET``, among others that are asked for their bodies."""
    while True:
        asked = await backend.accept()
        if (await asked.head()).startswith(b"GET "):
            return asked


@pytest.mark.parametrize("lane", [Lane.CONTROL, Lane.CALLS])
async def test_bodies_that_are_waited_for_leave_a_slot_to_others(start: Start, backend: Listener, lane: Lane) -> None:
    """As many as there are slots, and as many again, of which none ever sends its body."""
    proxied = await start(by_path, bounds=BOUNDS, lane_wait=1.0)
    line = b"POST /%b " % lane.value.encode()
    for _ in range(2 * BOUNDS[lane]):
        await expecting(proxied, line=line)
    browser = await proxied.browser()
    await browser.send(get(line=b"GET /%b HTTP/1.1" % lane.value.encode()))
    asked = await next_get(backend)
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


async def test_each_that_is_let_go_makes_room_for_the_next(start: Start, backend: Listener) -> None:
    proxied = await start(bounds=BOUNDS)
    for _ in range(3 * BOUNDS[Lane.CALLS]):
        browser = await expecting(proxied)
        asked = await heard(backend)
        await asked.send(REFUSALS["417"])
        assert (await browser.rest()).startswith(b"HTTP/1.1 417 ")


# -- what is answered here ------------------------------------------------------------------------


async def held(request: Request, upstream: Upstream) -> Response:
    body = await request.buffered(100)
    return reply(request, await exchange(upstream, request.head(), Lane.CALLS, body=body, limit=100, repeatable=False))


@FRAMED
async def test_a_handler_that_holds_the_body_asks_for_it_here(
    start: Start, backend: Listener, framing: bytes, body: bytes
) -> None:
    """What is to be judged has to be there first."""
    proxied = await start(held)
    browser = await expecting(proxied, framing)
    assert await browser.take(len(CONTINUE)) == CONTINUE
    assert await backend.nobody_comes(0.01)
    await browser.send(body)
    asked = await backend.accept()
    assert b"xpect" not in await asked.head()
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert not browser.buffer


async def test_a_body_that_is_too_long_to_hold_is_not_asked_for(start: Start, backend: Listener) -> None:
    proxied = await start(held)
    browser = await expecting(proxied, b"Content-Length: 101\r\n")
    assert await answered(browser) == (413, "request_too_large")
    assert await backend.nobody_comes(0.01)


BODILESS = {
    "GET": get(EXPECT),
    "POST": post(EXPECT),
    "a length of 0": post(EXPECT + b"Content-Length: 0\r\n"),
}


@pytest.mark.parametrize("request_", BODILESS.values(), ids=BODILESS)
async def test_without_a_body_nothing_is_expected(proxied: Proxied, backend: Listener, request_: bytes) -> None:
    """RFC 9110 section 10.1.1: a client must not; and there is nothing to ask for."""
    browser = await proxied.browser()
    await browser.send(request_)
    asked = await backend.accept()
    assert b"xpect" not in await asked.head()
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


async def begun_here(request: Request, upstream: Upstream) -> Response:
    """Reads the beginning of a body, and passes it on with the rest, as a guard does with one that is too large."""
    body = request.body()
    assert body is not None
    begun = await anext(body.chunks)
    return await forward(request, upstream, Lane.CALLS, body=replace(body, chunks=resumed(begun, body.chunks)))


async def test_a_body_that_was_asked_for_here_is_not_asked_for_again(start: Start, backend: Listener) -> None:
    """The browser sends it by now; a second 100 would be nobody's answer."""
    proxied = await start(begun_here)
    browser = await expecting(proxied, b"Content-Length: 4\r\n")
    assert await browser.take(len(CONTINUE)) == CONTINUE
    await browser.send(b"hi")
    assert await backend.nobody_comes(QUIET)
    await browser.send(b"ho")
    asked = await backend.accept()
    assert b"xpect" not in await asked.head()
    assert await asked.take(4) == b"hiho"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
