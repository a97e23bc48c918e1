"""The proxy as a whole: where it listens, what it announces, and how it begins and ends."""

import asyncio
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import http_parser

from proxy import __version__
from proxy.app import demo, running, serve, startup
from proxy.config import (
    AdminSettings,
    ClientSettings,
    LaneSettings,
    ListenSettings,
    Settings,
    TlsSettings,
    TraceSettings,
    UpstreamSettings,
    UserError,
)
from proxy.demo import Backend
from proxy.events.event import Event
from proxy.http.upstream.lanes import Lane
from proxy.ops import log, systemd
from tests.support.lab import FAST, PATIENCE, Browser, Lab

ANYWHERE = ListenSettings(port=0)
SEEN_ANYWHERE = AdminSettings(port=0)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend(pace=FAST) as running_backend:
        yield running_backend


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture(autouse=True)
def _logging_stays_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "configure", lambda _format, _level: None)


def in_front_of(backend: Backend, *, listen: ListenSettings = ANYWHERE, lanes: LaneSettings | None = None) -> Settings:
    upstream = UpstreamSettings(url=backend.url, lanes=lanes or LaneSettings())
    return Settings(listen=listen, upstream=upstream, admin=SEEN_ANYWHERE)


def nobody(_event: Event, /) -> None:
    """Takes no note."""


