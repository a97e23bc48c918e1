"""Stop, then undo: what changes a session waits for the worker that would undo it, and goes on once (F17)."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from proxy.demo import Faults
from proxy.guard import changes, handler
from tests.support.lab import OWNERSHIP, UNHURRIED, Browser, Lab, MakeLab
from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from tests.support.lab import Reply

FIRST = "n=2 tag=A"
KEPT = [("user", FIRST), ("assistant", "A0 A1")]
LONG = "n=400 tag=B"
WHOLE = {"message": "n=2 tag=W"}


async def said(browser: Browser, session_id: str) -> list[tuple[str, str]]:
    """The transcript."""
    session = (await browser.call("GET", f"/api/session?session_id={session_id}")).json["session"]
    return [(message["role"], message["content"]) for message in session["messages"]]


async def change(browser: Browser, path: str, session_id: str, **more: Any) -> Reply:
    return await browser.call("POST", path, json={"session_id": session_id, **more})


async def stopped(lab: Lab) -> tuple[str, str]:
    """A session with a turn, and a second one that was stopped; its worker still unwinds."""
    session_id, _, tab = await lab.browser.turn(FIRST)
    await tab.ended()
    _, stream_id, _ = await lab.browser.turn(LONG, session_id)
    assert (await lab.browser.cancel(stream_id)).json["cancelled"] is True
    return session_id, stream_id


def mistake(*_: object) -> None:
    raise RuntimeError("a mistake of the guard's own")


@pytest.mark.parametrize(
    ("path", "more", "kept"),
    [
        ("/api/session/undo", {}, KEPT),
        ("/api/session/retry", {}, KEPT),
        ("/api/session/truncate", {"keep_count": 2}, KEPT),
        ("/api/session/clear", {}, []),
    ],
)
async def test_a_change_right_after_a_stop_is_not_undone(
    make_lab: MakeLab, release: str, path: str, more: dict[str, int], kept: list[tuple[str, str]]
) -> None:
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    changed = await change(lab.browser, path, session_id, **more)
    await lab.until_reported("cancel_settled")

    assert (changed.status, changed.json["ok"]) == (200, True)
    assert await said(lab.browser, session_id) == kept
    assert changed.guard == {"verdict": "held"}
    assert len(lab.backend.ledger.requests_for(path)) == 1


async def test_a_branch_copies_what_is_final(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    branch = await change(lab.browser, "/api/session/branch", session_id)

    assert await said(lab.browser, branch.json["session_id"]) == await said(lab.browser, session_id)
    assert branch.guard == {"verdict": "held"}


async def test_undo_then_send_keeps_its_order(make_lab: MakeLab, release: str) -> None:
    """P3: both are held, and the turn begins in what the undo has left."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)
    undo = asyncio.create_task(change(lab.browser, "/api/session/undo", session_id))
    await lab.until_reported("change_held")

    started = await lab.browser.start(session_id, "n=2 tag=C")
    await lab.browser.open(started.json["stream_id"]).ended()

    assert (await undo).at < started.at
    assert await said(lab.browser, session_id) == [*KEPT, ("user", "n=2 tag=C"), ("assistant", "C0 C1")]


async def test_send_then_undo_keeps_its_order(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)
    start = asyncio.create_task(lab.browser.start(session_id, "n=400 tag=C"))
    await lab.until_reported("start_held")

    undone = await change(lab.browser, "/api/session/undo", session_id)

    assert (await start).status == 200
    assert (await start).at < undone.at


async def test_a_change_of_another_session_does_not_wait(make_lab: MakeLab) -> None:
    lab = await make_lab(faults=Faults(hang=True))
    await stopped(lab)
    other, _, tab = await lab.browser.turn(FIRST)
    await tab.ended()

    undone = await change(lab.browser, "/api/session/undo", other)

    assert undone.json["removed_count"] == 2
    assert not undone.guard
    assert not lab.reported("change_held")


async def test_a_change_while_a_turn_runs_passes_at_once(make_lab: MakeLab, release: str) -> None:
    """Nobody stopped it; what the backend makes of it is its own to say."""
    lab = await make_lab(release)
    session_id, _, tab = await lab.browser.turn(FIRST)
    await tab.ended()
    await lab.browser.turn(LONG, session_id)

    cleared = await change(lab.browser, "/api/session/clear", session_id)

    assert cleared.status == 200
    assert not cleared.guard


