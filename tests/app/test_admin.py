"""The admin listener beside a whole proxy: where it is, and that it tells the truth of what passes through."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from proxy.app.admin import Observed, administered
from proxy.app.running import Running, running
from proxy.config import (
    AdminSettings,
    ListenSettings,
    OwnershipSettings,
    RelaySettings,
    Settings,
    UpstreamSettings,
    UserError,
)
from proxy.demo import Backend, Faults
from tests.support.lab import FAST, OWNERSHIP, PATIENCE, Browser

TOKEN = "correct-horse-battery-staple"
SECRET = "a secret that nobody else should read"


@dataclass
class Stage:
    """A backend, the proxy in front of it, a browser, and an operator who looks."""

    backend: Backend
    proxy: Running
    browser: Browser
    operator: Browser

    async def status(self) -> Any:
        return (await self.operator.call("GET", "/api/status")).json

    async def until(self, condition: Callable[[Any], bool], path: str = "/api/status") -> Any:
        """What the call answers once it satisfies the condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition(said := (await self.operator.call("GET", path)).json):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        return said


MakeStage = Callable[..., Awaitable[Stage]]


def settings_for(backend: Backend, ownership: OwnershipSettings = OWNERSHIP, **admin: Any) -> Settings:
    return Settings(
        listen=ListenSettings(port=0),
        upstream=UpstreamSettings(url=backend.url),
        admin=AdminSettings(**{"port": 0, **admin}),
        ownership=ownership,
        relay=RelaySettings(reattach=0),
    )


@pytest.fixture
async def make_stage() -> AsyncIterator[MakeStage]:
    async with AsyncExitStack() as stack:

        async def make(release: str = "v0.52.262", faults: Faults | None = None, **settings: Any) -> Stage:
            backend = await stack.enter_async_context(Backend(release, pace=FAST))
            backend.faults = faults or Faults()
            chosen = settings_for(backend, **settings)
            observed = Observed()
            proxy = await stack.enter_async_context(running(chosen, observed.report))
            url = await stack.enter_async_context(administered(chosen, proxy, observed))
            assert url is not None
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            browser = Browser(proxy.url, session)
            stack.push_async_callback(_leave, browser)
            return Stage(backend, proxy, browser, Browser(url, session))

        yield make


async def _leave(browser: Browser) -> None:
    for tab in browser.tabs:
        await tab.leave()


# -- where it is ----------------------------------------------------------------------------------


async def test_it_is_not_reached_through_the_public_listener(make_stage: MakeStage) -> None:
    """Its paths are the backend's there."""
    stage = await make_stage()

    for path in ("/healthz", "/readyz", "/metrics", "/api/status", "/api/cancels", "/page/page.js"):
        through = await stage.browser.call("GET", path)
        directly = await Browser(stage.backend.url, stage.browser.session).call("GET", path)
        assert (through.status, through.json) == (directly.status, directly.json), path


async def test_it_may_be_switched_off(make_stage: MakeStage) -> None:
    stage = await make_stage()
    settings = settings_for(stage.backend, enabled=False)

    async with administered(settings, stage.proxy, Observed()) as url:
        assert url is None


async def test_a_port_that_is_taken_is_the_persons_to_put_right(make_stage: MakeStage) -> None:
    stage = await make_stage()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as caught:
            async with administered(settings_for(stage.backend, port=port), stage.proxy, Observed()):
                pass

    assert str(caught.value) == (
        f"admin.port: cannot listen on http://127.0.0.1:{port}: Address already in use;"
        " choose another with --admin, or set admin.enabled to false"
    )


async def test_a_name_that_nobody_has_is_too(make_stage: MakeStage) -> None:
    stage = await make_stage()
    nowhere = settings_for(stage.backend, host="nowhere.invalid", token=SecretStr(TOKEN))

    with pytest.raises(UserError, match=r"admin\.port: cannot listen on http://nowhere\.invalid:0: .*--admin"):
        async with administered(nowhere, stage.proxy, Observed()):
            pass


# -- sockets that were inherited ------------------------------------------------------------------


async def test_on_an_inherited_socket_it_is_where_that_is(make_stage: MakeStage) -> None:
    """Whatever the settings say: their port is taken."""
    stage = await make_stage()
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as given:
        settings = settings_for(stage.backend, port=taken.getsockname()[1])
        async with administered(settings, stage.proxy, Observed(), [given.dup()]) as url:
            assert url == f"http://127.0.0.1:{given.getsockname()[1]}"
            assert (await Browser(url, stage.browser.session).call("GET", "/healthz")).status == 200


async def test_operators_reach_every_address_by_either_family(make_stage: MakeStage) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6, or keeps it apart")
    stage = await make_stage(host="::", token=SecretStr(TOKEN))
    port = stage.operator.base.rpartition(":")[2]
    async with aiohttp.ClientSession() as session:
        for host in ("[::1]", "127.0.0.1"):
            async with session.get(f"http://{host}:{port}/healthz") as answer:
                assert answer.status == 200


