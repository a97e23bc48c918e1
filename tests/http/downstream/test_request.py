"""What a browser asked, as it is told to the rest of the proxy."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.response import reply
from proxy.http.errors import NoCapacityError, RequestTooLargeError
from tests.http.downstream.browser import GET, OK, OK_WIRE, STRANGER, Browser
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response

POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 5


async def hold(request: Request) -> Response:
    await request.buffered(LIMIT)
    return reply(request, OK)


async def asked(wire: bytes) -> Request:
    browser = Browser(trusted_proxies=(ip_network("203.0.113.0/24"),))
    await browser.send(wire)
    return browser.asked[0]


@in_virtual_time
async def test_the_host_of_an_absolute_target_is_the_one() -> None:
    """RFC 9112 section 3.2.2."""
    request = await asked(b"GET http://other:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (request.target, request.fields) == (b"/a?b", ((b"Host", b"other:1"),))
    assert request.raw_headers == ((b"Host", b"h"),)
    assert (b"X-Forwarded-Host", b"h") not in request.head().headers


@in_virtual_time
async def test_who_asks_is_what_a_trusted_proxy_says() -> None:
    request = await asked(GET[:-2] + b"X-Forwarded-For: 10.0.0.7\r\n\r\n")
    assert (request.peer, request.client, request.certain_client) == (STRANGER, "10.0.0.7", ip_address("10.0.0.7"))


@pytest.mark.parametrize(
    ("wire", "upgrade"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n", b"WebSocket"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", None),
        (b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", None),
        (POST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", None),
    ],
)
@in_virtual_time
async def test_a_websocket_is_asked_for_in_one_way(wire: bytes, upgrade: bytes | None) -> None:
    """RFC 6455 section 4.1."""
    assert (await asked(wire)).upgrade == upgrade


@pytest.mark.parametrize("wire", [GET, POST + b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
@in_virtual_time
async def test_a_body_may_be_held_in_whole(wire: bytes) -> None:
    assert await Browser(hold).send(wire) == OK_WIRE


@pytest.mark.parametrize("wire", [POST + b"Content-Length: 6\r\n\r\n", CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n"])
@in_virtual_time
async def test_one_that_is_too_large_is_not_held(wire: bytes) -> None:
    browser = Browser(hold)
    assert b"413" in await browser.send(wire)
    assert browser.asked[0].account.error == RequestTooLargeError.code
    assert browser.server.room.used == 0


@in_virtual_time
async def test_a_browser_that_waits_to_be_told_is_told() -> None:
    browser = Browser(hold)
    expecting = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert await browser.send(expecting) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert await browser.send(b"hello") == OK_WIRE


@in_virtual_time
async def test_a_browser_that_others_wait_for_is_waited_for_no_more() -> None:
    browser = Browser(hold)
    await browser.send(POST + b"Content-Length: 5\r\n\r\nhe")
    [request] = browser.asked
    assert request.received == 2
    request.give_way(NoCapacityError("Others wait."))
    assert b"503" in await browser.hear()
    request.give_way(NoCapacityError("Once more."))
    await turns()


@in_virtual_time
async def test_one_without_a_body_gives_way_by_its_answer_only() -> None:
    async def handle(request: Request) -> Response:
        request.connection.pause_writing()
        response = reply(request, OK)
        await response.drain()
        return response

    browser = Browser(handle)
    await browser.send(GET)
    browser.asked[0].give_way(NoCapacityError("Others wait."))
    await turns()
    assert browser.transport.was_aborted
    assert browser.asked[0].account.error == "crowded_out"