async def test_where_the_worker_does_not_go_the_change_does_at_the_limit(make_lab: MakeLab) -> None:
    """P7: it is recorded, and told as held."""
    lab = await make_lab(
        ownership=OWNERSHIP.model_copy(update={"settle_timeout": 0.3}), faults=Faults(hang=True), pace=UNHURRIED
    )
    session_id, _ = await stopped(lab)

    undone = await change(lab.browser, "/api/session/undo", session_id)

    assert undone.json["removed_count"] == 3
    assert undone.guard == {"verdict": "held"}
    (expired,) = lab.reported("change_hold_expired")
    (forwarded,) = lab.reported("change_forwarded")
    assert (expired["session"], forwarded["change"], forwarded["held"]) == (session_id, expired["change"], True)
    waited = forwarded["waited"]
    assert isinstance(waited, float)
    assert waited == pytest.approx(0.3, abs=0.2)


async def test_a_change_is_carried_out_though_its_browser_has_left(make_lab: MakeLab, release: str) -> None:
    """P10: what it had sent."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)
    undo = asyncio.create_task(change(lab.browser, "/api/session/undo", session_id))
    await lab.until_reported("change_held")
    undo.cancel()
    (ended,) = await lab.ended("Change")

    await lab.until_reported("change_answered")

    assert ended["status"] == 499
    assert await said(lab.browser, session_id) == KEPT


async def test_the_end_of_the_proxy_waits_for_a_change_that_is_held(make_lab: MakeLab) -> None:
    lab = await make_lab(pace=UNHURRIED)
    session_id, _ = await stopped(lab)
    undo = asyncio.create_task(change(lab.browser, "/api/session/undo", session_id))
    await lab.until_reported("change_held")
    undo.cancel()

    await lab.drain.finish()

    assert lab.reported("change_answered")
    assert await said(lab.direct, session_id) == KEPT


async def test_an_answer_of_any_size_passes(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transcript may be larger than what is held of other answers."""
    monkeypatch.setattr(sys.modules["proxy.app.compose"], "ANSWER_LIMIT", 10)
    lab = await make_lab()
    session_id = await lab.browser.new_session()

    assert (await change(lab.browser, "/api/session/clear", session_id)).json["ok"] is True


async def test_a_change_passes_byte_for_byte(make_lab: MakeLab) -> None:
    """Both ways, with no field added where nothing was held (P8)."""
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    body = b' {"session_id":"%b", "title" : "\\u00e9"} ' % session_id.encode()

    async with lab.session.post(f"{lab.browser.base}/api/session/undo", data=body) as response:
        guarded = response.status, [name for name, _ in response.headers.items()], await response.read()
    async with lab.session.post(f"{lab.direct.base}/api/session/undo", data=body) as response:
        direct = response.status, [name for name, _ in response.headers.items()], await response.read()

    assert guarded == direct
    first, second = lab.backend.ledger.requests_for("/api/session/undo")
    assert first.body_size == second.body_size == len(body)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"no json", b'{"session_id": 7}', b'{"session_id": " "}'])
async def test_what_names_no_session_passes_at_once(make_lab: MakeLab, body: bytes) -> None:
    lab = await make_lab(faults=Faults(hang=True))
    await stopped(lab)

    guarded = await lab.browser.call("POST", "/api/session/undo", data=body)
    direct = await lab.direct.call("POST", "/api/session/undo", data=body)

    assert (guarded.status, guarded.json) == (direct.status, direct.json)
    assert not guarded.guard
    assert not lab.reported("change_received")


async def test_a_change_without_a_body_is_the_backends_to_refuse(make_lab: MakeLab) -> None:
    lab = await make_lab()
    request = b"POST /api/session/undo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    browser = RawBrowser(int(lab.browser.base.rpartition(":")[2]))
    await browser.connect()
    await browser.send(request)

    assert (await browser.rest()).startswith(b"HTTP/1.1 400 ")
    browser.close()


async def test_other_posts_to_a_session_are_not_held(make_lab: MakeLab) -> None:
    lab = await make_lab(faults=Faults(hang=True))
    session_id, _ = await stopped(lab)

    await change(lab.browser, "/api/session/update", session_id, workspace="/elsewhere")

    assert not lab.reported("change_received")


async def test_a_refusal_says_nothing_of_a_hold(make_lab: MakeLab) -> None:
    """P9: a stranger learns nothing about a session."""
    lab = await make_lab(password="secret")

    refused = await change(lab.browser, "/api/session/undo", "some session")

    assert refused.status == 401
    assert not refused.guard


