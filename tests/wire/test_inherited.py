"""Sockets that outlive the process: nobody is refused between one proxy and the next."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from proxy.http.downstream.inherited import Inherited
from proxy.http.downstream.response import reply
from proxy.http.downstream.server import Server, tls_context
from proxy.http.message import Answer
from tests.wire.conftest import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MANY = 50


def says(name: bytes) -> Server:
    """A server that answers every request with its name."""

    async def handler(request: Request) -> Response:
        return reply(request, Answer(200, b"OK", ((b"Content-Length", b"%d" % len(name)),), name))

    return Server(handler)


@pytest.fixture
def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextlib.asynccontextmanager
async def inherited(
    name: bytes, *sockets: socket.socket, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Inherited]:
    """A process that was given these sockets."""
    server = says(name)
    async with Inherited(server, [sock.dup() for sock in sockets], tls=tls) as listener:
        yield listener
    await server.finish(0.1)


async def connect(where: socket.socket) -> Wire:
    sock = socket.socket(where.family)
    sock.settimeout(0.0)
    await asyncio.get_running_loop().sock_connect(sock, where.getsockname())
    return Wire(sock)


async def ask_anew(where: socket.socket) -> bytes:
    """The name of whoever serves a new connection."""
    with contextlib.closing(await connect(where)) as browser:
        await browser.send(GET)
        await browser.head()
        return await browser.take(3)


async def test_it_serves_on_every_socket(listening: socket.socket, tmp_path: Path) -> None:
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "in.sock"))
    local.listen()

    async with inherited(b"one", listening, local):
        assert [await ask_anew(where) for where in (listening, local)] == [b"one", b"one"]
    local.close()
    listening.close()


@pytest.mark.realtime
async def test_a_successor_gets_every_new_connection(listening: socket.socket) -> None:
    """By being quicker: whoever nobody has taken for a while is still served by the old one."""
    async with inherited(b"old", listening) as old:
        assert await ask_anew(listening) == b"old"
        async with inherited(b"new", listening):
            old.hand_over()
            assert {await ask_anew(listening) for _ in range(MANY)} == {b"new"}
    listening.close()


async def test_a_connection_between_two_requests_moves_to_the_successor(listening: socket.socket) -> None:
    async with inherited(b"old", listening) as old, inherited(b"new", listening):
        browsers = [await connect(listening) for _ in range(MANY)]
        for browser in browsers:
            await browser.send(GET)
            await browser.head()
        of_old = [browser for browser in browsers if await browser.take(3) == b"old"]
        old.hand_over()
        for browser in of_old:
            assert await browser.rest() == b""
        for browser in browsers:
            browser.close()
    listening.close()


async def test_without_a_successor_everybody_is_still_served(listening: socket.socket) -> None:
    """A Stop must get through while the last turns are relayed."""
    async with inherited(b"old", listening) as old:
        old.hand_over()
        asked = [asyncio.create_task(ask_anew(listening)) for _ in range(MANY)]
        assert set(await asyncio.gather(*asked)) == {b"old"}
    listening.close()


async def test_who_comes_in_between_waits_for_the_successor(listening: socket.socket) -> None:
    async with inherited(b"old", listening):
        pass
    asked = asyncio.create_task(ask_anew(listening))
    await asyncio.sleep(0.05)
    async with inherited(b"new", listening):
        assert await asked == b"new"
    listening.close()


async def test_it_speaks_tls_before_and_after_it_has_handed_over(listening: socket.socket, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def ask_by_tls() -> bytes:
        port = listening.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="localhost")
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        name = await reader.readexactly(3)
        writer.close()
        await writer.wait_closed()
        return name

    async with inherited(b"tls", listening, tls=tls_context(tmp_path / "cert.pem")) as listener:
        assert await ask_by_tls() == b"tls"
        listener.hand_over()
        with contextlib.closing(await connect(listening)) as stranger:
            await stranger.send(GET)  # no TLS: it is refused, and nobody else is
            assert GET[:4] not in await stranger.rest()
        assert await ask_by_tls() == b"tls"
    listening.close()


async def test_its_end_closes_its_sockets(listening: socket.socket) -> None:
    where = listening.getsockname()
    async with inherited(b"one", listening) as listener:
        listening.close()
        listener.hand_over()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, where)
