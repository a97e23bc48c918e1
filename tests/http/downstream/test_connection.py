"""One browser's connection: what it may do, how long, and how its end is noticed."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.connection import DownstreamConnection
from proxy.http.downstream.parting import LINGER
from proxy.http.downstream.pausing import LOOK_AGAIN
from proxy.http.downstream.response import begin, reply
from proxy.http.downstream.server import Server
from proxy.http.inflow import Inflow
from proxy.http.message import Answer
from tests.http.downstream.browser import GET, OK, OK_WIRE, Browser, say_ok, say_ok_to_a_full_browser
from tests.support.transport import Transport, turns
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"


class Forever:
    """A handler that never answers, unless it is told to; and what became of it."""

    def __init__(self) -> None:
        self.was_cancelled = False
        self.answered = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        try:
            await self.answered.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return reply(request, OK)


async def read_then_ok(request: Request) -> Response:
    await request.buffered(100)
    return reply(request, OK)


# -- requests -------------------------------------------------------------------------------------


@in_virtual_time
async def test_requests_are_answered_in_turn() -> None:
    browser = Browser()
    assert await browser.send(GET) == OK_WIRE
    assert await browser.send(GET + GET) == OK_WIRE * 2
    assert browser.is_open


@in_virtual_time
async def test_a_body_is_read_before_the_next_request() -> None:
    browser = Browser(read_then_ok)
    assert await browser.send(POST) == b""
    assert await browser.send(b"hello" + POST + b"again") == OK_WIRE * 2


@in_virtual_time
async def test_a_request_that_is_refused_ends_the_connection() -> None:
    browser = Browser()
    assert b"501 Not Implemented" in await browser.send(b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert await browser.send(GET) == b""
    assert browser.asked == []


@in_virtual_time
async def test_behind_a_request_for_a_websocket_nothing_is_taken_for_a_request() -> None:
    browser = Browser()
    asking = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert b"Connection: close" in await browser.send(asking + GET)
    assert len(browser.asked) == 1


@in_virtual_time
async def test_what_may_pass_no_further_is_answered_here() -> None:
    """RFC 9110 section 7.6.2."""
    browser = Browser()
    got = await browser.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK\r\nAllow: GET")
    assert b"501" in await browser.send(b"TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n")
    assert browser.asked == []


# -- limits on patience ---------------------------------------------------------------------------


@in_virtual_time
async def test_a_browser_that_says_nothing_is_not_waited_for() -> None:
    browser = Browser(head_timeout=10.0)
    await asyncio.sleep(10.1)
    assert not browser.is_open
    assert browser.transport.took() == b""


@in_virtual_time
async def test_a_head_that_is_not_whole_in_time_is_refused() -> None:
    """Slowloris: every byte counts against the same time."""
    browser = Browser(head_timeout=10.0)
    await asyncio.sleep(9.0)
    for byte in b"GET / HTTP":
        await browser.send(bytes([byte]))
        await asyncio.sleep(1.0)
    assert b"408 Request Timeout" in await browser.hear()


@in_virtual_time
async def test_a_connection_waits_so_long_for_its_next_request() -> None:
    browser = Browser()
    await browser.send(GET)
    await asyncio.sleep(74.0)
    assert browser.is_open
    await asyncio.sleep(2.0)
    assert not browser.is_open


@in_virtual_time
async def test_what_is_unsent_at_the_end_is_waited_for_while_the_browser_takes_of_it() -> None:
    browser = Browser(patience=30.0)
    browser.transport.unsent = 100
    browser.connection.close()
    await asyncio.sleep(29.0)
    browser.transport.unsent = 50
    await asyncio.sleep(30.0)
    assert not browser.transport.was_aborted
    await asyncio.sleep(2.0)
    assert browser.transport.was_aborted


# -- its end --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_browser_that_leaves_cancels_its_request() -> None:
    forever = Forever()
    browser = Browser(forever)
    await browser.send(GET)
    await browser.leave()
    assert forever.was_cancelled
    assert browser.connection.parting.has_left
    assert browser.server.connections == set()


@in_virtual_time
async def test_a_browser_that_leaves_is_still_sent_what_was_answered_before() -> None:
    """RFC 9112 section 9.6: it may have closed its side only."""
    forever = Forever()
    browser = Browser(forever, patience=30.0)
    await browser.send(GET)
    browser.transport.unsent = 100
    assert browser.connection.eof_received() is None
    await turns()
    assert forever.was_cancelled
    assert not browser.is_open
    await asyncio.sleep(29.0)
    assert not browser.transport.was_aborted
    await asyncio.sleep(2.0)
    assert browser.transport.was_aborted


@in_virtual_time
async def test_an_answer_that_is_written_goes_out_though_its_browser_says_no_more() -> None:
    browser = Browser(say_ok_to_a_full_browser)
    browser.transport.unsent = 100
    assert await browser.send(GET + GET) == OK_WIRE
    await browser.leave()
    assert not browser.connection.is_idle
    assert not browser.transport.was_aborted
    browser.connection.resume_writing()
    await turns()
    assert browser.connection.is_idle
    assert [request.is_answered for request in browser.asked] == [True]


@in_virtual_time
@pytest.mark.parametrize(("version", "was_reset"), [(b"1.0", True), (b"1.1", False)])
async def test_half_an_answer_never_looks_whole_to_a_browser_that_left(version: bytes, was_reset: bool) -> None:  # noqa: FBT001 - of a case
    """RFC 9112 section 6.3: in HTTP/1.0 only a reset tells."""

    async def half(request: Request) -> Response:
        begin(request, Answer(200, b"OK", (), b""), first=b"half")
        return await Forever()(request)

    browser = Browser(half)
    assert b"half" in await browser.send(b"GET / HTTP/%b\r\nHost: h\r\n\r\n" % version)
    await browser.leave()
    assert browser.transport.was_aborted is was_reset


@in_virtual_time
async def test_a_browser_that_leaves_between_requests_is_not_reset() -> None:
    browser = Browser()
    await browser.send(GET)
    await browser.leave()
    assert not browser.transport.was_aborted


@in_virtual_time
async def test_with_tls_a_refused_body_is_read_to_its_end_and_then_closed() -> None:
    """TLS cannot be half-closed."""
    browser = Browser(say_ok, is_secure=True)
    assert await browser.send(POST + b"he") != b""
    assert browser.is_open
    assert not browser.transport.has_ended
    await browser.send(b"llo")
    assert not browser.is_open
    assert not browser.transport.was_aborted


@in_virtual_time
async def test_a_refused_body_is_read_for_so_long() -> None:
    browser = Browser()
    await browser.send(POST + b"he")
    assert browser.transport.has_ended
    await asyncio.sleep(LINGER + 0.1)
    assert browser.transport.was_aborted


@in_virtual_time
async def test_a_connection_that_is_gone_does_nothing_more() -> None:
    browser = Browser()
    browser.connection.connection_lost(None)
    browser.connection.abort()
    browser.connection.close()
    browser.connection.update_reading()
    assert browser.transport.took() == b""


@in_virtual_time
async def test_a_unix_socket_has_no_address() -> None:
    connection = Server(say_ok)()
    connection.connection_made(Transport(connection, peername=""))
    assert connection.peer == ""


# -- backpressure ---------------------------------------------------------------------------------


class Paused:
    """A connection that is not being read, on a real socket."""

    def __init__(self, handler: Forever) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.connection = DownstreamConnection(Server(handler))
        self.transport = Transport(self.connection, socket=self.ours)
        self.connection.connection_made(self.transport)
        self.connection.data_received(GET + bytes(70_000))

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@in_virtual_time
async def test_a_browser_that_leaves_while_it_is_not_read_is_noticed() -> None:
    forever = Forever()
    paused = Paused(forever)
    assert not paused.transport.is_read
    await asyncio.sleep(10 * LOOK_AGAIN)
    assert not paused.transport.was_aborted
    paused.theirs.close()
    await asyncio.sleep(2 * LOOK_AGAIN)
    assert paused.transport.is_closing()
    assert forever.was_cancelled
    paused.close()


@in_virtual_time
async def test_a_connection_is_read_again_when_there_is_room() -> None:
    forever = Forever()
    paused = Paused(forever)
    await turns()
    paused.connection.discard_input()
    assert paused.transport.is_read
    await asyncio.sleep(2 * LOOK_AGAIN)
    forever.answered.set()
    await turns()
    assert not paused.transport.was_aborted
    paused.close()


# -- relays and tunnels ---------------------------------------------------------------------------


@in_virtual_time
async def test_a_relay_drops_what_is_pipelined_behind_it() -> None:
    async def handle(request: Request) -> Response:
        request.outlast()
        assert request.raw_headers == ()
        return begin(request, OK)

    browser = Browser(handle)
    await browser.send(GET + GET)
    assert len(browser.asked) == 1
    assert not browser.is_open


@in_virtual_time
async def test_a_tunnel_hears_the_browsers_end() -> None:
    inflow = Inflow(lambda: None)

    async def handle(request: Request) -> Response:
        request.connection.tunnel(inflow)
        while await inflow.read():
            pass
        return reply(request, OK, closes=True)

    browser = Browser(handle)
    await browser.send(GET + b"early")
    await browser.send(b"late")
    assert inflow.total == 9
    assert browser.connection.eof_received()
    assert b"200 OK" in await browser.hear()


# -- too many -------------------------------------------------------------------------------------


@in_virtual_time
async def test_one_client_has_only_so_many() -> None:
    first = Browser(connections=1)
    second, third = Browser(server=first.server), Browser(server=first.server)
    assert b"429 Too Many Requests" in await second.send(GET)
    assert third.transport.was_aborted
    assert await first.send(GET) == OK_WIRE


# -- the server's end -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_server_that_retires_serves_no_connection_twice() -> None:
    forever = Forever()
    busy = Browser(forever)
    idle, new = Browser(server=busy.server), Browser(server=busy.server)
    forever.answered.set()
    await idle.send(GET)
    forever.answered.clear()
    await busy.send(GET)
    busy.server.retire()
    assert [browser.is_open for browser in (busy, idle, new)] == [True, False, True]
    forever.answered.set()
    for browser in (busy, new):
        assert b"Connection: close" in await browser.send(b"" if browser is busy else GET)
        assert not browser.is_open


@in_virtual_time
async def test_a_server_that_ends_lets_requests_come_to_their_end_for_a_while() -> None:
    forever = Forever()
    browser = Browser(forever)
    await browser.send(GET)
    await browser.server.finish(3.0)
    assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.2)
    assert forever.was_cancelled
    assert browser.transport.was_aborted
    assert not browser.connection.parting.has_left
    await browser.server.finish(3.0)
