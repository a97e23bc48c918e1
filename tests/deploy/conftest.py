"""The shipped web server configurations at work: a browser, nginx or Caddy, the proxy, and a backend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from proxy.app import running
from proxy.config import ClientSettings, ListenSettings, Settings, UpstreamSettings
from tests.deploy.http2 import Http2Browser
from tests.deploy.programs import child, need
from tests.support.notes import Notes
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "hermes.example.org"

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    sendfile on;
    tcp_nopush on;
    gzip on;
    gzip_proxied any;
    gzip_types text/event-stream;
    include {server};
}}
"""
"""What is around a server block on somebody's machine, and compresses whatever it can."""

CADDY = """
{
	admin off
	auto_https disable_redirects
}

"""


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and key as files, and the authority that a browser has to trust."""

    cert: Path
    key: Path
    authority: trustme.CA

    def trusted(self, protocol: str) -> ssl.SSLContext:
        """How a browser that speaks `protocol` (RFC 7301) connects."""
        context = ssl.create_default_context()
        context.set_alpn_protocols([protocol])
        self.authority.configure_trust(context)
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    cert, key = folder / "cert.pem", folder / "key.pem"
    for part in issued.cert_chain_pems:
        part.write_to_path(str(cert), append=True)
    issued.private_key_pem.write_to_path(str(key))
    return Certificate(cert, key, authority)


def fitted(shipped: Path, changes: dict[str, str]) -> str:
    """A shipped file with this machine's addresses and certificate in it, and nothing else changed."""
    text = shipped.read_text()
    for old, new in changes.items():
        assert old in text, f"{shipped.name} says {old!r} no more"
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, certificate: Certificate, *, port: int, proxy: int) -> list[str]:
    """Runs nginx, from the files that this writes."""
    changes = {
        "127.0.0.1:8788": f"127.0.0.1:{proxy}",
        "listen [::]:80;": "",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen [::]:443 ssl http2;": "",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(certificate.cert),
        f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(certificate.key),
    }
    server = folder / "server.conf"
    server.write_text(fitted(DEPLOY / "nginx.conf", changes))
    (folder / "nginx.conf").write_text(NGINX.format(server=server))
    return [need("nginx"), "-p", str(folder), "-c", "nginx.conf"]


def caddy_command(folder: Path, certificate: Certificate, *, port: int, proxy: int) -> list[str]:
    """Runs Caddy, from the file that this writes."""
    tls = f"\n\tbind 127.0.0.1\n\ttls {certificate.cert} {certificate.key}"
    changes = {"127.0.0.1:8788": f"127.0.0.1:{proxy}", f"\n{NAME} {{": f"\n{NAME}:{port} {{{tls}"}
    (folder / "Caddyfile").write_text(CADDY + fitted(DEPLOY / "Caddyfile", changes))
    return [need("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


COMMANDS = {"nginx": nginx_command, "caddy": caddy_command}


class Loopback(AbstractResolver):
    """Every name is this host."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        """See `AbstractResolver`."""
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """See `AbstractResolver`."""


@dataclass
class Front:
    """A web server in front of the proxy."""

    port: int
    certificate: Certificate
    stack: contextlib.AsyncExitStack

    @property
    def authority(self) -> str:
        return f"{NAME}:{self.port}"

    async def browser(self, source: str = "127.0.0.1") -> Http2Browser:
        """A new connection of a browser that speaks HTTP/2."""
        browser = await Http2Browser(self.authority).connect(self.certificate.trusted("h2"), source=source)
        self.stack.push_async_callback(browser.close)
        return browser

    async def session(self) -> aiohttp.ClientSession:
        """A client that finds it by its name."""
        connector = aiohttp.TCPConnector(ssl=self.certificate.trusted("http/1.1"), resolver=Loopback())
        return await self.stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection that speaks HTTP/1.1, to be written and read by hand."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.certificate.trusted("http/1.1"), server_hostname=NAME
        )
        self.stack.push_async_callback(_hang_up, writer)
        return reader, writer


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture(params=sorted(COMMANDS))
async def put_in_front(
    request: pytest.FixtureRequest, tmp_path: Path, certificate: Certificate
) -> AsyncIterator[Callable[[str], Awaitable[Front]]]:
    """Puts a proxy in front of a backend, and each web server in front of the proxy."""
    async with contextlib.AsyncExitStack() as stack:

        async def put(backend: str) -> Front:
            settings = Settings(
                listen=ListenSettings(port=0),
                upstream=UpstreamSettings(url=backend),
                client=ClientSettings.model_validate({"trusted_proxies": ["127.0.0.1/32"]}),
            )
            proxy = await stack.enter_async_context(running(settings, Notes()))
            port = free_port()
            command = COMMANDS[request.param](tmp_path, certificate, port=port, proxy=int(proxy.url.rpartition(":")[2]))
            env = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
            server = await stack.enter_async_context(child(tmp_path / "log", *command, env=env))
            await server.until_it_listens(port)
            return Front(port, certificate, stack)

        yield put
