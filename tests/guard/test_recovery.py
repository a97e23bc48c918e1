"""The proxy restarted in mid-turn, or the backend did: nobody is stuck, and what is lost is said to be."""

import contextlib

import pytest

from proxy.app import running
from proxy.backend.backend import Backend as GuardBackend
from proxy.config import ListenSettings, Settings, UpstreamSettings
from proxy.demo import CancelOrder, Pace
from proxy.http.errors import BackendTooSlowError
from tests.support.lab import FAST, OWNERSHIP, UNHURRIED, MakeLab


async def test_a_restarted_proxy_learns_a_running_turn_from_its_stream(make_lab: MakeLab, release: str) -> None:
    """Unknown streams pass through and are learned: the next turn is held as if nothing had been forgotten."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, first, _ = await lab.direct.turn()
    tab = await lab.browser.open(first).until(lambda tab: "metering" in tab.names)

    answers = [await lab.browser.cancel(first) for _ in range(2)]
    started = await lab.browser.start(session_id, "n=2 d=0.005 tag=B")

    assert [answer.json["cancelled"] for answer in answers] == [True, True]
    assert lab.backend.ledger.cancels[first] == 1
    assert tab.endings == ["cancel"]
    assert started.guard["verdict"] == "held"
    assert (await lab.browser.open(started.json["stream_id"]).ended()).text == "B0 B1 "


async def test_a_restarted_proxy_keeps_the_event_ahead_of_the_answer(make_lab: MakeLab, release: str) -> None:
    """F5: looking up the stream's session takes long enough for its relay to end, which must not cost the gap."""
    ownership = OWNERSHIP.model_copy(update={"answer_gap": 0.2})
    lab = await make_lab(release, ownership=ownership, order=CancelOrder.EVENT_FIRST)
    _, first, _ = await lab.direct.turn()
    tab = await lab.browser.open(first).until(lambda tab: "token" in tab.names)

    answer = await lab.browser.cancel(first)
    await tab.ended()

    assert answer.json["cancelled"] is True
    assert lab.answered() - lab.wrote("cancel") > 0.19


async def test_a_restarted_proxy_looks_up_a_stream_that_nobody_watches(make_lab: MakeLab, release: str) -> None:
    """Then the backend's journal names the session, at the cost of one question."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, first, _ = await lab.direct.turn()

    answer = await lab.browser.cancel(first)
    started = await lab.browser.start(session_id, "n=2 d=0.005 tag=B")

    assert answer.json["cancelled"] is True
    assert started.guard["verdict"] == "held"
    assert (await lab.browser.open(started.json["stream_id"]).ended()).text == "B0 B1 "


async def test_a_restarted_backend_has_lost_what_ran(make_lab: MakeLab, release: str) -> None:
    """Evidence: its `/health` says that it is another process. A late Stop is told `lost`, and the session is free."""
    now = [1_000.0]
    lab = await make_lab(release, clock=lambda: now[0])
    now[0] += 100.0
    await lab.browser.call("GET", "/health")
    session_id, first, tab = await lab.browser.turn()
    await lab.backend.close()
    away = await lab.browser.call("GET", f"/api/session?session_id={session_id}")
    await lab.backend.restart()
    await lab.browser.call("GET", "/api/auth/status")
    await lab.until_observed("BackendRestarted")

    answer = await lab.browser.cancel(first)

    assert (away.status, away.json["code"]) == (502, "backend_unreachable")
    assert tab.ended_at is not None
    assert (answer.json["cancelled"], answer.json["reason"]) == (False, "lost")
    assert not lab.backend.ledger.cancels


async def test_a_restart_that_nobody_noticed_is_seen_in_health(make_lab: MakeLab, release: str) -> None:
    """Evidence: the process began later than it did before."""
    now = [1_000.0]
    lab = await make_lab(release, clock=lambda: now[0])
    now[0] += 100.0
    await lab.browser.call("GET", "/health")
    _, first, _ = await lab.browser.turn()
    await lab.backend.restart()

    await lab.browser.call("GET", "/health")
    answer = await lab.browser.cancel(first)

    assert (answer.json["cancelled"], answer.json["reason"]) == (False, "lost")
    assert not lab.backend.ledger.cancels


async def test_a_stop_is_the_first_to_hear_of_a_restart(make_lab: MakeLab, release: str) -> None:
    """P2: the new process does not know the turn; what its journal says, or does not say, is the reason."""
    lab = await make_lab(release)
    _, first, tab = await lab.browser.turn()
    await lab.backend.restart()
    await tab.ended()
    await lab.until_reported("relay_ended")

    answers = [await lab.browser.cancel(first) for _ in range(2)]

    assert [(answer.json["cancelled"], answer.json["reason"]) for answer in answers] == [(False, "lost")] * 2
    assert [answer.guard["verdict"] for answer in answers] == ["forwarded", "stale"]
    assert lab.backend.ledger.cancels[first] == 1


async def test_a_journal_tells_how_a_turn_ended_that_nobody_watched(make_lab: MakeLab, release: str) -> None:
    """P2: the backend itself says `false`, and does not say why."""
    lab = await make_lab(release)
    _, first, tab = await lab.browser.turn("n=20 d=0.02 tag=A")
    await tab.leave()
    await (await lab.direct.open(first).ended()).leave()

    answer = await lab.browser.cancel(first)

    assert (answer.json["cancelled"], answer.json["reason"]) == (False, "finished")
    assert len(lab.backend.ledger.requests_for("/api/chat/stream/status")) == 1


@pytest.mark.parametrize("error", [BackendTooSlowError("no answer"), TimeoutError(), RuntimeError("injected")])
async def test_a_refusal_passes_untouched_where_nothing_more_is_said(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """P8: the backend's own answer does without a reason."""

    async def silent(*_: object) -> None:
        raise error

    lab = await make_lab()
    _, first, tab = await lab.browser.turn()
    await lab.backend.restart()
    await tab.ended()
    await lab.until_reported("relay_ended")
    monkeypatch.setattr(GuardBackend, "ask_status", silent)

    answer = await lab.browser.cancel(first)

    assert answer.json == {"ok": True, "cancelled": False, "stream_id": first}
    assert bool(lab.reported("internal_error")) is isinstance(error, RuntimeError)