async def test_an_inherited_unix_socket_needs_no_token(make_stage: MakeStage, tmp_path: Path) -> None:
    """Who may connect to it, its file says."""
    stage = await make_stage()
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(tmp_path / "admin.sock"))
        given.listen()
        async with administered(settings_for(stage.backend), stage.proxy, Observed(), [given.dup()]) as url:
            assert url == f"unix://{tmp_path}/admin.sock"


async def test_an_inherited_socket_that_others_reach_needs_a_token(make_stage: MakeStage) -> None:
    stage = await make_stage()
    with socket.create_server(("127.0.0.1", 0)) as inner, socket.create_server(("0.0.0.0", 0)) as outer:
        sockets = [inner, outer]
        with pytest.raises(UserError) as caught:
            async with administered(settings_for(stage.backend), stage.proxy, Observed(), sockets):
                pass
        secured = settings_for(stage.backend, token=SecretStr(TOKEN))
        async with administered(secured, stage.proxy, Observed(), [sock.dup() for sock in sockets]) as url:
            assert url is not None

        assert str(caught.value) == (
            f"admin.token: should be set, as others can reach http://0.0.0.0:{outer.getsockname()[1]}, where the"
            " inherited socket named admin listens: set it or admin.token_file to what openssl rand -hex 32 prints,"
            " or have that socket listen on 127.0.0.1"
        )


async def test_an_inherited_socket_that_nobody_would_serve_is_an_error(make_stage: MakeStage) -> None:
    """Whoever connects to it would wait for ever."""
    stage = await make_stage()
    with socket.create_server(("127.0.0.1", 0)) as given, pytest.raises(UserError) as caught:
        async with administered(settings_for(stage.backend, enabled=False), stage.proxy, Observed(), [given]):
            pass

    assert str(caught.value) == (
        "admin.enabled: is false, but a socket named admin was inherited; set it to true, or disable that socket"
    )


async def test_it_asks_for_the_token_of_the_settings(make_stage: MakeStage) -> None:
    stage = await make_stage(token=SecretStr(TOKEN))

    refused = await stage.operator.call("GET", "/api/status")
    let_in = await stage.operator.call("GET", "/api/status", headers={"Authorization": f"Bearer {TOKEN}"})

    assert (refused.status, let_in.status) == (401, 200)


async def test_its_end_is_not_kept_up_by_those_who_follow(make_stage: MakeStage) -> None:
    stage = await make_stage()
    settings = settings_for(stage.backend)
    loop = asyncio.get_running_loop()

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(administered(settings, stage.proxy, Observed()))
        follower = Browser(str(url), stage.browser.session).watch("/api/events")
        await follower.until(lambda tab: b"following" in tab.raw)
        began = loop.time()
    assert loop.time() - began < 1
    await follower.ended()


# -- what it tells --------------------------------------------------------------------------------


async def test_it_tells_where_it_is_and_what_it_guards(make_stage: MakeStage) -> None:
    stage = await make_stage()
    status = await stage.status()

    assert (status["listening"], status["upstream"]) == (stage.browser.base, stage.backend.url)
    assert status["state"] == "serving"
    assert status["lanes"] == {
        "control": {"in_use": 0, "limit": 16},
        "calls": {"in_use": 0, "limit": 24},
        "relays": {"in_use": 0, "limit": 80},
    }


@pytest.mark.parametrize("release", ["v0.51.195", "v0.52.262"])
async def test_a_stopped_turn_is_followed_to_its_receipt(make_stage: MakeStage, release: str) -> None:
    stage = await make_stage(release)
    session_id, stream_id, tab = await stage.browser.turn(f"{SECRET} n=400 tag=A")
    (running_now,) = (await stage.operator.call("GET", "/api/streams")).json["streams"]
    assert (running_now["session"], running_now["stream"]) == (session_id[:8], stream_id[:8])
    assert (running_now["state"], running_now["relays"]) == ("running", 1)

    answer = await stage.browser.cancel(stream_id)
    await tab.ended()

    path = f"/api/cancels/{answer.guard['cancel-id']}"
    cancel = await stage.until(lambda said: said["outcome"] == "settled", path)
    assert (cancel["verdict"], cancel["cancelled"], cancel["stream"]) == ("forwarded", True, stream_id[:8])
    assert cancel["receipt"]["missing"] == []
    steps = ("backend_acked", "terminal_seen", "answered", "slot_free")
    assert cancel["receipt"]["took"] == max(cancel["receipt"][step] for step in steps)
    status = await stage.until(lambda said: said["streams"]["running"] == said["streams"]["settling"] == 0)
    assert (status["cancels"], status["settled"], status["relays"]) == ({"forwarded": 1}, 1, 0)