class Command:
    """A run of the whole proxy, as the command line starts it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._heard = asyncio.Event()

    def serve(self, settings: Settings) -> asyncio.Task[int]:
        return asyncio.create_task(serve(settings, load=lambda: settings, started=self.announce))

    def announce(self, line: str) -> None:
        self.said.append(line)
        self._heard.set()

    async def started(self, lines: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.said) < lines:
                self._heard.clear()
                await self._heard.wait()


async def whether_authenticated(session: aiohttp.ClientSession, base: str, **options: Any) -> bool:
    async with session.get(f"{base}/api/auth/status", **options) as response:
        return bool((await response.json())["auth_enabled"])


async def test_it_is_told_where_it_listens(backend: Backend, session: aiohttp.ClientSession) -> None:
    async with running(in_front_of(backend), nobody) as proxy:
        assert proxy.url.startswith("http://127.0.0.1:")
        assert not proxy.url.endswith(":0")
        assert await whether_authenticated(session, proxy.url) is False


async def test_it_listens_with_tls(backend: Backend, session: aiohttp.ClientSession, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    tls = TlsSettings(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async with running(in_front_of(backend, listen=ListenSettings(port=0, tls=tls)), nobody) as proxy:
        assert proxy.url.startswith("https://127.0.0.1:")
        assert await whether_authenticated(session, proxy.url, ssl=trusting) is False


async def test_it_listens_on_a_unix_socket(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"

    async with (
        running(in_front_of(backend, listen=ListenSettings(unix=path)), nobody) as proxy,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
    ):
        assert proxy.url == f"unix://{path}"
        assert await whether_authenticated(session, "http://hermes") is False


async def test_it_says_where_it_listens_by_either_family(backend: Backend, session: aiohttp.ClientSession) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6, or keeps it apart")
    async with running(in_front_of(backend, listen=ListenSettings(host="::", port=0)), nobody) as proxy:
        port = proxy.places[0].port
        assert proxy.addresses == f"http://[::]:{port} and http://0.0.0.0:{port}"
        for host in ("[::1]", "127.0.0.1"):
            assert await whether_authenticated(session, f"http://{host}:{port}") is False


async def test_it_listens_on_sockets_that_it_was_given(
    backend: Backend, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """In place of where the settings say; they stay open for whoever comes after it."""
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "given.sock"))
    local.listen()
    for given in (socket.create_server(("127.0.0.1", 0)), local):
        name = given.getsockname()
        async with running(in_front_of(backend), nobody, sockets=[given.dup()]) as proxy:
            if given is local:
                assert proxy.url == f"unix://{name}"
            else:
                assert proxy.url == f"http://127.0.0.1:{name[1]}"
                assert await whether_authenticated(session, proxy.url) is False
        with socket.socket(given.family) as waiting:
            waiting.connect(name)
        given.close()


async def test_what_it_cannot_listen_on_is_an_error(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setattr(systemd, "FIRST_SOCKET", 999)

    with pytest.raises(UserError, match="descriptor 999, given by LISTEN_FDS"):
        await Command().serve(in_front_of(backend))


async def test_a_port_that_is_taken_is_an_error(backend: Backend) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with running(in_front_of(backend, listen=ListenSettings(port=backend.port)), nobody):
            pass


async def test_a_lane_has_the_slots_it_was_given(backend: Backend, session: aiohttp.ClientSession) -> None:
    """F7: the next stream is refused at once, and a call is not."""
    lanes = LaneSettings(control=1, calls=1, relays=1)

    async with running(in_front_of(backend, lanes=lanes), nobody) as proxy:
        browser = Browser(proxy.url, session)
        tab = browser.watch("/api/sessions/events")
        await tab.until(lambda tab: tab.status == 200 or proxy.lanes.in_use(Lane.RELAYS) == 1)
        refused = await browser.call("GET", "/api/sessions/events")
        called = await browser.call("GET", "/api/auth/status")
        await tab.leave()

    assert (refused.status, refused.json["code"]) == (503, "no_capacity")
    assert called.status == 200


async def test_it_may_begin_before_the_backend_does(session: aiohttp.ClientSession) -> None:
    """502 until then, and no restart needed."""
    backend = Backend(pace=FAST)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    settings = Settings(listen=ANYWHERE, upstream=UpstreamSettings(url=f"http://127.0.0.1:{port}"))

    async with running(settings, nobody) as proxy:
        browser = Browser(proxy.url, session)
        before = await browser.call("GET", "/api/auth/status")
        await backend.start(port=port)
        after = await browser.call("GET", "/api/auth/status")
    await backend.close()

    assert (before.status, before.json["code"]) == (502, "backend_unreachable")
    assert after.status == 200


async def test_its_end_leaves_nothing_behind(backend: Backend, session: aiohttp.ClientSession) -> None:
    """P6: with a stream still open, and what was cancelled still settling."""
    lab = Lab(backend, session)
    async with running(in_front_of(backend), lab.report) as proxy:
        lab.guarded_by(proxy)
        _, cancelled, _ = await lab.browser.turn()
        await lab.browser.turn()
        await lab.browser.cancel(cancelled)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < PATIENCE

    await backend.ledger.until(lambda: not backend.ledger.open_streams)
    for tab in lab.browser.tabs:
        await tab.ended()
    with pytest.raises(aiohttp.ClientConnectorError):
        await lab.browser.call("GET", "/api/auth/status")


async def test_a_settled_cancel_leaves_its_receipt(backend: Backend, session: aiohttp.ClientSession) -> None:
    lab = Lab(backend, session)
    async with running(in_front_of(backend), lab.report) as proxy:
        lab.guarded_by(proxy)
        _, stream_id, tab = await lab.browser.turn()
        answer = await lab.browser.cancel(stream_id)
        await tab.ended()
        await lab.until_reported("cancel_settled")

        (settled,) = lab.reported("cancel_settled")
        assert settled["cancel"] == answer.guard["cancel-id"]
        assert settled["stream"] == stream_id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_told_to_stop(
    backend: Backend, session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    command = Command()
    settings = in_front_of(backend)
    serving = command.serve(settings)
    await command.started()
    guarding, seen = command.said
    url = guarding.rpartition(" on ")[2]
    assert guarding == f"guarding {backend.url} on {url}"
    assert seen.startswith("health, metrics and a status page on http://127.0.0.1:")
    assert await whether_authenticated(session, url) is False

    os.kill(os.getpid(), number)

    async with asyncio.timeout(PATIENCE):
        assert await serving == 0
    with pytest.raises(aiohttp.ClientConnectorError):
        await whether_authenticated(session, url)


async def test_it_warns_of_a_hermes_that_anybody_can_reach(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the terminal, behind the line that says where."""
    monkeypatch.setattr(ListenSettings, "is_exposed", property(lambda _listen: True))
    command = Command()
    serving = command.serve(in_front_of(backend))
    await command.started(lines=5)
    assert [line.partition(":")[0] for line in command.said[2:]] == ["WARNING"] * 3
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await serving


