"""Changing settings while the proxy runs: what can, what cannot, and that nothing is dropped."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.app import Running, reload, running
from proxy.app.reload import Reload, watch
from proxy.config import LaneSettings, ListenSettings, Settings, SettingsError, UpstreamSettings, changed, load
from proxy.demo import Backend
from proxy.http.upstream.lanes import Lane
from proxy.ops import log
from proxy.ops.trace import Trace
from tests.support.happenings import happened
from tests.support.lab import FAST, PATIENCE, Browser
from tests.support.notes import Notes

MANY = 200


@pytest.fixture(autouse=True)
def _logging_stays_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "set_level", lambda _level: None)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend("v0.51.195", pace=FAST, heartbeat=0.2) as running_backend:  # of a release without F7's bound
        yield running_backend


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        browser = Browser("", session)
        yield browser
        for tab in browser.tabs:
            await tab.leave()


def in_front_of(backend: Backend) -> Settings:
    return Settings(listen=ListenSettings(port=0), upstream=UpstreamSettings(url=backend.url))


def edited(settings: Settings, section: str, **values: Any) -> Settings:
    """The settings with others in one section."""
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})


class Reloaded:
    """A running proxy whose settings are about to be read again."""

    def __init__(self, settings: Settings, proxy: Running, trace: Trace | None = None) -> None:
        self.settings: Settings | SettingsError = settings
        self.notes = Notes()
        self.proxy = proxy
        self.reload = Reload(self._load, settings, proxy, trace, report=self.notes)

    def with_(self, settings: Settings | SettingsError) -> dict[str, object]:
        """What is told of their being read."""
        self.settings = settings
        self.reload()
        return self.notes.said[-1][1]

    def _load(self) -> Settings:
        if isinstance(self.settings, SettingsError):
            raise self.settings
        return self.settings


LIVE: list[tuple[str, str, Any, Callable[[Running], Any]]] = [
    ("client", "trusted_proxies", (ip_network("10.0.0.0/8"),), lambda proxy: proxy.server.rules.trusted_proxies),
    ("client", "local_networks", (ip_network("10.0.0.0/8"),), lambda proxy: proxy.guard.gate.rules.local_networks),
    (
        "client",
        "identity_headers",
        ("who",),
        lambda proxy: tuple(name.decode() for name in proxy.server.rules.identity_headers),
    ),
    ("client", "connections", 7, lambda proxy: proxy.server.rules.connections),
    ("client", "body_rate", 7, lambda proxy: proxy.server.rules.body_rate),
    ("drain", "timeout", 7.0, lambda proxy: proxy.guard.drain.timeout),
    ("drain", "hold", 7.0, lambda proxy: proxy.guard.drain.hold),
    ("log", "slow_after", 7.0, lambda proxy: proxy.observer.slow_after),
    ("ownership", "settle_timeout", 7.0, lambda proxy: proxy.guard.live.now.settle_timeout),
    ("ownership", "answer_timeout", 7.0, lambda proxy: proxy.guard.live.now.answer_timeout),
    ("ownership", "answer_gap", 7.0, lambda proxy: proxy.guard.live.now.answer_gap),
    ("ownership", "stop_timeout", 7.0, lambda proxy: proxy.guard.live.now.stop_timeout),
    ("ownership", "linger", 7.0, lambda proxy: proxy.guard.live.now.linger),
    ("ownership", "start_body_limit", 7, lambda proxy: proxy.guard.live.now.start_body_limit),
    ("ownership", "repeat_starts", False, lambda proxy: proxy.guard.live.now.repeat_starts),
    ("ownership", "sessions", 7, lambda proxy: proxy.guard.store.most),
    ("ownership", "forget_after", 7.0, lambda proxy: proxy.guard.store.forget_after),
    ("relay", "stall_timeout", 7.0, lambda proxy: proxy.server.rules.patience),
    ("relay", "idle_timeout", 7.0, lambda proxy: proxy.guard.live.now.idle_timeout),
    ("relay", "buffer", 7, lambda proxy: proxy.guard.live.now.buffer),
    ("relay", "log", 7, lambda proxy: proxy.guard.live.now.log),
    ("relay", "log_keep", 7.0, lambda proxy: proxy.guard.live.now.log_keep),
    ("relay", "reattach", 7.0, lambda proxy: proxy.guard.live.now.reattach),
    ("upstream", "connect_timeout", 7.0, lambda proxy: proxy.upstream.connect_timeout),
    ("upstream", "response_timeout", 7.0, lambda proxy: proxy.upstream.response_timeout),
    ("upstream", "lane_wait", 7.0, lambda proxy: proxy.lanes.wait),
]


@pytest.mark.parametrize(("section", "name", "value", "in_force"), LIVE, ids=lambda part: str(part)[:20])
async def test_what_can_change_is_in_force_at_once(
    backend: Backend, section: str, name: str, value: Any, in_force: Callable[[Running], Any]
) -> None:
    settings = in_front_of(backend)
    async with running(settings, Notes()) as proxy:
        told = Reloaded(settings, proxy).with_(edited(settings, section, **{name: value}))
        assert told == {"changed": [f"{section}.{name}"], "restart": []}
        assert in_force(proxy) == value


async def test_lanes_change_their_size(backend: Backend) -> None:
    settings = in_front_of(backend)
    async with running(settings, Notes()) as proxy:
        told = Reloaded(settings, proxy).with_(edited(settings, "upstream", lanes=LaneSettings(calls=7)))
        assert told == {"changed": ["upstream.lanes.calls"], "restart": []}
        assert [proxy.lanes.bound(lane) for lane in Lane] == [16, 7, 80]


async def test_the_log_gets_its_level(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []
    monkeypatch.setattr(log, "set_level", levels.append)
    settings = in_front_of(backend)
    async with running(settings, Notes()) as proxy:
        told = Reloaded(settings, proxy).with_(edited(settings, "log", level="debug"))
    assert told == {"changed": ["log.level"], "restart": []}
    assert levels == ["debug"]


async def test_the_trace_tells_the_limits_in_force(backend: Backend, tmp_path: Path) -> None:
    settings, path = in_front_of(backend), tmp_path / "trace.jsonl"
    limits = settings.ownership.model_dump()
    with Trace(path, max_size=1 << 20, keep=1, clock=lambda: 0.0, settings=limits) as trace:
        async with running(settings, trace) as proxy:
            reloaded, lingering = Reloaded(settings, proxy, trace), edited(settings, "ownership", linger=7.0)
            reloaded.with_(lingering)
            trace(happened("internal_error", step="testing"))
            reloaded.with_(edited(lingering, "relay", buffer=7))
            trace(happened("internal_error", step="testing"))
    begun = [line for line in path.read_text().splitlines() if '"trace_begun"' in line]
    assert ['"linger":7.0' in line for line in begun] == [False, True], "no other limits, no other part"


def test_every_live_setting_is_tested_here() -> None:
    """A setting that is declared to be live, and is not, would be a lie."""
    tested = {f"{section}.{name}" for section, name, _, _ in LIVE}
    elsewhere = {"log.level", *(f"upstream.lanes.{lane.value}" for lane in Lane)}
    sections: dict[str, Any] = dict.fromkeys(Settings.model_fields)
    every_path = changed(Settings.model_construct(**sections), Settings())
    declared = {path for path in every_path if path.startswith(reload._LIVE)}
    assert declared == tested | elsewhere
    assert all(any(path.startswith(beginning) for path in declared) for beginning in reload._LIVE)


async def test_what_cannot_change_is_named_until_the_restart(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    settings = in_front_of(backend)
    after = edited(edited(settings, "listen", port=1), "trace", keep=9)
    async with running(settings, Notes()) as proxy:
        reloaded = Reloaded(settings, proxy)
        for _ in range(2):
            told = reloaded.with_(after)
            assert told == {"changed": [], "restart": ["listen.port", "trace.keep"]}
        told = reloaded.with_(settings)
    assert told == {"changed": [], "restart": []}
    said = "changed but not applied until a restart: listen.port, trace.keep"
    assert [record.message for record in caplog.records if "restart" in record.message] == [said] * 2


async def test_bad_settings_change_nothing_and_say_why(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    settings = in_front_of(backend)
    why = "guard.yaml:3: relay.buffer should be a size such as 64KiB"
    async with running(settings, Notes()) as proxy:
        before = proxy.guard.live.now
        reloaded = Reloaded(settings, proxy)
        assert reloaded.with_(SettingsError(why)) == {"why": why}
        assert proxy.guard.live.now is before
        assert reloaded.notes.of("reload_refused")
        assert reloaded.with_(edited(settings, "relay", buffer=7))["changed"] == ["relay.buffer"]
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.message == f"the settings stay as they are: {why}"


async def test_whoever_asks_is_answered_and_nobody_else_is_told_of_nothing(backend: Backend) -> None:
    settings = in_front_of(backend)
    async with running(settings, Notes()) as proxy:
        reloaded = Reloaded(settings, proxy)
        assert reloaded.with_(settings) == {"changed": [], "restart": []}
        reloaded.reload.catch_up()
        assert len(reloaded.notes.said) == 1
        reloaded.settings = edited(settings, "relay", buffer=7)
        reloaded.reload.catch_up()
        assert reloaded.notes.said[-1] == ("reloaded", {"changed": ["relay.buffer"], "restart": []})
        reloaded.settings = SettingsError("bad")
        reloaded.reload.catch_up()
        assert reloaded.notes.said[-1] == ("reload_refused", {"why": "bad"})


async def test_no_relay_is_dropped(backend: Backend, browser: Browser) -> None:
    """Not even when everything changes, and less is allowed than is open."""
    roomy = LaneSettings.model_construct(control=16, calls=24, relays=MANY)
    settings = edited(edited(in_front_of(backend), "upstream", lanes=roomy), "relay", log=0)
    async with running(settings, Notes()) as proxy:
        browser.base = proxy.url
        _, stream_id, _ = await browser.turn("n=10000 d=0.05 tag=A")
        tabs = [browser.open(stream_id) for _ in range(MANY // 2 - 1)]
        tabs += [browser.watch("/api/sessions/events") for _ in range(MANY // 2)]
        for tab in tabs:
            await tab.until(lambda tab: bool(tab.raw))

        after = edited(settings, "upstream", lanes=LaneSettings(relays=1), response_timeout=1.0)
        after = edited(after, "relay", buffer=10, idle_timeout=50.0, stall_timeout=1.0)
        after = edited(after, "ownership", linger=1.0, settle_timeout=1.0, sessions=1)
        assert Reloaded(settings, proxy).with_(after)["restart"] == []

        seen = [len(tab.raw) for tab in browser.tabs]
        for tab, before in zip(browser.tabs, seen, strict=True):
            await tab.until(lambda tab, before=before: len(tab.raw) > before)  # type: ignore[misc]
        assert proxy.lanes.in_use(Lane.RELAYS) == MANY
        assert not [tab for tab in browser.tabs if tab.ended_at is not None]
        assert (await browser.call("GET", "/api/sessions/events")).status == 503


# -- noticing that the file has changed -----------------------------------------------------------


class Watched:
    """A file of settings that is watched, and how often it was found to be another."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.times = -1
        """The first time is when the watching begins."""
        self.is_mistaken = False
        self._changed = asyncio.Event()
        file.write_text("relay: {buffer: 1KiB}\n")
        self.watching = asyncio.create_task(watch(file, self._reload))

    async def is_reloaded(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.times < times:
                self._changed.clear()
                await self._changed.wait()

    def _reload(self) -> None:
        self.times += 1
        self._changed.set()
        if self.is_mistaken:
            raise RuntimeError("injected")


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    folder = tmp_path / "etc"
    folder.mkdir()
    watched = Watched(folder / "guard.yaml")
    await watched.is_reloaded(0)
    yield watched
    watched.watching.cancel()
    await asyncio.wait({watched.watching})


async def test_a_file_that_is_written_anew_is_read(watched: Watched) -> None:
    watched.file.write_text("relay: {buffer: 2KiB}\n")
    await watched.is_reloaded(1)
    watched.file.write_text("relay: {buffer: 3KiB}\n")
    await watched.is_reloaded(2)
    assert load(watched.file).relay.buffer == 3 << 10


async def test_a_file_that_is_replaced_is_read_each_time(watched: Watched) -> None:
    """As most editors do it: what stood there first is another file by now."""
    for times in (1, 2, 3):
        other = watched.file.with_name("guard.yaml.new")
        other.write_text(f"relay: {{buffer: {times + 1}KiB}}\n")
        other.replace(watched.file)
        await watched.is_reloaded(times)


async def test_a_file_that_is_mounted_by_links_is_read(tmp_path: Path) -> None:
    """As container orchestrators do it: the name stays, and leads elsewhere."""
    for number in (1, 2):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "guard.yaml").write_text(f"relay: {{buffer: {number}KiB}}\n")
    (tmp_path / "data").symlink_to("v1")
    file = tmp_path / "guard.yaml"
    file.symlink_to("data/guard.yaml")
    reloaded = asyncio.Event()
    watching = asyncio.create_task(watch(file, reloaded.set))
    async with asyncio.timeout(PATIENCE):
        await reloaded.wait()
    reloaded.clear()

    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").replace(tmp_path / "data")

    async with asyncio.timeout(PATIENCE):
        await reloaded.wait()
    watching.cancel()
    await asyncio.wait({watching})


