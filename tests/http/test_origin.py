"""Where the backend is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import BackendUnreachableError
from proxy.http.origin import Origin

if TYPE_CHECKING:
    import ssl


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
        await origin.connect(1.0)


def test_tls_checks_certificates() -> None:
    context: ssl.SSLContext | None = Origin.parse("https://hermes").tls
    assert context is not None
    assert context.check_hostname
