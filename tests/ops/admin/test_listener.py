"""The application on TCP, and its bounds."""

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from proxy.ops.admin.listener import CONNECTIONS
from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from tests.ops.admin.conftest import Operator

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
