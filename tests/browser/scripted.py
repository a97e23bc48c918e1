"""A backend that plays a script, and a page that tells what it saw of it, with the proxy in between or without."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxy.app import running
from proxy.config import ListenSettings, Settings, UpstreamSettings
from proxy.events.guard import InternalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from proxy.events.event import Event

PATIENCE = 30.0
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n<!doctype html><p>here"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
NO_MORE = b"HTTP/1.1 204 No Content\r\n\r\n"
END = b"event: end\ndata\n\n"
"""Upon which the page closes its EventSource."""

SOON = b"retry: 20\n\n"
"""So that a test does not wait for Chromium's three seconds."""

PATH = "/api/sessions/events?a=b"
"""A stream that the proxy does not look at."""

WATCH = """
([path, credentials, host]) => new Promise(resolve => {
  const base = host ? `${location.protocol}//${host}:${location.port}` : location.origin;
  const source = new EventSource(base + path, {withCredentials: credentials});
  const seen = window.seen = [];
  const done = () => { source.close(); seen.push(['closed', source.readyState]); resolve(seen); };
  const own = text => text.replace(base, '');
  const hear = e => {
    seen.push([e.type, e.data.length > 1000 ? e.data.length : e.data, e.lastEventId, own(e.origin)]);
    if (e.type === 'end') done();
  };
  source.onopen = () => seen.push(['open', source.readyState, source.withCredentials]);
  source.onerror = () => { seen.push(['error', source.readyState]); if (source.readyState === 2) done(); };
  for (const type of ['message', 'token', 'Token', 'h\u00e9', ' two', 'end']) source.addEventListener(type, hear);
  window.source = source;
})
"""


def head(*fields: bytes, status: bytes = b"200 OK", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([version + b" " + status, *fields, b"", b""])


STREAM = b"Content-Type: text/event-stream"
UNFRAMED = head(STREAM, b"Cache-Control: no-cache", b"Connection: close")


@dataclass
class Script:
    """What a backend does with one connection: what it says, piece by piece, and whether it then hangs up."""

    pieces: list[bytes]
    hangs_up: bool = True


def says(*pieces: bytes) -> Script:
    """Says it, and hangs up."""
    return Script(list(pieces))


def streams(*pieces: bytes) -> Script:
    """An event stream that ends with its connection."""
    return Script([UNFRAMED, *pieces])


@dataclass
class Backend:
    """Plays its scripts to the connections that ask for a stream, one after the other, and then says 204.

    Attributes:
        heard: What was asked for, each time, but for what differs by who connects.
        left: Set when a connection that was left open has ended.
    """

    scripts: list[Script]
    heard: list[tuple[bytes, ...]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(await reader.readuntil(b"\r\n\r\n"), reader, writer):
                pass
        writer.close()

    async def _answer(self, asked: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        target = asked.split(b" ")[1]
        if not target.startswith(b"/api/"):
            writer.write(PAGE if target == b"/" else MISSING)
            return True
        self.heard.append(_told(asked))
        script = self.scripts.pop(0) if self.scripts else Script([NO_MORE])
        for piece in script.pieces:
            writer.write(piece.replace(b"ORIGIN", _value(asked, b"Origin")))
            await writer.drain()
            await asyncio.sleep(0)
        if not script.hangs_up:
            with suppress(ConnectionError):
                await reader.read()
            self.left.set()
        return False


ABOUT_THE_STREAM = (b"accept:", b"accept-encoding:", b"cache-control:", b"last-event-id:", b"cookie:", b"pragma:")


def _told(asked: bytes) -> tuple[bytes, ...]:
    line, *fields = asked.split(b"\r\n")
    return line.split(b"?")[0], *sorted(one for one in fields if one.lower().startswith(ABOUT_THE_STREAM))


def _value(asked: bytes, name: bytes) -> bytes:
    return b"".join(line.partition(b": ")[2] for line in asked.split(b"\r\n") if line.startswith(name + b": "))


@asynccontextmanager
async def backend_of(*scripts: Script, kind: type[Backend] = Backend) -> AsyncIterator[tuple[Backend, str]]:
    backend = kind(list(scripts))
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
    try:
        yield backend, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def guarded(upstream: str) -> AsyncIterator[str]:
    """The proxy in front of a backend, with the settings it is shipped with; no internal error may be left."""
    errors: list[dict[str, object]] = []

    def report(event: Event, /) -> None:
        if isinstance(event, InternalError):
            errors.append(event.fields())

    settings = Settings(listen=ListenSettings(port=0), upstream=UpstreamSettings(url=upstream))
    async with running(settings, report) as proxy:
        yield proxy.url
    assert errors == []


@asynccontextmanager
async def way(upstream: str, *, proxied: bool) -> AsyncIterator[str]:
    """Where a page is opened."""
    if not proxied:
        yield upstream
        return
    async with guarded(upstream) as url:
        yield url


async def play(
    tab: Page,
    scripts: list[Script],
    *,
    proxied: bool,
    path: str = PATH,
    credentials: bool = False,
    host: str = "",
) -> tuple[list[Any], list[tuple[bytes, ...]]]:
    """What the page saw, and what the backend heard."""
    async with backend_of(*scripts) as (backend, upstream), way(upstream, proxied=proxied) as url:
        await tab.goto(url + "/")
        async with asyncio.timeout(PATIENCE):
            seen = await tab.evaluate(WATCH, [path, credentials, host])
        return seen, backend.heard
