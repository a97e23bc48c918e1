"""The application on TCP, and its bounds."""

import logging
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import pytest

from proxy.ops.admin import Admission, application, inheriting
from proxy.ops.admin.listener import CONNECTIONS
from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ops.admin.conftest import Guard, Operator

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def connected(operator: "Operator", stack: AsyncExitStack) -> RawBrowser:
    browser = RawBrowser(operator.port)
    stack.callback(browser.close)
    await browser.connect()
    await browser.send(ASK)
    return browser


async def test_only_so_many_are_connected_at_once(operator: "Operator") -> None:
    async with AsyncExitStack() as stack:
        connections = [await connected(operator, stack) for _ in range(CONNECTIONS)]
        for one in connections:
            await one.until(b"ok")
        refused = await connected(operator, stack)
        assert await refused.rest() == b""
        await connections[0].send(ASK)
        assert b"200 OK" in await connections[0].read()


async def test_a_malformed_request_is_not_quoted_in_the_log(
    operator: "Operator", caplog: pytest.LogCaptureFixture
) -> None:
    """It may hold a token."""
    caplog.set_level(logging.DEBUG)
    async with AsyncExitStack() as stack:
        browser = RawBrowser(operator.port)
        stack.callback(browser.close)
        await browser.connect()
        await browser.send(b"GET /api/status HTTP/1.1\r\nAuthorization Bearer secret-token\r\n\r\n")
        assert b"400 Bad Request" in await browser.rest()

    assert "secret-token" not in caplog.text


async def test_it_serves_on_every_socket_that_it_inherits_and_leaves_them_listening(
    guard: "Guard", tmp_path: "Path"
) -> None:
    """Whoever connects while nobody accepts waits for a successor."""
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "admin.sock"))
    local.listen()
    with socket.create_server(("127.0.0.1", 0)) as listening, local:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/healthz"
        for _ in range(2):
            app = application(guard.views(), guard.metrics, guard.feed, guard.drain, Admission("127.0.0.1", None))
            async with inheriting(app, [listening.dup(), local.dup()]):
                for connector in (aiohttp.TCPConnector(), aiohttp.UnixConnector(str(tmp_path / "admin.sock"))):
                    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
                        assert answer.status == 200
            socket.create_connection(listening.getsockname()).close()
