"""Nothing that somebody could use or should not read is ever logged: the whole proxy, at its most talkative."""

import asyncio
import io
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from proxy.app import running
from proxy.config import ListenSettings, LogSettings, Settings, UpstreamSettings
from proxy.demo import Backend
from proxy.guard.handler import Handler
from proxy.ops import log
from tests.support.lab import FAST, Browser
from tests.support.raw import RawBrowser

SECRET = "Zm9yYmlkZGVu"
"""Part of every secret that is sent."""

HEADERS = {"Cookie": f"hermes_session={SECRET}", "Authorization": f"Bearer {SECRET}"}
QUERY = f"token={SECRET}&stream_id={SECRET}"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


@dataclass
class Talkative:
    """A proxy that logs all it can."""

    browser: Browser
    port: int

    async def send(self, request: bytes) -> None:
        raw = RawBrowser(self.port)
        await raw.connect()
        await raw.send(request)
        await raw.rest()
        raw.close()


class Stderr(io.StringIO):
    """Keeps what is written."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(params=["json", "console", "terminal"])
async def talkative(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Talkative]:
    stderr = Stderr(terminal=request.param == "terminal")
    monkeypatch.setattr(sys, "stderr", stderr)
    log.configure(None if request.param == "terminal" else request.param, "debug")
    async with Backend(pace=FAST) as backend, aiohttp.ClientSession() as session:
        settings = Settings(
            listen=ListenSettings(port=0),
            upstream=UpstreamSettings(url=backend.url),
            log=LogSettings(slow_after=0.001),
        )
        report = log.LogReport()
        async with running(settings, report) as proxy:
            asyncio.get_running_loop().set_debug(True)
            yield Talkative(Browser(proxy.url, session), int(proxy.url.rpartition(":")[2]))
            asyncio.get_running_loop().set_debug(False)
    said = stderr.getvalue()
    assert "request_ended" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "path",
    [
        "/api/chat/cancel",
        "/api/chat/stream",
        "/api/chat/stream/status",
        "/api/session/stream",
        "/api/sessions/none",
        f"/share/{'QwErTyUi'}{SECRET}",
    ],
)
async def test_what_a_request_carries(talkative: Talkative, path: str) -> None:
    tab = talkative.browser.watch(f"{path}?{QUERY}")
    await tab.until(lambda tab: tab.status != 0 or tab.ended_at is not None)
    await tab.leave()
    await talkative.browser.call("GET", f"{path.replace('stream', 'none')}?{QUERY}", headers=HEADERS)


async def test_what_a_turn_says(talkative: Talkative) -> None:
    session_id = await talkative.browser.new_session()
    started = await talkative.browser.start(session_id, f"n=3 tag={SECRET}", headers=HEADERS)
    tab = await talkative.browser.open(started.json["stream_id"]).ended()
    assert SECRET in tab.text
    await talkative.browser.cancel(started.json["stream_id"], headers=HEADERS)


async def test_what_is_steered_into_a_turn(talkative: Talkative) -> None:
    """Given back at its end, and refused while it is being cancelled."""
    browser = talkative.browser
    body = {"text": SECRET, "session_id": await browser.new_session()}
    started = await browser.start(body["session_id"], "n=20 d=0.02")
    tab = await browser.open(started.json["stream_id"]).until(lambda tab: "token" in tab.names)
    await browser.call("POST", "/api/chat/steer", json=body)
    assert SECRET in str((await tab.ended()).frames)
    started = await browser.start(body["session_id"], "n=400")
    await browser.open(started.json["stream_id"]).until(lambda tab: "token" in tab.names)
    await browser.call("POST", "/api/chat/steer", json=body)
    await browser.cancel(started.json["stream_id"])
    await browser.call("POST", "/api/chat/steer", json=body)


async def test_what_a_login_says(talkative: Talkative) -> None:
    await talkative.browser.call("POST", "/api/auth/login", json={"password": SECRET}, headers=HEADERS)


@pytest.mark.parametrize(
    "request_",
    [
        f"GET / HTTP/1.1\r\nHost: h\r\nCookie: {SECRET}\0\r\n\r\n",
        f"GET /a{SECRET} b HTTP/1.1\r\nHost: h\r\n\r\n",
        f"{SECRET} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        f"GET /?{SECRET} HTTP/3.0\r\nHost: h\r\n\r\n",
        f"POST /?{SECRET} HTTP/1.1\r\nHost: h\r\nContent-Length: {SECRET}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
        f"GET /?a={SECRET} HTTP/1.1\r\nHost: h\r\nX: {SECRET * 9000}\r\n\r\n",
    ],
)
async def test_what_is_refused(talkative: Talkative, request_: str) -> None:
    await talkative.send(request_.encode("latin-1"))


async def test_what_a_mistake_of_the_proxys_is_about(talkative: Talkative, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback shows code, and no variables."""

    async def mistaken(_self: Handler, request: Any, _call: object) -> None:
        cookie = request.headers["Cookie"]
        assert cookie
        raise ZeroDivisionError

    monkeypatch.setattr(Handler, "_carry_out", mistaken)
    answer = await talkative.browser.call("GET", f"/?{QUERY}", headers=HEADERS)
    assert answer.status == 500