async def test_a_stop_and_a_start_that_wait_are_told_meanwhile(make_stage: MakeStage) -> None:
    stage = await make_stage(faults=Faults(hang=True, mute_cancel=True))
    session_id, stream_id, _ = await stage.browser.turn()

    answer = await stage.browser.cancel(stream_id)
    start = asyncio.create_task(stage.browser.start(session_id, "n=2 tag=B"))

    path = f"/api/cancels/{answer.guard['cancel-id']}"
    assert (await stage.operator.call("GET", path)).json["outcome"] == "under_way"
    assert (await stage.until(lambda said: said["starts_waiting"] == 1))["streams"]["settling"] == 1
    over = await stage.until(lambda said: said["outcome"] == "unsettled", path)
    assert over["receipt"]["missing"][-1] == "slot_free"
    stage.backend.faults = Faults()
    await start
    status = await stage.status()
    assert (sum(status["unsettled"].values()), status["starts_waiting"]) == (1, 0)


async def test_a_turn_that_ended_unseen_is_not_said_to_run(make_stage: MakeStage) -> None:
    """Nobody watched it, so that only the backend knows."""
    stage = await make_stage()
    await stage.browser.start(await stage.browser.new_session(), "n=2 tag=A")

    said = await stage.until(lambda said: said["streams"][0]["in_hermes"] is not None, "/api/streams")
    assert said["streams"][0]["in_hermes"] is False


async def test_every_stream_that_the_proxy_closed_has_its_cause(make_stage: MakeStage) -> None:
    """P6: a browser that left, a turn that another superseded, a Stop without an event, and silence after `done`."""
    stage = await make_stage()
    _, _, left = await stage.browser.turn()
    await left.leave()
    stage.backend.faults = Faults(mute_end=True)
    _, _, lingering = await stage.browser.turn("n=2 tag=A")
    await lingering.ended()
    stage.backend.faults = Faults(mute_cancel=True)
    _, stream_id, stopped = await stage.browser.turn()
    await stage.browser.cancel(stream_id)
    await stopped.ended()

    causes = {"browser_left": 1, "lingered": 1, "cancelled": 1}
    assert (await stage.until(lambda said: said["relays"] == 0))["orphans_closed"] == causes


async def test_it_is_ready_when_the_backend_is(make_stage: MakeStage) -> None:
    stage = await make_stage()
    port = stage.backend.port
    assert (await stage.operator.call("GET", "/readyz")).status == 200

    await stage.backend.close()
    await stage.until(lambda said: said.get("code") == "backend_away", "/readyz")
    assert (await stage.operator.call("GET", "/healthz")).status == 200
    await stage.backend.start(port=port)
    await stage.until(lambda said: said.get("status") == "ready", "/readyz")


async def test_draining_turns_new_starts_away_until_it_is_undone(make_stage: MakeStage) -> None:
    stage = await make_stage()
    session_id, _, tab = await stage.browser.turn("n=40 d=0.02 tag=A")

    await stage.operator.call("POST", "/api/drain", json={"action": "begin"})
    refused = await stage.browser.start(session_id, "n=2 tag=B")
    assert (refused.status, refused.json["code"]) == (503, "draining")
    assert (await stage.operator.call("GET", "/readyz")).json["code"] == "draining"
    await tab.ended()
    await stage.until(lambda said: said["state"] == "settled")

    resumed = await stage.operator.call("POST", "/api/drain", json={"action": "resume"})
    assert resumed.json["state"] == "serving"
    assert (await stage.browser.start(session_id, "n=2 tag=B")).status == 200


async def test_a_drain_that_holds_tells_what_runs_and_what_waits(make_stage: MakeStage) -> None:
    stage = await make_stage()
    session_id, stream_id, tab = await stage.browser.turn("n=40 d=0.02 tag=A")

    await stage.operator.call("POST", "/api/drain", json={"action": "begin", "hold": True})
    starting = asyncio.create_task(stage.browser.start(session_id, "n=2 tag=B"))
    said = await stage.until(lambda said: said["held"] == 1, "/api/drain")
    assert [turn["stream"] for turn in said["turns"]] == [stream_id[:8]]
    assert (said["state"], said["under_way"]) == ("draining", 0)
    await tab.ended()
    assert (await stage.until(lambda said: said["state"] == "settled", "/api/drain"))["turns"] == []
    await stage.backend.restart()
    assert (await starting).status == 200
    metrics = (await stage.operator.call("GET", "/metrics")).json.decode()
    assert 'stream_guard_drain_holds_total{outcome="let_in"} 1.0' in metrics


async def test_nothing_that_was_said_and_no_whole_id_is_told(make_stage: MakeStage) -> None:
    stage = await make_stage()
    follower = Browser(stage.operator.base, stage.browser.session).watch("/api/events")
    await follower.until(lambda tab: b"following" in tab.raw)
    session_id, stream_id, tab = await stage.browser.turn(f"{SECRET} n=4 tag=A")
    await tab.ended()
    await stage.browser.cancel(stream_id)
    await follower.until(lambda tab: b"cancel_answered" in tab.raw)

    calls = ["/api/status", "/api/streams", "/api/cancels", "/api/history"]
    told = [str((await stage.operator.call("GET", path)).json) for path in calls]
    metrics = (await stage.operator.call("GET", "/metrics")).json.decode()
    for text in (*told, metrics, follower.raw.decode()):
        for secret in (SECRET, session_id, stream_id):
            assert secret not in text
    await follower.leave()
