"""The application on TCP, and its bounds."""

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

import aiohttp
import pytest
from aiohttp import web

from proxy.ops.admin import Admission, application, calls, connection, inheriting, listening
from proxy.ops.admin.listener import CONNECTIONS
from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.ops.metrics import Metrics
    from tests.ops.admin.conftest import Guard, Operator

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def asked(port: int, stack: AsyncExitStack) -> RawBrowser:
    browser = RawBrowser(port)
    stack.callback(browser.close)
    await browser.connect()
    await browser.send(ASK)
    return browser


async def connected(operator: "Operator", stack: AsyncExitStack) -> RawBrowser:
    return await asked(operator.port, stack)


async def silent(operator: "Operator", stack: AsyncExitStack, said: bytes = b"") -> RawBrowser:
    browser = RawBrowser(operator.port)
    stack.callback(browser.close)
    await browser.connect()
    await browser.send(said)
    return browser


async def test_only_so_many_are_connected_at_once_and_the_one_waited_for_longest_makes_room(
    operator: "Operator",
) -> None:
    async with AsyncExitStack() as stack:
        connections = [await connected(operator, stack) for _ in range(CONNECTIONS)]
        for one in connections:
            await one.until(b"ok")
        await connections[0].send(ASK)
        await connections[0].read()
        another = await connected(operator, stack)
        assert b"200 OK" in await another.until(b"ok")
        assert await connections[1].read() == b""
        await connections[0].send(ASK)
        assert b"200 OK" in await connections[0].read()


async def test_so_many_who_come_at_once_are_no_more(operator: "Operator", guard: "Guard") -> None:
    """Each is counted as it comes, not once its turn is over."""
    async with AsyncExitStack() as stack:
        browsers = [RawBrowser(operator.port) for _ in range(CONNECTIONS + 20)]
        for one in browsers:
            stack.callback(one.close)
        await asyncio.gather(*(one.connect() for one in browsers))
        metrics = (await operator.ask("/metrics")).body
    assert b'admin_connections_dropped_total{why="room"} 21.0' in metrics


async def test_where_everybody_is_being_answered_there_is_no_room() -> None:
    dropped, answered = Counter[str](), asyncio.Event()

    async def wait(_request: web.Request) -> web.StreamResponse:
        await answered.wait()
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/healthz", wait)])
    app[calls.METRICS] = cast("Metrics", lambda event: dropped.update([event.why]))
    async with listening(app, "127.0.0.1", 0) as port, AsyncExitStack() as stack:
        answering = [await asked(port, stack) for _ in range(CONNECTIONS)]
        assert await (await asked(port, stack)).rest() == b""
        answered.set()
        for one in answering:
            await one.until(b"200 OK")
    assert dropped == {"full": 1}


SILENCES = {
    "nothing": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: ",
    "half a body": b"POST /api/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
}


@pytest.mark.parametrize("said", SILENCES.values(), ids=SILENCES)
async def test_health_is_told_whoever_says_nothing(operator: "Operator", guard: "Guard", said: bytes) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2 * CONNECTIONS):
            await silent(operator, stack, said)
        for _ in range(10):
            assert (await operator.ask("/healthz")).status == 200
    assert b'admin_connections_dropped_total{why="room"}' in (await operator.ask("/metrics")).body


async def test_whoever_follows_the_events_makes_no_room(operator: "Operator") -> None:
    async with AsyncExitStack() as stack:
        watching = await silent(operator, stack, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await watching.until(b": following")
        for _ in range(2 * CONNECTIONS):
            await silent(operator, stack)
        assert (await operator.ask("/healthz")).status == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await watching.read()


async def test_a_connection_on_which_no_request_comes_ends(
    operator: "Operator", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever drips meanwhile."""
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    async with AsyncExitStack() as stack:
        said = [await silent(operator, stack, text) for text in (b"", b"GET /")]
        for one in said:
            assert await one.rest() == b""


async def test_whoever_takes_no_answers_is_answered_no_further_and_ended(
    operator: "Operator", guard: "Guard", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 1.0)
    async with AsyncExitStack() as stack:
        browser = RawBrowser(operator.port, receive_buffer=4096)
        stack.callback(browser.close)
        await browser.connect()
        with contextlib.suppress(ConnectionError):
            await browser.send_until_blocked(ASK.replace(b"healthz", b"metrics") * 1000, blocked_for=5.0)
        assert b'admin_connections_dropped_total{why="slow"} 1.0' in (await operator.ask("/metrics")).body


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
