"""What a browser that is slow on purpose, or takes too much, comes up against (P7)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start, Wire

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


async def drip(wire: Wire, data: bytes, seconds: float) -> None:
    """One byte after the other, until the connection ends."""
    for index in range(len(data)):
        try:
            await wire.send(data[index : index + 1])
        except ConnectionError:
            return
        await asyncio.sleep(seconds)


async def ask(browser: Wire, backend: Listener) -> Wire:
    """A request and its answer, after which the connection stays open."""
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(OK)
    await browser.until(b"ok")
    return asked


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: h\r\nA: "])
async def test_head_that_drips_is_408(start: Start, backend: Listener, begin: bytes) -> None:
    """Slowloris: every byte is on time, and the head never whole."""
    proxied = await start(head_timeout=0.3)
    browser = await proxied.browser()
    await browser.send(begin)
    dripping = asyncio.create_task(drip(browser, b"b" * 500, 0.02))
    assert (await browser.head()).startswith(b"HTTP/1.1 408 ")
    answer = json.loads(await browser.rest())
    assert answer == {"error": "The head of the request did not arrive in 0.3 s.", "code": "request_timeout"}
    await dripping
    assert await backend.nobody_comes()


async def test_second_head_on_a_connection_that_drips_is_408(start: Start, backend: Listener) -> None:
    proxied = await start(head_timeout=0.3)
    browser = await proxied.browser()
    await ask(browser, backend)
    await asyncio.sleep(0.4)  # idle for longer than a head may take
    dripping = asyncio.create_task(drip(browser, GET[:-2] + b"b" * 500, 0.02))
    head = await browser.head()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head
    await browser.rest()
    await dripping


FIELD = b"A: " + bytes(60_000).replace(b"\0", b"a") + b"\r\n"


@pytest.mark.parametrize("pipelined", [0, 1], ids=["first", "behind another"])
async def test_head_over_256_kib_is_431(start: Start, backend: Listener, pipelined: int) -> None:
    """Each field is within its limit, and so is their number: together they may be megabytes."""
    proxied = await start()
    browser = await proxied.browser()
    await browser.send(GET * pipelined)
    for _ in range(pipelined):
        asked = await backend.accept()
        await asked.head()
    sending = asyncio.create_task(browser.send(GET[:-2] + FIELD * 90 + b"\r\n"))
    for _ in range(pipelined):
        await asked.send(OK)
        await browser.until(b"ok")
    assert (await browser.head()).startswith(b"HTTP/1.1 431 ")
    assert await backend.nobody_comes(0.01)
    with contextlib.suppress(ConnectionError):
        await sending


async def test_head_under_256_kib_goes_on(start: Start, backend: Listener) -> None:
    proxied = await start()
    browser = await proxied.browser()
    await browser.send(GET[:-2] + FIELD * 4 + b"\r\n")
    asked = await backend.accept()
    assert (await asked.head()).count(FIELD) == 4
    await asked.send(OK)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_connection_that_says_nothing_ends_in_silence(start: Start) -> None:
    """A browser that had opened it in case it needs one would take a 408 for the answer to its next request."""
    proxied = await start(head_timeout=0.2)
    browser = await proxied.browser()
    assert await browser.rest() == b""
    assert not browser.was_reset


async def test_head_in_pieces_is_as_good_as_whole(start: Start, backend: Listener) -> None:
    """The time for it begins with its first byte, and is over with its last."""
    proxied = await start(head_timeout=0.4)
    browser = await proxied.browser()
    await asyncio.sleep(0.3)
    await browser.send(GET[:9])
    await asyncio.sleep(0.3)
    await browser.send(GET[9:])
    asked = await backend.accept()
    await asked.head()
    await asyncio.sleep(0.5)
    await asked.send(OK)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 ")


async def test_body_that_drips_is_408_and_gives_the_backend_back(start: Start, backend: Listener) -> None:
    """Every byte is well within patience, and they would hold a backend connection for ever."""
    proxied = await start(patience=0.4, body_rate=1000)
    browser = await proxied.browser()
    await browser.send(POST % 70_000 + BEGUN)
    asked = await backend.accept()
    await asked.until(BEGUN)
    dripping = asyncio.create_task(drip(browser, bytes(4000), 0.05))
    assert (await browser.head()).startswith(b"HTTP/1.1 408 ")
    assert json.loads(await browser.rest())["code"] == "request_timeout"
    assert len(await asked.rest()) < 50
    await dripping


async def test_short_body_that_drips_is_408_and_the_backend_never_hears_of_it(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.4, body_rate=1000)
    browser = await proxied.browser()
    await browser.send(POST % 5000)
    dripping = asyncio.create_task(drip(browser, bytes(5000), 0.05))
    assert (await browser.head()).startswith(b"HTTP/1.1 408 ")
    assert json.loads(await browser.rest())["code"] == "request_timeout"
    assert await backend.nobody_comes(0.01)
    await dripping


async def test_body_that_was_fast_at_first_may_not_drip_for_that(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.3, body_rate=1000)
    browser = await proxied.browser()
    await browser.send(POST % 200_000 + bytes(100_000))
    dripping = asyncio.create_task(drip(browser, bytes(5000), 0.05))
    asked = await backend.accept()
    await asked.head()
    await asked.take(100_000)
    assert (await browser.head()).startswith(b"HTTP/1.1 408 ")
    await browser.rest()
    await dripping


async def test_slow_body_that_keeps_up_is_carried_out(start: Start, backend: Listener) -> None:
    proxied = await start(patience=0.3, body_rate=100)
    browser = await proxied.browser()
    await browser.send(POST % 100)
    dripping = asyncio.create_task(drip(browser, bytes(100), 0.008))
    asked = await backend.accept()
    assert await asked.answer_with(OK, 100) == bytes(100)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 ")
    await dripping


async def test_time_in_which_the_backend_takes_nothing_is_not_the_browsers(start: Start, backend: Listener) -> None:
    """The browser could have sent, had anybody read."""
    proxied = await start(patience=0.3, body_rate=1000)
    browser = await proxied.browser()
    much = 16 * 1024 * 1024
    sending = asyncio.create_task(browser.send(POST % much + bytes(much)))
    asked = await backend.accept()
    await asked.head()
    await asyncio.sleep(0.6)
    await asked.take(much)
    await asked.send(OK)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 ")
    await sending


async def occupy(proxied: Proxied, backend: Listener, count: int) -> list[Wire]:
    browsers = [await proxied.browser() for _ in range(count)]
    for browser in browsers:
        await ask(browser, backend)
    return browsers


async def test_connection_above_a_clients_limit_is_429(start: Start, backend: Listener) -> None:
    proxied = await start(connections=2, uncounted=())
    first, _ = await occupy(proxied, backend, 2)
    surplus = await proxied.browser()
    await surplus.send(GET)
    head = await surplus.head()
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"Connection: close" in head
    answer = json.loads(await surplus.rest())
    assert answer["code"] == "too_many_connections"
    assert answer["error"].startswith("Your address has more than 2 connections open")
    first.close()
    await asyncio.sleep(0.05)
    await ask(await proxied.browser(), backend)


async def test_connections_beyond_those_that_are_refused_are_dropped(start: Start, backend: Listener) -> None:
    proxied = await start(connections=1, uncounted=())
    await occupy(proxied, backend, 1)
    await proxied.browser()
    dropped = await proxied.browser()
    assert await dropped.rest() == b""
    assert await backend.nobody_comes()


async def test_rules_can_change_while_it_serves(start: Start, backend: Listener) -> None:
    proxied = await start(connections=1, uncounted=())
    await occupy(proxied, backend, 1)
    proxied.server.rules = replace(proxied.server.rules, connections=2)
    await ask(await proxied.browser(), backend)
