"""P8: an internal error of the guard, wherever it strikes, is logged and the request passes unchanged."""

import json
import logging
from typing import Any

import pytest

from proxy.backend import health
from proxy.core import transitions
from proxy.guard import handler, holding, start
from proxy.hermes import answers, events
from proxy.ownership import ownership
from proxy.ownership.ownership import Ownership
from proxy.relay import chatwatch
from proxy.relay.leftover import Leftover
from proxy.relay.relays import Relays
from proxy.sse import Scanner
from proxy.store.memory import MemoryStore
from tests.support.lab import Lab, MakeLab

STEPS: list[tuple[Any, str]] = [
    (handler, "classify"),
    (MemoryStore, "transact"),
    (MemoryStore, "session_of"),
    (Ownership, "judge_cancel"),
    (Ownership, "observe"),
    (Ownership, "turn_seen"),
    (Ownership, "identify"),
    (Ownership, "session"),
    (Ownership, "stream"),
    (Ownership, "locate"),
    (ownership, "apply"),
    (ownership, "judge_cancel"),
    (start, "judge_start"),
    (holding, "StartVerdict"),
    (start, "judge_conflict"),
    (start, "session_of"),
    (chatwatch, "judge_relay"),
    (answers, "read_start"),
    (answers, "read_cancel"),
    (answers, "read_status"),
    (answers, "read_session"),
    (health, "read_server_start"),
    (health, "read_runs"),
    (events, "ending_of"),
    (events, "session_in"),
    (events, "is_terminal"),
    (Scanner, "feed"),
    (Relays, "ended"),
    (Relays, "count"),
]


@pytest.mark.parametrize(("where", "name"), STEPS, ids=lambda part: getattr(part, "__name__", part))
async def test_a_mistake_in_any_step_leaves_the_proxy_transparent(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    """What a browser gets is what it would have without the proxy: turns, texts, answers."""

    def mistaken(*_: object, **__: object) -> None:
        raise RuntimeError("injected")

    lab = await make_lab("v0.51.265")
    monkeypatch.setattr(where, name, mistaken)

    await _play(lab)


async def _play(lab: Lab) -> None:
    session_id = await lab.browser.new_session()
    started = await lab.browser.start(session_id, "n=3 tag=A")
    first = started.json["stream_id"]
    tab = await lab.browser.open(first).until(lambda tab: "stream_end" in tab.names)
    status = await lab.browser.call("GET", f"/api/chat/stream/status?stream_id={first}")
    late = await lab.browser.cancel(first)
    second = (await lab.browser.start(session_id, "n=400 tag=B")).json["stream_id"]
    conflict = await lab.browser.start(session_id, "n=1 tag=C")
    watching = await lab.browser.open(second).until(lambda tab: "token" in tab.names)
    stopped = await lab.browser.cancel(second)
    health = await lab.browser.call("GET", "/health")

    assert tab.text == "A0 A1 A2 "
    assert (status.status, status.json["active"]) == (200, False)
    assert (late.status, late.json["cancelled"]) == (200, False)
    assert (conflict.status, conflict.json["active_stream_id"]) == (409, second)
    assert (stopped.status, stopped.json["cancelled"]) == (200, True)
    assert health.status == 200
    assert "cancel" in (await watching.until(lambda tab: "cancel" in tab.names)).names


async def test_a_mistake_is_logged_and_reported(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Never a silent loss: what failed, with its traceback."""

    def mistaken(*_: object, **__: object) -> None:
        raise RuntimeError("injected")

    lab = await make_lab()
    monkeypatch.setattr(transitions, "_step", mistaken)

    with caplog.at_level(logging.ERROR):
        await lab.browser.cancel("unknown")

    assert "the guard failed while it was judging a cancel" in caplog.text
    assert "injected" in caplog.text
    assert [said["step"] for said in lab.reported("internal_error")] == ["judging a cancel"]
    assert lab.backend.ledger.cancels["unknown"] == 1, "it went on, once"


async def test_a_mistake_about_an_upstream_is_told_with_its_upstream_and_its_stream(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mistaken(*_: object) -> None:
        raise RuntimeError("injected")

    lab = await make_lab()
    monkeypatch.setattr(Leftover, "_look", mistaken)
    started = await lab.browser.start(await lab.browser.new_session(), "n=1 tag=A")
    tab = await lab.browser.open(started.json["stream_id"]).ended()

    told = {json.dumps(said) for said in lab.reported("internal_error")}
    about = {"upstream": "u-1", "stream": started.json["stream_id"], "step": "looking for the end of a turn"}
    assert told == {json.dumps(about)}, "in that order"
    assert tab.endings == ["stream_end"]
