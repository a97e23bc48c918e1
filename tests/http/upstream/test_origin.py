"""Where the backend is said to be."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from proxy.http.errors import BackendTooSlowError, BackendUnreachableError
from proxy.http.upstream.origin import Origin


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("http://127.0.0.1:8787", "127.0.0.1", 8787, b"127.0.0.1:8787"),
        ("http://hermes/", "hermes", 80, b"hermes:80"),
        ("http://[::1]:8787", "::1", 8787, b"[::1]:8787"),
        ("https://hermes", "hermes", 443, b"hermes:443"),
    ],
)
def test_urls_are_read(url: str, host: str, port: int, authority: bytes) -> None:
    origin = Origin.parse(url)
    assert (origin.host, origin.port, origin.authority, origin.socket) == (host, port, authority, None)
    assert (origin.tls is not None) == url.startswith("https")


def test_unix_sockets_are_read() -> None:
    origin = Origin.parse("unix:///run/hermes.sock")
    assert (origin.socket, origin.authority) == (Path("/run/hermes.sock"), b"localhost")
    assert origin.place == "unix:/run/hermes.sock"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hermes:8787",
        "ftp://hermes",
        "http://",
        "unix://relative",
        "http://hermes/path",
        "http://hermes?x",
        "http://u:p@hermes",
        "http://hermes:99999",
    ],
)
def test_anything_else_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://host:port|only a host|out of range"):
        Origin.parse(url)


def test_authority_file_has_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Origin.parse("https://hermes", ca=tmp_path / "missing.pem")


async def test_socket_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    origin = Origin.parse(f"unix://{tmp_path}/missing.sock")
    with pytest.raises(BackendUnreachableError, match=r"missing\.sock"):
        await origin.connect(1.0, 1.0)


def test_tls_checks_certificates() -> None:
    context: ssl.SSLContext | None = Origin.parse("https://hermes").tls
    assert context is not None
    assert context.check_hostname


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_connection_is_made_where_the_backend_listens(tmp_path: Path) -> None:
    path = tmp_path / "backend.sock"
    on_tcp = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with on_tcp, await asyncio.start_unix_server(hang_up, path):
        for url in (f"http://127.0.0.1:{on_tcp.sockets[0].getsockname()[1]}", f"unix://{path}"):
            connection = await Origin.parse(url).connect(5.0, 5.0)
            assert connection.is_connected
            connection.close()
        await asyncio.sleep(0.01)


async def test_a_backend_that_takes_no_connection_in_time_is_too_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # TLS with it does not begin
        origin = Origin.parse(f"https://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(BackendTooSlowError, match=r"in 0\.05 s"):
            await origin.connect(0.05, 5.0)


async def test_a_certificate_that_nobody_trusts_is_an_error_that_says_so() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls) as listening:
        origin = Origin.parse(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(BackendUnreachableError, match="certificate is not trusted"):
            await origin.connect(5.0, 5.0)
