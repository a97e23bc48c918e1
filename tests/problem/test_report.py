"""A whole report: all that can be had is in it, and no secret, wherever they were planted."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from proxy.config import AdminSettings, Settings, TraceSettings, UpstreamSettings, UserError
from proxy.problem import Wanted, report, write
from tests.verify.doctored import read

SECRET = "Zm9yYmlkZGVu"
"""Part of every secret that is planted."""

COOKIE = f"hermes_session=c{SECRET}; theme=dark"
TOKEN = f"a-token-of-the-admin-{SECRET}"
LEAKS = {"cookie": SECRET, "url": f"http://me:{SECRET}@h/?t={SECRET}", "note": SECRET, "client": SECRET}
"""Fields that nothing of ours has."""

LOG = [
    {"event": "cancel_settled", "level": "info", "stream": f"57ea3000{SECRET}", "took": 0.1, **LEAKS},
    {"event": f"upstream http://me:{SECRET}@hermes:8787 said Cookie: {SECRET}", "level": "error"},
    {"event": "the guard failed", "exception": f"Traceback (most recent call last):\nValueError: {SECRET}\n  {SECRET}"},
    {"event": "request_ended", "status": 500, "path": f"/x?token={SECRET}", "error": f"password={SECRET}", **LEAKS},
]


async def _admin(request: web.Request) -> web.Response:
    """An admin listener that says more than it should."""
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    lanes = {"relays": {"in_use": 3, "limit": 80, "secret": SECRET}}
    said: dict[str, Any] = {"state": "serving", "upstream": f"http://me:{SECRET}@h", "lanes": lanes, SECRET + "!": 1}
    return web.json_response({**said, **LEAKS, "cancels": [{"id": "c-1", "stream": f"57ea3000{SECRET}", **LEAKS}]})


async def _backend(request: web.Request) -> web.Response:
    """Something that is not Hermes, and repeats what it is told."""
    headers = {"Server": f"leaky token={SECRET}", "Set-Cookie": f"a={SECRET}", "Via": f"1.1 http://me:{SECRET}@x"}
    return web.json_response({"cookie": request.headers.get("Cookie"), "secret": SECRET}, headers=headers)


class Home:
    """A deployment full of secrets."""

    def __init__(self, folder: Path, admin: BaseTestServer, backend: BaseTestServer) -> None:
        self.folder = folder
        self.trace = folder / "trace.jsonl"
        begun, *lines = read("v0.52.262")
        leaky = [{**lines[0], **LEAKS, "why": f"password={SECRET}"}, *lines[1:]]
        self.trace.write_text("".join(f"{json.dumps(line)}\n" for line in [begun, *leaky]))
        self.settings = Settings(
            upstream=UpstreamSettings(url=str(backend.make_url("/")).rstrip("/")),
            admin=AdminSettings.model_validate({"port": admin.port, "token": TOKEN}),
            trace=TraceSettings(path=self.trace),
        )
        self.environment = {
            "STREAM_GUARD__ADMIN__TOKEN": TOKEN,
            "HERMES_COOKIE": COOKIE,
            "OTHER_PASSWORD": f"p{SECRET}",
        }

    async def report(self, settings: Settings | None = None, *, log: list[str] | None = None) -> str:
        wanted = Wanted(self.folder / "guard.yaml", COOKIE, log, self.environment)
        return await asyncio.to_thread(report, settings or self.settings, wanted)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with AsyncExitStack() as stack:
        servers = []
        for handler in (_admin, _backend):
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
            servers.append(await stack.enter_async_context(TestServer(app)))
        yield Home(tmp_path, *servers)


async def test_no_secret_is_in_it_wherever_one_was(home: Home) -> None:
    log = [json.dumps(line) for line in LOG]
    text = await home.report(log=[*log, f"not JSON: {SECRET}", f"host: {log[0]}"])
    assert SECRET not in text
    assert TOKEN not in text


async def test_what_is_needed_is_in_it(home: Home) -> None:
    text = await home.report(log=[json.dumps(line) for line in LOG])
    for told in (
        '"proxy": "',
        '"file": "guard.yaml"',
        "STREAM_GUARD__ADMIN__TOKEN",
        '"settle_timeout": "10s"',
        '"code": "not_hermes"',
        "== GET /api/cancels?limit=50",
        '"limit": 80',
        "== log: 4 lines of 4; 0 were not JSON, and are left out",
        '"event":"cancel_settled"',
        '"stream":"57ea3000"',
        "== trace trace.jsonl",
        '"event":"trace_begun"',
    ):
        assert told in text
    assert "== missing" not in text


async def test_what_cannot_be_had_is_said_and_ends_nothing(home: Home, unused_tcp_port: int) -> None:
    nobody = UpstreamSettings(url=f"http://127.0.0.1:{unused_tcp_port}")
    admin = home.settings.admin.model_copy(update={"port": unused_tcp_port})
    text = await home.report(
        home.settings.model_copy(update={"upstream": nobody, "admin": admin, "trace": TraceSettings()})
    )
    assert '"code": "unreachable"' in text
    asked = f"The running proxy could not be asked at http://127.0.0.1:{unused_tcp_port}: "
    assert f"{asked}is it running, and is --admin where it listens?" in text
    assert "No trace is written: set trace.path" in text
    assert "No log was given: pipe it in with --log -" in text


async def test_a_proxy_without_an_admin_listener_is_not_asked(home: Home) -> None:
    off = home.settings.admin.model_copy(update={"enabled": False})
    text = await home.report(home.settings.model_copy(update={"admin": off}))
    assert "admin.enabled is false" in text
    assert "== GET" not in text


async def test_a_listener_on_every_address_is_asked_on_this_host(home: Home) -> None:
    everywhere = home.settings.admin.model_copy(update={"host": "0.0.0.0"})
    assert "== GET /api/status" in await home.report(home.settings.model_copy(update={"admin": everywhere}))


async def test_a_trace_that_is_not_there_yet_is_said(home: Home) -> None:
    home.trace.unlink()
    assert "There is no file at trace.path yet." in await home.report()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = write("text", tmp_path / "report.txt")
    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write("text", tmp_path / "report.txt")
    with pytest.raises(UserError, match=r"^--output: .*report\.txt is there already; name another file$"):
        write("more", tmp_path / "report.txt")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    expected = r"^--output: cannot write .*No such file or directory; name another file, or - to print it$"
    with pytest.raises(UserError, match=expected):
        write("text", tmp_path / "none/report.txt")
