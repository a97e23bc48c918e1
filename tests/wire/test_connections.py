"""Upstream connections that cannot hurt: F8, repetition, and idle ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.http.forward import exchange
from proxy.http.message import RequestHead
from proxy.http.upstream.lanes import Lane

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"


class Habitual:
    """A backend with Hermes' habits (F8), which answers with the target it was asked for.

    A ``POST`` is refused with its body unread; ``OPTIONS`` is answered without framing; and the
    connection stays open, so that whatever follows is the next request.
    """

    def __init__(self, listener: Listener) -> None:
        self.ran: list[bytes] = []
        self.listener = listener
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        while True:
            connection = await self.listener.accept(60)
            task = asyncio.create_task(self._serve_one(connection))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve_one(self, connection: Wire) -> None:
        closing = False
        while not closing:
            try:
                head = await connection.head()
            except (AssertionError, OSError):
                return
            method, target, _ = head.split(b" ", 2)
            self.ran.append(target)
            closing = b"\r\nConnection: close\r\n" in head
            if method == b"OPTIONS":
                await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
            elif method == b"POST":
                await connection.send(UNAUTHORIZED)
            else:
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)
        connection.close()


@pytest.mark.parametrize("method", [b"POST", b"GET", b"DELETE"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_in_a_body_never_runs(proxied: Proxied, backend: Listener, method: bytes, framing: str) -> None:
    habitual = Habitual(backend)
    serving = asyncio.create_task(habitual.serve())
    stranger, user = await proxied.browser(), await proxied.browser()
    await user.send(GET % b"/before")
    assert await user.until(b"/before")
    injected = GET % b"/injected"
    if framing == "length":
        body = b"Content-Length: %d\r\n\r\n" % len(injected) + injected
    else:
        body = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(injected),
            injected,
        )
    await stranger.send(method + b" /refused HTTP/1.1\r\nHost: h\r\n" + body)
    assert (await stranger.head()).startswith((b"HTTP/1.1 401", b"HTTP/1.1 200"))
    for number in range(5):
        own = b"/own-%d" % number
        await user.send(GET % own)
        assert (await user.head()).startswith(b"HTTP/1.1 200")
        assert await user.take(len(own)) == own
    assert b"/injected" not in habitual.ran
    serving.cancel()


async def test_options_without_framing_never_shares_its_connection(proxied: Proxied, backend: Listener) -> None:
    habitual = Habitual(backend)
    serving = asyncio.create_task(habitual.serve())
    browser = await proxied.browser()
    for _ in range(2):
        await browser.send(b"OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await browser.until(b"0\r\n\r\n")
        await browser.send(GET % b"/own")
        await browser.head()
        assert await browser.take(4) == b"/own"
    assert len(backend.accepted) == 3
    serving.cancel()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_only_plain_gets_share_a_connection(proxied: Proxied, backend: Listener, request_: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(GET % b"/")
    idle = await backend.accept()
    await idle.head()
    await idle.send(OK)
    await browser.until(b"ok")
    await browser.send(request_)
    fresh = await backend.accept()
    assert b"\r\nConnection: close\r\n" in await fresh.head()
    await fresh.send(OK)
    await browser.until(b"ok")
    assert await fresh.rest() == b""


async def test_get_on_a_dead_idle_connection_is_repeated_once(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(GET % b"/1")
    idle = await backend.accept()
    await idle.head()
    await idle.send(OK)
    await browser.until(b"ok")
    await browser.send(GET % b"/2")
    assert (await idle.head()).startswith(b"GET /2 ")
    idle.close()
    fresh = await backend.accept()
    assert (await fresh.head()).startswith(b"GET /2 ")
    fresh.close()
    assert (await browser.head()).startswith(b"HTTP/1.1 502 ")
    assert await backend.nobody_comes()


async def test_get_whose_answer_has_begun_is_not_repeated(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(GET % b"/1")
    idle = await backend.accept()
    await idle.head()
    await idle.send(OK)
    await browser.until(b"ok")
    await browser.send(GET % b"/2")
    await idle.head()
    await idle.send(b"HTTP/1.1 2")
    await asyncio.sleep(0.05)
    idle.close()
    assert (await browser.head()).startswith(b"HTTP/1.1 502 ")
    assert await backend.nobody_comes()


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"POST"])
async def test_other_methods_are_never_repeated(proxied: Proxied, backend: Listener, method: bytes) -> None:
    """aiohttp's session repeats PUT and DELETE."""
    browser = await proxied.browser()
    await browser.send(GET % b"/1")
    idle = await backend.accept()
    await idle.head()
    await idle.send(OK)
    await browser.until(b"ok")
    await browser.send(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    asked.close()
    assert (await browser.head()).startswith(b"HTTP/1.1 502 ")
    assert await backend.nobody_comes()


async def test_what_must_not_be_repeated_is_sent_once_on_a_fresh_connection(
    proxied: Proxied, backend: Listener
) -> None:
    """A cancel is a GET."""
    browser = await proxied.browser()
    await browser.send(GET % b"/1")
    idle = await backend.accept()
    await idle.head()
    await idle.send(OK)
    await browser.until(b"ok")
    head = RequestHead("GET", b"/cancel", ((b"Host", b"h"),))
    cancelling = asyncio.create_task(exchange(proxied.upstream, head, Lane.CONTROL, limit=10, repeatable=False))
    asked = await backend.accept()
    assert await asked.head() == b"GET /cancel HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    asked.close()
    with pytest.raises(Exception, match="hung up"):
        await cancelling
    assert await backend.nobody_comes()


async def test_idle_connections_are_few_and_short_lived(start: Start, backend: Listener) -> None:
    proxied = await start(upstream={"idle_timeout": 1.0, "idle_limit": 2})
    browsers = [await proxied.browser() for _ in range(4)]
    asked = []
    for browser in browsers:
        await browser.send(GET % b"/")
        asked.append(await backend.accept())
        await asked[-1].head()
    for browser, connection in zip(browsers, asked, strict=True):
        await connection.send(OK)
        await browser.until(b"ok")
    ended = await asyncio.gather(*(connection.hear_end(3.0) for connection in asked))
    assert sum(1 for seconds in ended if seconds < 0.5) == 2
    assert all(seconds < 1.5 for seconds in ended)


async def test_connection_that_said_something_unasked_is_not_reused(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(GET % b"/1")
    idle = await backend.accept()
    await idle.head()
    await idle.send(OK)
    await browser.until(b"ok")
    await idle.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    await asyncio.sleep(0.05)
    await browser.send(GET % b"/2")
    fresh = await backend.accept()
    await fresh.head()
    await fresh.send(OK)
    assert await browser.until(b"ok") == OK
