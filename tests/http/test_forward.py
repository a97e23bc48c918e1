"""A browser's request carried to the backend, and the answer back, without a socket."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import AnswerTooLargeError
from proxy.http.forward import exchange, forward
from proxy.http.message import Answer, Body, RequestHead
from proxy.http.tunnel import GOODBYE
from proxy.http.upstream.lanes import Lane
from tests.http.downstream.browser import GET, Browser
from tests.http.upstream.backend import EVENTS, OK, Backend
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from tests.http.upstream.backend import Wire

SOCKET = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Proxy:
    """A browser and a backend, and the proxy between them."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.upstream = self.backend.asked_by()
        self.browser = Browser(partial(forward, upstream=self.upstream, lane=Lane.CALLS, extra=((b"X", b"1"),)))

    @property
    def wire(self) -> Wire:
        return self.backend.wires[-1]


# -- answers --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_request_and_its_answer_go_through() -> None:
    proxy = Proxy()
    await proxy.browser.send(GET)
    asked = await proxy.wire.hear()
    assert asked == (b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: h\r\n\r\n")
    await proxy.wire.say(OK)
    assert await proxy.browser.hear() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n\r\nok"
    assert proxy.browser.is_open


@in_virtual_time
async def test_a_body_and_its_trailers_go_through_both_ways() -> None:
    proxy = Proxy()
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    await proxy.browser.send(head + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\nCookie: a\r\n\r\n")
    assert (await proxy.wire.hear()).endswith(b"\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")
    await proxy.wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    await proxy.wire.say(b"0\r\nX-T: 2\r\nSet-Cookie: a\r\n\r\n")
    assert (await proxy.browser.hear()).endswith(b"\r\n\r\n2\r\nok\r\n0\r\nX-T: 2\r\n\r\n")


@in_virtual_time
async def test_an_interim_answer_goes_through() -> None:
    proxy = Proxy()
    await proxy.browser.send(GET)
    await proxy.wire.say(b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n")
    assert await proxy.browser.hear() == b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
    await proxy.wire.say(OK)


@in_virtual_time
async def test_a_browser_that_leaves_takes_the_backends_connection_along() -> None:
    proxy = Proxy()
    await proxy.browser.send(GET)
    await proxy.wire.say(EVENTS + b"data: 1\n\n")
    await proxy.browser.leave()
    assert proxy.wire.transport.was_aborted
    assert [proxy.upstream.lanes.in_use(lane) for lane in Lane] == [0, 0, 0]


# -- event streams --------------------------------------------------------------------------------


async def streaming() -> Proxy:
    proxy = Proxy()
    await proxy.browser.send(GET)
    await proxy.wire.say(EVENTS + b"data: 1\n\n")
    assert (await proxy.browser.hear()).endswith(b"\r\n\r\n9\r\ndata: 1\n\n\r\n")
    return proxy


@in_virtual_time
async def test_a_stream_goes_through_piece_by_piece_and_may_be_silent() -> None:
    proxy = await streaming()
    await asyncio.sleep(3600.0)
    await proxy.wire.say(b"a")
    assert await proxy.browser.hear() == b"1\r\na\r\n"
    await proxy.wire.hang_up()
    assert await proxy.browser.hear() == b"0\r\n\r\n"
    assert proxy.browser.is_open


@in_virtual_time
async def test_a_stream_is_held_back_for_a_slow_browser() -> None:
    proxy = await streaming()
    proxy.browser.connection.pause_writing()
    await proxy.wire.say(b"a")
    assert not proxy.wire.transport.is_read
    proxy.browser.connection.resume_writing()
    await turns()
    assert proxy.wire.transport.is_read
    await proxy.wire.say(b"b")
    assert await proxy.browser.hear() == b"1\r\na\r\n1\r\nb\r\n"


@in_virtual_time
async def test_a_stream_that_breaks_off_is_not_ended() -> None:
    proxy = await streaming()
    await proxy.wire.hang_up(ConnectionResetError())
    assert await proxy.browser.hear() == b""
    assert not proxy.browser.is_open
    assert proxy.browser.asked[0].account.error == "backend_broken"


@in_virtual_time
async def test_a_stream_whose_browser_is_gone_ends() -> None:
    proxy = await streaming()
    proxy.browser.connection.abort()
    proxy.wire.connection.data_received(b"a")
    await turns()
    assert proxy.wire.transport.was_aborted


@in_virtual_time
async def test_the_head_alone_of_a_stream_is_whole() -> None:
    proxy = Proxy()
    await proxy.browser.send(GET.replace(b"GET", b"HEAD"))
    await proxy.wire.say(EVENTS)
    assert (await proxy.browser.hear()).endswith(b"X: 1\r\n\r\n")
    assert proxy.browser.is_open


# -- whole answers --------------------------------------------------------------------------------


async def asking(proxy: Proxy, body: Body | bytes | None, *, limit: int) -> asyncio.Task[Answer]:
    head = RequestHead("POST", b"/p", ((b"Host", b"h"),))
    work = exchange(proxy.upstream, head, Lane.CONTROL, body=body, limit=limit, repeatable=False)
    task = asyncio.create_task(work)
    await turns()
    return task


@pytest.mark.parametrize("body", [b"hello", None])
@in_virtual_time
async def test_an_answer_may_be_held_in_whole(body: bytes | None) -> None:
    proxy = Proxy()
    asked = await asking(proxy, body, limit=2)
    assert (await proxy.wire.hear()).endswith(body or b"\r\n\r\n")
    await proxy.wire.say(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    assert await asked == Answer(200, b"OK", ((b"Content-Length", b"2"),), b"ok")


@in_virtual_time
async def test_one_that_is_too_large_is_not_held() -> None:
    proxy = Proxy()
    asked = await asking(proxy, None, limit=1)
    await proxy.wire.say(OK)
    with pytest.raises(AnswerTooLargeError):
        await asked


# -- WebSockets -----------------------------------------------------------------------------------


async def joined() -> Proxy:
    proxy = Proxy()
    await proxy.browser.send(SOCKET)
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in await proxy.wire.hear()
    await proxy.wire.say(SWITCH + b"early")
    assert (await proxy.browser.hear()).endswith(b"Upgrade: websocket\r\n\r\nearly")
    return proxy


@in_virtual_time
async def test_bytes_go_both_ways() -> None:
    proxy = await joined()
    await proxy.browser.send(b"ping")
    assert await proxy.wire.hear() == b"ping"
    await proxy.wire.say(b"pong")
    assert await proxy.browser.hear() == b"pong"
    await asyncio.sleep(1000.0)
    assert proxy.wire.is_open


@in_virtual_time
async def test_a_backend_that_hangs_up_ends_both() -> None:
    proxy = await joined()
    await proxy.wire.say(b"bye")
    await proxy.wire.hang_up()
    assert await proxy.browser.hear() == b"bye"
    assert not proxy.browser.is_open


@in_virtual_time
async def test_a_backend_has_its_say_after_the_browser_has_said_its_last() -> None:
    proxy = await joined()
    await proxy.browser.leave()
    await proxy.wire.say(b"bye")
    assert await proxy.browser.hear() == b"bye"
    await asyncio.sleep(GOODBYE + 0.1)
    assert proxy.wire.transport.was_aborted
    assert not proxy.browser.is_open


@in_virtual_time
async def test_a_slow_backend_holds_the_browser_back() -> None:
    proxy = await joined()
    proxy.wire.connection.pause_writing()
    await proxy.browser.send(b"one")
    await proxy.browser.send(b"two")
    assert await proxy.wire.hear() == b"one"
    proxy.wire.connection.resume_writing()
    assert await proxy.wire.hear() == b"two"


@in_virtual_time
async def test_a_backend_that_refuses_answers_as_to_any_other_request() -> None:
    proxy = Proxy()
    await proxy.browser.send(SOCKET)
    await proxy.wire.say(OK.replace(b"200 OK", b"403 No"))
    assert (await proxy.browser.hear()).startswith(
        b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    )
