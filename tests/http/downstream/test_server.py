"""Listening: on TCP, on a Unix socket, with TLS, and on sockets that somebody else made."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from proxy.http.downstream.inherited import Inherited
from proxy.http.downstream.server import Server, listen, listen_unix, tls_context
from tests.http.downstream.browser import GET, OK_WIRE, say_ok

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 5.0


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(GET)
    async with asyncio.timeout(PATIENCE):
        got = await reader.readexactly(len(OK_WIRE))
    writer.close()
    return got


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
async def test_browsers_are_served_on_tcp(host: str) -> None:
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    server = Server(say_ok)
    async with await listen(server, host, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert await answer(*await asyncio.open_connection("127.0.0.1", port)) == OK_WIRE
        await server.shutdown(0.1)


async def test_browsers_are_served_with_tls(tmp_path: Path) -> None:
    authority, cert = trustme.CA(), tmp_path / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(cert))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    server = Server(say_ok)
    async with await listen(server, "127.0.0.1", 0, tls=tls_context(cert)) as listening:
        port = listening.sockets[0].getsockname()[1]
        opened = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="localhost")
        assert await answer(*opened) == OK_WIRE
        await server.shutdown(0.1)


async def test_browsers_are_served_on_a_unix_socket(tmp_path: Path) -> None:
    server, path = Server(say_ok), tmp_path / "socket"
    async with await listen_unix(server, path):
        assert await answer(*await asyncio.open_unix_connection(path)) == OK_WIRE
        await server.shutdown(0.1)


async def test_browsers_are_served_on_inherited_sockets_until_a_successor_takes_them() -> None:
    server = Server(say_ok)
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with Inherited(server, [sock]) as inherited:
        assert await answer(*await asyncio.open_connection("127.0.0.1", port)) == OK_WIRE
        inherited.hand_over()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # nobody else is there
        writer.write(GET)
        async with asyncio.timeout(PATIENCE):
            assert b"Connection: close" in await reader.read()
        writer.close()
    assert sock.fileno() < 0


async def test_inherited_sockets_may_go_unused() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    async with Inherited(Server(say_ok), [sock]):
        pass
    assert sock.fileno() < 0
