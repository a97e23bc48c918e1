"""TCP, TLS and Unix sockets, on either side."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
import trustme

from proxy.http.downstream.places import takes_ipv4_as_well
from proxy.http.downstream.rules import Rules
from proxy.http.downstream.server import Server, listen, listen_unix, tls_context
from proxy.http.forward import forward
from proxy.http.upstream.lanes import Lane, Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from tests.wire.conftest import Listener, Start

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENCE = 5.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
async def served(backend: Listener) -> AsyncIterator[Server]:
    upstream = Upstream(Origin.parse(backend.url), Lanes())

    async def handler(request: Request) -> Response:
        return await forward(request, upstream, Lane.CALLS)

    server = Server(handler, Rules(trusted_proxies=(ip_network("127.0.0.1/32"),)))
    yield server
    await server.shutdown(0.1)
    upstream.close()


async def backend_saying_ok(context: ssl.SSLContext | None, path: str | None) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()

    if path is not None:
        return await asyncio.start_unix_server(serve, path)
    return await asyncio.start_server(serve, "localhost", 0, ssl=context)


async def test_browsers_connect_by_tls(
    served: Server, backend: Listener, authority: trustme.CA, tmp_path: Path
) -> None:
    issued = authority.issue_cert("localhost")
    cert = tmp_path / "cert.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(cert))
    listening = await listen(served, "127.0.0.1", 0, tls=tls_context(cert))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    port = listening.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(GET)
    asked = await backend.accept()
    assert b"\r\nX-Forwarded-Proto: https\r\n" in await asked.head()
    await asked.send(OK)
    assert await reader.readuntil(b"ok") == OK
    writer.write(GET)
    await asked.head()
    writer.transport.abort()
    assert await asked.hear_end(5.0) < 2.0
    listening.close()


async def test_handshake_that_never_comes_is_given_up(authority: trustme.CA, tmp_path: Path, served: Server) -> None:
    """P7: it takes no longer than the head of a request may."""
    cert = tmp_path / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(cert))
    served.rules = replace(served.rules, head_timeout=0.2)
    listening = await listen(served, "127.0.0.1", 0, tls=tls_context(cert))
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.sockets[0].getsockname()[1])
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
    writer.close()
    listening.close()


async def test_every_address_is_that_of_both_families(served: Server, backend: Listener) -> None:
    """Who comes by IPv4 has an IPv4 address, for whom it is a client, and for the backend."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6, or keeps it apart")
    listening = await listen(served, "::", 0)
    assert takes_ipv4_as_well(listening.sockets[0])
    port = listening.sockets[0].getsockname()[1]
    for host, said in (("127.0.0.1", b"9.9.9.9, 127.0.0.1"), ("::1", b"::1")):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"))
        asked = await backend.accept()
        assert b"\r\nX-Forwarded-For: %b\r\n" % said in await asked.head()
        writer.close()
        del reader
    listening.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_any_other_address_is_that_of_its_own_family(served: Server, host: str) -> None:
    listening = await listen(served, host, 0)
    assert not any(takes_ipv4_as_well(sock) for sock in listening.sockets)
    listening.close()


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


async def test_a_socket_that_is_served_is_left_to_who_serves_it(served: Server, tmp_path: Path) -> None:
    path = tmp_path / "in.sock"
    first = await listen_unix(served, path)
    with pytest.raises(OSError, match="in use") as told:
        await listen_unix(served, path)
    assert told.value.errno == errno.EADDRINUSE
    connect(path)
    first.close()


async def test_a_socket_with_a_full_backlog_is_served(served: Server, tmp_path: Path) -> None:
    path = tmp_path / "in.sock"
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)  # noqa: FBT003 - its only argument
                waiting.connect(str(path))
        with pytest.raises(OSError, match="in use"):
            await listen_unix(served, path)


async def test_a_dead_socket_is_replaced(served: Server, tmp_path: Path) -> None:
    path = tmp_path / "in.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listening = await listen_unix(served, path)
    connect(path)
    listening.close()


async def test_what_is_no_socket_is_not_replaced(served: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            await listen_unix(served, tmp_path / name)
    assert (tmp_path / "link").read_text() == "kept"


async def test_who_may_connect_is_as_it_was_said(served: Server, tmp_path: Path) -> None:
    own = os.getgid()
    for mode, group in ((0o600, None), (0o660, own), (0o666, None)):
        path = tmp_path / f"{mode}.sock"
        listening = await listen_unix(served, path, mode=mode, group=group)
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (mode, own)
        listening.close()


async def test_a_group_that_is_not_ones_own_is_refused(
    served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refused)
    with pytest.raises(PermissionError):
        await listen_unix(served, tmp_path / "in.sock", group=0)


async def test_browsers_connect_by_unix_socket(served: Server, backend: Listener, tmp_path: Path) -> None:
    """Its peer is this host, so it is believed where 127.0.0.1 is."""
    listening = await listen_unix(served, tmp_path / "in.sock")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "in.sock"))
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n")
    asked = await backend.accept()
    assert b"\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n" in await asked.head()
    await asked.send(OK)
    assert await reader.readuntil(b"ok") == OK
    writer.write(GET * 200)
    await asked.head()
    writer.close()
    assert await asked.hear_end(5.0) < 2.0
    listening.close()


async def test_backend_on_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "out.sock")
    listening = await backend_saying_ok(None, path)
    proxied = await start(url=f"unix://{path}")
    browser = await proxied.browser()
    await browser.send(GET)
    assert await browser.until(b"ok") == OK
    proxied.upstream.close()
    listening.close()


@pytest.mark.parametrize(("ca", "status"), [("own", b"200"), ("none", b"502")])
async def test_backend_by_tls_with_an_own_authority(
    start: Start, authority: trustme.CA, ca_file: Path, ca: str, status: bytes
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    listening = await backend_saying_ok(context, None)
    port = listening.sockets[0].getsockname()[1]
    origin = Origin.parse(f"https://localhost:{port}", ca=ca_file if ca == "own" else None)
    proxied = await start(url=origin)
    browser = await proxied.browser()
    await browser.send(GET)
    assert (await browser.head()).startswith(b"HTTP/1.1 " + status)
    proxied.upstream.close()
    listening.close()


async def test_stale_unix_socket_is_replaced(served: Server, backend: Listener, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "in.sock"))
    listening = await listen_unix(served, tmp_path / "in.sock")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "in.sock"))
    writer.write(b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 501 ")
    writer.close()
    listening.close()
