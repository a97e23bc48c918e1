from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from proxy.demo import RELEASES, Backend

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LONG = "n=800 d=0.01"


def test_an_unknown_release_is_refused_with_the_choice() -> None:
    with pytest.raises(ValueError, match=r"unknown release 'v9': choose one of v0\.51\.195, v0\.51\.265, v0\.52\.262"):
        Backend("v9")


def test_it_knows_its_release_before_it_is_started() -> None:
    assert [Backend(name).release for name in RELEASES] == list(RELEASES)
    assert Backend().port == 0


async def test_it_can_be_used_as_a_context() -> None:
    async with Backend() as backend:
        assert backend.url == f"http://127.0.0.1:{backend.port}"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", backend.port)
    await backend.close()


async def test_a_close_drops_connections_and_ends_workers(play: Play) -> None:
    stage = await play()
    live = await stage.client.stream(await stage.client.start(await stage.client.session(), LONG))
    await live.until("token")
    await stage.backend.close()
    with contextlib.suppress(ConnectionError):
        await live.to_end()
    assert not stage.backend.ledger.open_connections


async def test_a_restart_keeps_what_was_on_disk_and_loses_what_ran(play: Play, release: str) -> None:
    now = [1000.0]
    stage = await play(release, clock=lambda: now[0])
    client, port = stage.client, stage.backend.port
    session_id = await client.session()
    stream_id = await client.start(session_id, LONG)
    await (await client.stream(stream_id)).until("token")
    now[0] += 10
    await stage.backend.restart()
    assert stage.backend.port == port
    health = await client.health()
    assert (health["active_runs"], health["uptime_seconds"]) == (0, 0)
    assert health.get("server_started_at") == (1010.0 if release == "v0.52.262" else None)
    assert (await client.status(stream_id))["journal"]["terminal_state"] == "lost-worker-bookkeeping"
    replay = await (await client.stream(stream_id)).to_end()
    assert (replay[-1].name, replay[-1].data["type"]) == ("apperror", "interrupted")
    assert ("recovery_control" in replay[-1].data) is (release != "v0.51.195")
    assert (await client.get(f"/api/session?session_id={session_id}")).json["session"]["active_stream_id"] is None


async def test_a_failure_of_its_own_is_reported_at_its_close(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("proxy.demo.turns.Worker.run", fail)
    backend = Backend()
    await backend.start()
    session = backend.world.new_session()
    backend.start_turn(session.session_id, "hello")
    await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup, match="the stand-in's own tasks failed"):
        await backend.close()