async def test_the_error_of_a_backend_that_is_gone_is_the_callers(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    await lab.backend.__aexit__(None, None, None)

    failed = await change(lab.browser, "/api/session/undo", session_id)

    assert failed.status == 502


async def test_a_mistake_in_reading_a_change_costs_only_the_hold(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: fail open."""
    monkeypatch.setattr(changes, "session_of", mistake)
    lab = await make_lab(pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    undone = await change(lab.browser, "/api/session/undo", session_id)

    assert undone.json["removed_count"] == 3
    assert not undone.guard
    assert [said["step"] for said in lab.reported("internal_error")] == ["reading a change"]


# -- a whole turn in one call ----------------------------------------------------------------------


async def test_a_whole_turn_waits_for_the_worker(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    whole = await change(lab.browser, "/api/chat", session_id, **WHOLE)

    assert (whole.json["answer"], whole.guard) == ("W0 W1", {"verdict": "held"})
    assert (await said(lab.browser, session_id))[-1] == ("assistant", "W0 W1")


async def test_what_comes_behind_a_whole_turn_does_not_wait_for_it(make_lab: MakeLab) -> None:
    """Such a call may take minutes, and nothing held it."""
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    whole = asyncio.create_task(change(lab.browser, "/api/chat", session_id, message="n=400 tag=W"))
    await lab.until_reported("change_forwarded")

    undo = await change(lab.browser, "/api/session/undo", session_id)
    started = await lab.browser.start(session_id, FIRST)

    assert (undo.status, started.status) == (200, 200)
    assert not whole.done()
    assert not lab.reported("start_unordered") + lab.reported("change_unordered")
    whole.cancel()


async def test_what_comes_behind_a_held_one_waits_for_the_limit_at_most(make_lab: MakeLab) -> None:
    """P7: it keeps its place, until it has waited long enough."""
    lab = await make_lab(ownership=OWNERSHIP.model_copy(update={"settle_timeout": 0.8}), pace=UNHURRIED)
    session_id, _ = await stopped(lab)
    whole = asyncio.create_task(change(lab.browser, "/api/chat", session_id, message="n=400 tag=W"))
    await lab.until_reported("change_held")

    undo = await change(lab.browser, "/api/session/undo", session_id)

    assert undo.status == 200
    assert not whole.done()
    assert len(lab.reported("change_unordered")) == 1
    whole.cancel()


async def test_while_draining_changes_pass_and_whole_turns_do_not(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id, _, tab = await lab.browser.turn(FIRST)
    await tab.ended()
    lab.drain.begin()

    refused = await change(lab.browser, "/api/chat", session_id, **WHOLE)
    undone = await change(lab.browser, "/api/session/undo", session_id)

    assert (refused.status, refused.json["code"]) == (503, "draining")
    assert undone.json["removed_count"] == 2


# -- a goal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["status", " Pause ", "clear", "STOP", "done", ""])
async def test_words_that_begin_no_turn_are_never_held(make_lab: MakeLab, words: str) -> None:
    """F21: nor refused while draining."""
    lab = await make_lab(faults=Faults(hang=True))
    session_id, _ = await stopped(lab)
    lab.drain.begin()

    told = await change(lab.browser, "/api/goal", session_id, args=words)
    direct = await change(lab.direct, "/api/goal", session_id, args=words)

    assert (told.status, told.json) == (direct.status, direct.json)
    assert not told.guard
    assert not lab.reported("start_held")


async def test_a_goal_that_begins_a_turn_is_held(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    begun = await change(lab.browser, "/api/goal", session_id, args="n=2 tag=G")

    assert begun.guard["verdict"] == "held"
    tab = await lab.browser.open(begun.json["stream_id"]).ended()
    assert tab.text == "G0 G1 "


async def test_a_goal_of_many_words_is_held_without_a_look_at_them(make_lab: MakeLab) -> None:
    lab = await make_lab(pace=UNHURRIED)
    session_id, _ = await stopped(lab)

    begun = await change(lab.browser, "/api/goal", session_id, args="n=2 tag=G " + "x" * 100_000)

    assert (begun.status, begun.guard["verdict"]) == (200, "held")


async def test_a_goal_is_refused_while_draining(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    lab.drain.begin()

    refused = await change(lab.browser, "/api/goal", session_id, args="get it done")

    assert (refused.status, refused.json["code"]) == (503, "draining")


async def test_a_mistake_in_reading_a_goal_has_it_taken_for_a_start(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "kicks_off", mistake)
    lab = await make_lab()
    session_id = await lab.browser.new_session()

    told = await change(lab.browser, "/api/goal", session_id, args="status")

    assert (told.status, told.guard["verdict"]) == (200, "forwarded")