async def started_line(settings: Settings, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The fields of the line with which a run's log begins."""
    command = Command()
    with caplog.at_level(logging.INFO):
        serving = command.serve(settings)
        await command.started()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await serving
    (record,) = [record for record in caplog.records if record.message == "started"]
    return vars(record)


async def test_its_log_begins_with_what_it_guards_and_how(
    backend: Backend, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    client = ClientSettings.model_validate({"trusted_proxies": ["10.0.0.0/8"]})
    trace = TraceSettings(path=tmp_path / "trace.jsonl")
    settings = in_front_of(backend).model_copy(update={"client": client, "trace": trace})

    line = await started_line(settings, caplog)

    assert line["version"] == __version__
    assert line["loop"] == "asyncio"
    assert line["listen"].startswith("http://127.0.0.1:")
    assert line["upstream"] == backend.url
    assert (line["reachable"], line["release"]) == (True, None), "a bare checkout does not say what it is"
    assert line["trusted_proxies"] == ["10.0.0.0/8"]
    assert line["lanes"] == {"control": 16, "calls": 24, "relays": 80}
    assert line["trace"] == str(tmp_path / "trace.jsonl")


async def test_it_does_not_wait_for_a_backend_that_hangs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "_PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        upstream = UpstreamSettings(url=f"http://127.0.0.1:{port}")
        settings = Settings(listen=ANYWHERE, upstream=upstream, admin=SEEN_ANYWHERE)
        line = await started_line(settings, caplog)

    assert (line["reachable"], line["release"], line["trace"]) == (False, None, None)


async def test_it_logs_what_becomes_of_requests(
    backend: Backend, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    command = Command()
    with caplog.at_level(logging.INFO):
        serving = command.serve(in_front_of(backend))
        await command.started()
        await whether_authenticated(session, command.said[0].rpartition(" on ")[2])
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await serving

    (line,) = [vars(record) for record in caplog.records if record.message == "request_ended"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/auth/status", 200)


async def test_it_keeps_a_trace_where_it_is_told_to(
    backend: Backend, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """With the limits in force, which `verify` measures by."""
    path = tmp_path / "trace.jsonl"
    command = Command()
    settings = in_front_of(backend).model_copy(update={"trace": TraceSettings(path=path)})
    serving = command.serve(settings)
    await command.started()
    lab = Lab(backend, session)
    lab.browser = Browser(command.said[0].rpartition(" on ")[2], session)
    _, stream_id, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await serving

    begun, *events = [json.loads(line) for line in path.read_text().splitlines()]
    assert begun["event"] == "trace_begun"
    assert begun["settings"]["settle_timeout"] == settings.ownership.settle_timeout
    assert [event["why"] for event in events if event["event"] == "relay_ended"] == ["terminal event"]
    assert [event["stream"] for event in events if event["event"] == "relay_opened"] == [stream_id]


async def test_a_trace_that_cannot_be_written_is_an_error(backend: Backend, tmp_path: Path) -> None:
    trace = TraceSettings(path=tmp_path / "missing" / "trace.jsonl")

    with pytest.raises(UserError, match=r"trace\.path: .*cannot be written"):
        await Command().serve(in_front_of(backend).model_copy(update={"trace": trace}))


@pytest.mark.parametrize("command", [partial(serve, load=Settings), partial(demo, "v0.52.262")], ids=["serve", "demo"])
async def test_without_its_c_extensions_it_does_not_run(monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    """The person at the command line is told, in a sentence."""
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)

    with pytest.raises(UserError, match="C extensions"):
        await command(Settings(listen=ANYWHERE, admin=SEEN_ANYWHERE))


async def test_a_demo_is_a_backend_and_the_proxy_in_front_of_it(session: aiohttp.ClientSession) -> None:
    command = Command()
    settings = Settings(listen=ANYWHERE, admin=SEEN_ANYWHERE)
    playing = asyncio.create_task(demo("v0.51.195", settings, started=command.announce))
    await command.started()
    assert "v0.51.195" in command.said[0]
    guarded, direct, seen = (line.split()[-1].rstrip("/") for line in command.said[1:])
    async with session.get(f"{seen}/api/status") as response:
        status = await response.json()
        assert (status["listening"], status["upstream"]) == (guarded, direct)

    for base in (guarded, direct):
        async with session.get(f"{base}/demo/config.json") as response:
            config = await response.json()
        assert config["release"] == "v0.51.195"
        assert (config["direct"], config["guarded"]) == (direct, guarded)

    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await playing
    with pytest.raises(aiohttp.ClientConnectorError):
        await whether_authenticated(session, direct)