async def test_a_stop_costs_no_question_about_its_end(make_lab: MakeLab, release: str) -> None:
    """Only one that is refused, for a turn that nobody watches, has something to ask."""
    lab = await make_lab(release)
    _, watched, _ = await lab.browser.turn()
    _, unwatched, tab = await lab.browser.turn()
    await tab.leave()

    answers = [await lab.browser.cancel(stream_id) for stream_id in (watched, unwatched)]

    assert [answer.json["cancelled"] for answer in answers] == [True, True]
    assert not lab.backend.ledger.requests_for("/api/chat/stream/status")


async def test_a_backend_that_dies_while_it_settles_holds_nobody(make_lab: MakeLab) -> None:
    """P7: the next start goes on, and meets whatever the backend says."""
    lab = await make_lab("v0.51.265", pace=Pace(token=0.01, first_token=0.01, unwind=5.0, spoil=0.02))
    session_id, first, _ = await lab.browser.turn()
    await lab.browser.cancel(first)
    await lab.backend.restart()

    started = await lab.browser.start(session_id, "n=2 d=0.005 tag=B")

    assert started.status == 200
    assert (await lab.browser.open(started.json["stream_id"]).ended()).text == "B0 B1 "


async def test_two_proxies_in_a_row_leave_nothing_behind(make_lab: MakeLab) -> None:
    """A proxy that ends closes its upstreams; the next one serves the same turn."""
    lab = await make_lab(pace=FAST)
    settings = Settings(
        listen=ListenSettings(port=0), upstream=UpstreamSettings(url=lab.backend.url), ownership=OWNERSHIP
    )
    _, first, _ = await lab.direct.turn()
    async with contextlib.AsyncExitStack() as stack:
        lab.guarded_by(await stack.enter_async_context(running(settings, lab.report)))
        await lab.browser.open(first).until(lambda tab: "token" in tab.names)
    await lab.backend.ledger.until(lambda: len(lab.backend.ledger.open_streams) == 1)

    async with running(settings, lab.report) as proxy:
        lab.guarded_by(proxy)
        assert (await lab.browser.cancel(first)).json["cancelled"] is True