async def test_neighbours_and_missing_files_are_no_change(watched: Watched) -> None:
    watched.file.with_name("trace.jsonl").write_text("{}\n")
    watched.file.write_bytes(watched.file.read_bytes())
    watched.file.unlink()
    watched.file.with_name("another").write_text("{}\n")
    await asyncio.sleep(0.5)
    assert watched.times == 0

    watched.file.write_text("relay: {buffer: 2KiB}\n")
    await watched.is_reloaded(1)


async def test_a_reload_that_fails_does_not_end_the_watching(watched: Watched) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    watched.is_mistaken = True
    for times in (1, 2):
        watched.file.write_text(f"relay: {{buffer: {times + 1}KiB}}\n")
        await watched.is_reloaded(times)
    assert [str(failure["exception"]) for failure in failures] == ["injected"] * 2
    assert not watched.watching.done()


async def test_where_no_change_is_told_it_is_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems tell of none: the file is looked at now and then."""

    async def silent(*_: Any, **__: Any) -> AsyncIterator[set[Any]]:
        while True:
            await asyncio.sleep(0.01)
            yield set()

    monkeypatch.setattr(reload, "awatch", silent)
    watched = Watched(tmp_path / "guard.yaml")
    await watched.is_reloaded(0)
    watched.file.write_text("relay: {buffer: 2KiB}\n")
    await watched.is_reloaded(1)
    watched.watching.cancel()
    await asyncio.wait({watched.watching})


async def test_a_file_that_cannot_be_watched_is_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await watch(tmp_path / "nowhere" / "guard.yaml", lambda: None)
    assert "send SIGHUP to have it read again" in caplog.text
