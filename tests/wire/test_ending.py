"""How a server ends: nothing that is under way breaks off before its time, and nothing idle is waited for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from tests.wire.conftest import Stopwatch
from tests.wire.messages import BEGUN
from tests.wire.test_websocket import joined

if TYPE_CHECKING:
    from proxy.http.clients import Network
    from tests.wire.conftest import Listener, Proxied, Start, Wire

DELETE = b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"  # shares no connection to the backend
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def ask(browser: Wire, backend: Listener) -> Wire:
    """The backend's end of a request that is not answered yet."""
    await browser.send(DELETE)
    asked = await backend.accept()
    await asked.head()
    return asked


async def test_a_connection_between_two_requests_is_closed(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await (await ask(browser, backend)).send(OK)
    assert await browser.until(b"ok") == OK

    proxied.server.retire()

    assert await browser.rest() == b""
    assert not browser.was_reset


async def test_a_request_under_way_is_the_last_of_its_connection(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    asked = await ask(browser, backend)

    proxied.server.retire()
    await asked.send(OK)

    assert await browser.rest() == LAST_OK


async def test_a_new_connection_is_served_once(proxied: Proxied, backend: Listener) -> None:
    """Its browser cannot know better: only a request on an old connection is sent again by itself."""
    before = await proxied.browser()
    other = await proxied.browser()
    await (await ask(other, backend)).send(OK)
    await other.until(b"ok")  # by now the first has been accepted, too

    proxied.server.retire()
    after = await proxied.browser()

    for browser in (before, after):
        await (await ask(browser, backend)).send(OK)
        assert await browser.rest() == LAST_OK


async def test_the_end_waits_for_a_request_and_no_longer(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    asked = await ask(browser, backend)

    async with Stopwatch() as watch:
        finishing = asyncio.create_task(proxied.server.finish(within=60))
        await asyncio.sleep(0.05)
        assert not finishing.done()
        await asked.send(OK)
        assert await browser.rest() == LAST_OK
        await finishing
        assert watch.seconds < 1


async def test_a_body_on_its_way_in_still_arrives(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65539\r\n\r\n" + BEGUN)
    asked = await backend.accept()
    await asked.until(BEGUN)

    finishing = asyncio.create_task(proxied.server.finish(within=60))
    await asyncio.sleep(0)
    await browser.send(b"def")
    assert await asked.take(3) == b"def"
    await asked.send(OK)

    assert await browser.rest() == LAST_OK
    await finishing


async def test_idle_connections_are_not_waited_for(proxied: Proxied, backend: Listener) -> None:
    used, new = await proxied.browser(), await proxied.browser()
    await (await ask(used, backend)).send(OK)
    await used.until(b"ok")

    async with Stopwatch() as watch:
        await proxied.server.finish(within=60)
        assert watch.seconds < 1

    assert await used.rest() == b""
    assert await new.rest() == b""


async def test_what_is_left_is_cut_so_that_it_does_not_look_whole(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    asked = await ask(browser, backend)
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    assert await browser.until(b"half\r\n")

    await proxied.server.finish(within=0.05)

    assert await browser.rest() == b""
    assert browser.was_reset
    assert await asked.rest() == b""


async def test_a_websocket_ends_when_the_backend_has_had_its_say(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await joined(proxied, backend)

    finishing = asyncio.create_task(proxied.server.finish(within=60))
    assert await asked.rest() == b""  # as if the browser had closed it
    await asked.send(b"bye")
    asked.close()

    assert await browser.rest() == b"bye"
    await finishing


@pytest.mark.parametrize("networks", [(), (ip_network("127.0.0.1/32"),)])
async def test_whom_it_believes_may_change_under_a_connection(
    proxied: Proxied, backend: Listener, networks: tuple[Network, ...]
) -> None:
    browser = await proxied.browser()
    await (await ask(browser, backend)).send(OK)
    await browser.until(b"ok")

    proxied.server.rules = replace(proxied.server.rules, trusted_proxies=networks)
    await browser.send(b"DELETE / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
    head = await (await backend.accept()).head()

    assert (b"192.0.2.1" in head) is bool(networks)


async def test_its_patience_may_change_under_a_connection(start: Start, backend: Listener) -> None:
    proxied = await start(patience=60)
    browser = await proxied.browser()
    await (await ask(browser, backend)).send(OK)
    await browser.until(b"ok")

    proxied.server.rules = replace(proxied.server.rules, patience=0.05)
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")

    assert (await browser.head()).startswith(b"HTTP/1.1 408 ")
