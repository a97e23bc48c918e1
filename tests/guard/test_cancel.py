"""What a browser is told about its Stop, on every release's habits."""

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from proxy.config import ClientSettings
from proxy.demo import CancelOrder, Faults, Pace
from proxy.guard.cancel import shared_answer
from proxy.guard.label import Judged
from proxy.http.message import Answer
from tests.support.lab import OWNERSHIP, UNHURRIED, Lab, MakeLab


async def test_an_accepted_cancel_is_answered_true_after_its_event(make_lab: MakeLab, release: str) -> None:
    """F5: whichever the backend sends first, the browser sees the terminal event, then the answer."""
    lab = await make_lab(release, order=CancelOrder.ANSWER_FIRST)
    _, stream_id, tab = await lab.browser.turn()

    answer = await lab.browser.cancel(stream_id)

    assert answer.json == {"ok": True, "cancelled": True, "stream_id": stream_id}
    assert answer.guard["verdict"] == "forwarded"
    assert (await tab.ended()).endings == ["cancel"]
    assert lab.wrote("cancel") < lab.answered()


async def test_a_cancel_without_a_relay_is_answered_at_once(make_lab: MakeLab, release: str) -> None:
    """F5: with nobody watching there is no event to wait for."""
    lab = await make_lab(release, ownership=OWNERSHIP.model_copy(update={"answer_timeout": 5.0}))
    _, stream_id, tab = await lab.browser.turn()
    await tab.leave()
    await lab.backend.ledger.until(lambda: not lab.backend.ledger.open_streams)
    asked = asyncio.get_running_loop().time()

    answer = await lab.browser.cancel(stream_id)

    assert answer.json["cancelled"] is True
    assert answer.at - asked < 2.0, "it did not wait for answer_timeout"


async def test_ten_stops_in_parallel_reach_the_backend_once(make_lab: MakeLab, release: str) -> None:
    """F4, F23: duplicates share the first answer, and none meets a worker on its way out."""
    lab = await make_lab(release)
    _, stream_id, _ = await lab.browser.turn()

    replies = await asyncio.gather(*(lab.browser.cancel(stream_id) for _ in range(10)))

    assert [reply.json["cancelled"] for reply in replies] == [True] * 10
    assert lab.backend.ledger.cancels == {stream_id: 1}
    verdicts = sorted(reply.guard["verdict"] for reply in replies)
    assert verdicts.count("forwarded") == 1
    assert set(verdicts) <= {"forwarded", "coalesced", "replayed"}
    assert len({reply.guard["cancel-id"] for reply in replies}) == 1


async def test_a_second_stop_while_settling_is_told_the_first_answer(make_lab: MakeLab, release: str) -> None:
    """F4: v0.51.195 would say `false` for the running turn's own cancel."""
    lab = await make_lab(release, faults=Faults(hang=True))
    _, stream_id, _ = await lab.browser.turn()
    await lab.browser.cancel(stream_id)

    second = await lab.browser.cancel(stream_id)

    assert second.json == {"ok": True, "cancelled": True, "stream_id": stream_id}
    assert second.guard["verdict"] == "replayed"
    assert lab.backend.ledger.cancels[stream_id] == 1


async def test_a_stop_after_settling_is_stale(make_lab: MakeLab, release: str) -> None:
    """P1, P2: `cancelled` is then the reason, not the answer."""
    lab = await make_lab(release)
    _, stream_id, _ = await lab.browser.turn()
    await lab.browser.cancel(stream_id)
    await lab.until_reported("cancel_settled")

    late = await lab.browser.cancel(stream_id)

    assert late.json == {"ok": True, "cancelled": False, "stream_id": stream_id, "reason": "cancelled"}
    assert (late.guard["verdict"], late.guard["reason"]) == ("stale", "cancelled")
    assert lab.backend.ledger.cancels[stream_id] == 1


async def test_a_stop_for_a_finished_turn_is_stale(make_lab: MakeLab, release: str) -> None:
    """P1: it never reaches the backend."""
    lab = await make_lab(release)
    _, stream_id, tab = await lab.browser.turn("n=3 tag=A")
    await tab.ended()

    late = await lab.browser.cancel(stream_id)

    assert late.json == {"ok": True, "cancelled": False, "stream_id": stream_id, "reason": "finished"}
    assert not lab.backend.ledger.cancels


async def test_a_stop_for_the_turn_before_names_the_owner(make_lab: MakeLab, release: str) -> None:
    """A page that missed the end of its turn is told which stream owns the session now."""
    lab = await make_lab(release, faults=Faults(die_after=2))
    session_id, old, _ = await lab.browser.turn()
    lab.backend.faults = Faults()
    new = await lab.browser.start_when_accepted(session_id, "n=400 tag=B")

    stale = await lab.browser.cancel(old)

    assert stale.json["cancelled"] is False
    assert stale.json["reason"] == "superseded"
    assert stale.json["active_stream_id"] == new


async def test_an_unknown_stream_passes_unchanged(make_lab: MakeLab, release: str) -> None:
    """P8: transparent when unsure."""
    lab = await make_lab(release)

    direct = await lab.direct.cancel("doesnotexist")
    guarded = await lab.browser.cancel("doesnotexist")

    assert guarded.json == direct.json == {"ok": True, "cancelled": False, "stream_id": "doesnotexist"}
    assert guarded.guard["verdict"] == "forwarded"
    assert lab.backend.ledger.cancels["doesnotexist"] == 2


async def test_a_cancel_without_a_stream_is_the_backends_to_refuse(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)

    answer = await lab.browser.call("GET", "/api/chat/cancel")

    assert (answer.status, answer.json) == (400, {"error": "stream_id required"})
    assert not answer.guard


async def test_a_gateways_refusal_passes_untouched_and_the_turn_stays_cancellable(make_lab: MakeLab) -> None:
    lab = await make_lab(faults=Faults(gateway_down=True))
    _, stream_id, _ = await lab.browser.turn()

    refused = await lab.browser.cancel(stream_id)
    lab.backend.faults = Faults()
    accepted = await lab.browser.cancel(stream_id)

    assert refused.status == 502
    assert refused.json["cancelled"] is False
    assert accepted.json["cancelled"] is True


async def test_a_cancel_without_an_answer_is_told(make_lab: MakeLab) -> None:
    lab = await make_lab()
    _, stream_id, _ = await lab.browser.turn()
    await lab.backend.close()

    failed = await lab.browser.cancel(stream_id)

    assert (failed.status, failed.json["code"]) == (502, "backend_unreachable")
    (told,) = lab.reported("cancel_failed")
    assert (told["stream"], told["code"]) == (stream_id, "backend_unreachable")


async def test_a_turn_that_ends_before_its_cancel_is_answered_was_not_cancelled(make_lab: MakeLab) -> None:
    """P2: the backend says `true`, but the turn had finished by itself."""
    lab = await make_lab("v0.51.265", faults=Faults(answer_delay=0.3))
    _, stream_id, tab = await lab.browser.turn("n=8 d=0.02 tag=A")
    # The backend accepts while the worker lives; its answer is late, and the turn's own end overtakes it.
    answer = asyncio.create_task(lab.browser.cancel(stream_id))
    await tab.ended()
    reply = await answer

    ended_as = {"stream_end": "finished", "cancel": None}[tab.endings[0]]
    assert reply.json.get("reason") == ended_as
    assert reply.json["cancelled"] is (ended_as is None)


async def test_a_stranger_is_told_nothing(make_lab: MakeLab) -> None:
    """P9: no verdict for a caller whom the backend would refuse, and no answer of somebody else's."""
    lab = await make_lab(password="secret")
    login = await lab.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    cookie = next(value for name, value in login.headers if name == "Set-Cookie").partition(";")[0]
    lab.session.headers.update({"Cookie": cookie})
    _, running, _ = await lab.browser.turn()
    _, finished, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()
    await lab.browser.cancel(running)
    del lab.session.headers["Cookie"]

    for stream_id in (running, finished, "unknown"):
        stranger = await lab.browser.cancel(stream_id)
        assert (stranger.status, stranger.json) == (401, {"error": "Authentication required"})
        assert not stranger.guard


TRUSTING = ClientSettings(trusted_proxies=(ip_network("127.0.0.0/8"),))


@pytest.mark.parametrize("field", ["Authorization", "Cookie", "X-Forwarded-User", "X-Vouch-User"])
async def test_whoever_shows_other_credentials_gets_an_answer_of_their_own(make_lab: MakeLab, field: str) -> None:
    """P9: an answer is shared only between callers whom nothing tells apart, identity headers included."""
    lab = await make_lab(faults=Faults(hang=True), client=TRUSTING)
    _, stream_id, _ = await lab.browser.turn()
    await lab.browser.cancel(stream_id, headers={field: "one"})

    other = await lab.browser.cancel(stream_id, headers={field: "other"})

    assert (other.json["cancelled"], other.guard["verdict"]) == (True, "forwarded")
    assert lab.backend.ledger.cancels[stream_id] >= 2  # one may be sent again on a busy machine (P11)


async def test_a_caller_of_other_credentials_waits_while_the_worker_unwinds(make_lab: MakeLab) -> None:
    """F23: a cancel too many kills the next turn. Once the worker is gone, the caller is told so."""
    lab = await make_lab(pace=UNHURRIED, client=TRUSTING)
    _, stream_id, _ = await lab.browser.turn()
    await lab.browser.cancel(stream_id, headers={"Cookie": "one"})

    other = await lab.browser.cancel(stream_id, headers={"Cookie": "other"})

    assert (other.json["cancelled"], other.guard["verdict"], other.guard["reason"]) == (False, "stale", "cancelled")
    assert lab.backend.ledger.cancels[stream_id] == 1


async def test_a_twin_that_was_refused_is_nobody_elses_answer(make_lab: MakeLab) -> None:
    """A Stop without a login, pressed in a loop, keeps no Stop of the person's own from Hermes."""
    lab = await make_lab(password="secret", faults=Faults(answer_delay=0.2))
    cookie = await _log_in(lab)
    lab.session.headers["Cookie"] = cookie
    _, stream_id, _ = await lab.browser.turn()
    del lab.session.headers["Cookie"]
    strangers = [asyncio.create_task(lab.browser.cancel(stream_id)) for _ in range(10)]
    await lab.until_reported("cancel_judged")

    own = await lab.browser.cancel(stream_id, headers={"Cookie": cookie})

    assert (own.status, own.json["cancelled"]) == (200, True)
    assert {(await stranger).status for stranger in strangers} == {401}


async def test_a_cookie_that_was_logged_out_gets_what_the_backend_says(make_lab: MakeLab) -> None:
    """P9: an accepted answer is given again only to a caller whom the backend still knows."""
    lab = await make_lab(password="secret", faults=Faults(hang=True))
    lab.session.headers["Cookie"] = await _log_in(lab)
    _, stream_id, _ = await lab.browser.turn()
    await lab.browser.cancel(stream_id)
    await lab.browser.call("POST", "/api/auth/logout")

    late = await lab.browser.cancel(stream_id)

    assert (late.status, late.json) == (401, {"error": "Authentication required"})
    assert not late.guard


async def test_a_duplicate_is_given_no_cookie_of_the_first(make_lab: MakeLab) -> None:
    """P9: only the status and the body of an accepted cancel are shared."""
    answer = Answer(200, b"OK", ((b"Content-Type", b"application/json"), (b"Set-Cookie", b"a=1")), b"{}")

    shared = shared_answer(Judged(answer, "forwarded"), "coalesced")

    assert shared.answer.headers == ((b"Content-Type", b"application/json"),)
    assert shared.verdict == "coalesced"


async def test_a_cancel_that_is_never_answered_absorbs_nobody(make_lab: MakeLab) -> None:
    """The next Stop is forwarded beside it, within three seconds, and works."""
    lab = await make_lab("v0.51.265", faults=Faults(unanswered=1, hang=True))
    _, stream_id, _ = await lab.browser.turn()
    silent = asyncio.create_task(lab.browser.cancel(stream_id))
    await lab.backend.ledger.until(lambda: lab.backend.ledger.cancels[stream_id] == 1)
    asked = asyncio.get_running_loop().time()

    second = await lab.browser.cancel(stream_id)

    assert second.json["cancelled"] is True
    assert second.at - asked < 3.0
    assert not silent.done()
    lab.backend.faults = Faults()
    await silent


async def _log_in(lab: Lab) -> str:
    login = await lab.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    return next(value for name, value in login.headers if name == "Set-Cookie").partition(";")[0]


@pytest.mark.parametrize("path", ["//api/chat/cancel", "/api/chat/cancel;x", "http://hermes/api/chat/cancel"])
async def test_no_spelling_of_a_cancel_slips_by(make_lab: MakeLab, path: str) -> None:
    """P1: what Hermes would read as a cancel is judged as one."""
    lab = await make_lab()
    _, stream_id, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(lab.browser.base.rpartition(":")[2]))
    request = f"GET {path}?stream_id={stream_id} HTTP/1.1\r\nHost: hermes\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())

    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()

    assert b'"reason": "finished"' in answer
    assert not lab.backend.ledger.cancels


async def test_a_browser_that_leaves_does_not_break_off_its_cancel(make_lab: MakeLab) -> None:
    """P10: what the backend was asked it is asked once, and what it answers is known to the next caller."""
    lab = await make_lab(faults=Faults(answer_delay=0.2))
    _, stream_id, tab = await lab.browser.turn()
    first = asyncio.create_task(lab.browser.cancel(stream_id))
    await lab.backend.ledger.until(lambda: lab.backend.ledger.cancels[stream_id] == 1)
    first.cancel()

    second = await lab.browser.cancel(stream_id)

    assert second.json["cancelled"] is True
    assert lab.backend.ledger.cancels[stream_id] == 1
    assert (await tab.ended()).endings == ["cancel"]


async def test_a_browser_that_leaves_while_its_stop_waits_for_another_is_told_of(make_lab: MakeLab) -> None:
    """P11: what nobody waits for any more is not swallowed, though the one that it waited for is never answered."""
    lab = await make_lab(faults=Faults(unanswered=1, hang=True))
    _, stream_id, _ = await lab.browser.turn()
    first = asyncio.create_task(lab.browser.cancel(stream_id))
    await lab.backend.ledger.until(lambda: lab.backend.ledger.cancels[stream_id] == 1)
    second = asyncio.create_task(lab.browser.cancel(stream_id))
    await lab.until_reported("cancel_judged", 2)

    second.cancel()
    await lab.until_reported("cancel_abandoned")

    [abandoned] = lab.reported("cancel_abandoned")
    assert abandoned["cancel"] == lab.reported("cancel_judged")[1]["cancel"]
    lab.backend.faults = Faults()
    await first


async def test_an_event_does_not_come_long_before_its_cancels_answer(make_lab: MakeLab, release: str) -> None:
    """F5: a page that was idle in between would take the answer for one about its next turn."""
    patient = OWNERSHIP.model_copy(update={"answer_timeout": 5.0})
    lab = await make_lab(release, ownership=patient, pace=replace(UNHURRIED, unwind=0.05, gap=1.0))
    _, stream_id, tab = await lab.browser.turn()

    await lab.browser.cancel(stream_id)
    await tab.ended()

    assert 0 < lab.answered() - lab.wrote("cancel") < 0.8


@pytest.mark.parametrize("order", CancelOrder)
async def test_the_next_turn_does_not_come_right_behind_the_cancels_answer(
    make_lab: MakeLab, release: str, order: CancelOrder
) -> None:
    """F5: they are on different connections, and a page that read the next turn first would end it."""
    ownership = OWNERSHIP.model_copy(update={"answer_gap": 0.2})
    lab = await make_lab(
        release, order=order, ownership=ownership, pace=Pace(token=0.01, first_token=0.01, unwind=0.05)
    )
    session_id, stream_id, _ = await lab.browser.turn()
    stopped = asyncio.create_task(lab.browser.cancel(stream_id))
    await lab.until_reported("cancel_judged")

    started = await lab.browser.start(session_id, "n=2 d=0.005 tag=B")
    await stopped

    assert started.guard["verdict"] == "held"
    forwarded = [line["t"] for line in lab.traced("start_forwarded") if line["held"]]
    assert forwarded[0] - lab.answered() > 0.19


async def test_an_event_is_ahead_of_the_answers_to_everybody_who_stopped(make_lab: MakeLab, release: str) -> None:
    """F5: whoever's cancel is accepted second may be answered when the relay has just ended."""
    ownership = OWNERSHIP.model_copy(update={"answer_gap": 0.2})
    lab = await make_lab(release, ownership=ownership, client=TRUSTING, order=CancelOrder.EVENT_FIRST, pace=UNHURRIED)

    assert await stopped_by_two(lab) > 0.19


@pytest.mark.parametrize("order", CancelOrder)
async def test_an_event_is_ahead_of_a_refusal_that_overtakes_anothers_acceptance(
    make_lab: MakeLab, release: str, order: CancelOrder
) -> None:
    """F5: releases with one shot refuse the second caller's cancel while the first one's answer is on its way."""
    ownership = OWNERSHIP.model_copy(update={"answer_gap": 0.2, "answer_timeout": 5.0})
    pace = replace(UNHURRIED, gap=0.2)
    lab = await make_lab(release, ownership=ownership, client=TRUSTING, order=order, pace=pace)

    assert await stopped_by_two(lab) > 0.19


async def stopped_by_two(lab: Lab) -> float:
    """Seconds from the `cancel` event's leaving to the first answer's, when two callers stop a turn at once."""
    _, stream_id, tab = await lab.browser.turn()
    await asyncio.gather(*(lab.browser.cancel(stream_id, headers={"Cookie": who}) for who in ("one", "other")))
    await tab.ended()
    return lab.answered() - lab.wrote("cancel")


async def test_an_event_waits_for_an_answer_no_longer_than_the_timeout(make_lab: MakeLab) -> None:
    """P7: then it goes on, and the answer comes when it comes."""
    lab = await make_lab(pace=Pace(token=0.01, first_token=0.01, unwind=0.05, gap=1.5))
    _, stream_id, tab = await lab.browser.turn()
    asked = asyncio.get_running_loop().time()

    answer = await lab.browser.cancel(stream_id)

    assert OWNERSHIP.answer_timeout - 0.1 < tab.at("cancel") - asked < 1.4
    assert answer.json["cancelled"] is True


@pytest.mark.parametrize("deaf", [0.0, 0.3, 1.2])
async def test_a_stop_in_a_turns_first_moments_is_not_lost(make_lab: MakeLab, release: str, deaf: float) -> None:
    """F13, F22: until its agent listens Hermes accepts a cancel and loses it, so it is asked when that is over."""
    patient = OWNERSHIP.model_copy(update={"settle_timeout": 5.0, "stop_timeout": 5.0})
    pace = Pace(token=0.02, first_token=0.01, unwind=0.05, spoil=0.02, deaf=deaf)
    lab = await make_lab(release, ownership=patient, pace=pace)
    session_id = await lab.browser.new_session()
    first = (await lab.browser.start(session_id, "n=100 tag=A")).json["stream_id"]
    tab = lab.browser.open(first)

    stops = await asyncio.gather(lab.browser.cancel(first), lab.browser.cancel(first))
    started = await lab.browser.start(session_id, "n=2 d=0.005 tag=B")

    assert [stop.json["cancelled"] for stop in stops] == [True, True]
    assert lab.backend.ledger.cancels[first] == 1
    assert (await tab.ended()).endings == ["cancel"]
    assert (await lab.browser.open(started.json["stream_id"]).ended()).text == "B0 B1 "
    assert {request.end for request in lab.backend.ledger.model_requests_of(first)} <= {"broken off"}


async def test_a_worker_that_comes_back_is_stopped_again(make_lab: MakeLab) -> None:
    """P11: an accepted cancel is not believed; the proof is that the worker is gone."""
    patient = OWNERSHIP.model_copy(update={"settle_timeout": 8.0, "stop_timeout": 8.0})
    lab = await make_lab("v0.52.262", ownership=patient, faults=Faults(comes_back=True))
    session_id, first, _ = await lab.browser.turn("n=400 d=0.02 tag=A")
    await lab.browser.cancel(first)

    started = await lab.browser.start(session_id, "n=2 d=0.005 tag=B")

    assert started.status == 200
    assert not [r for r in lab.backend.ledger.open_model_requests if r.stream_id == first]
    (receipt,) = lab.reported("cancel_settled")
    assert (receipt["missing"], receipt["slot_freed_by"]) == ([], "health")
    assert lab.reported("cancel_repeated")


async def test_a_further_stop_is_forwarded_once_the_worker_was_not_seen_gone(make_lab: MakeLab, release: str) -> None:
    """P11: after the stop timeout it is as if it were the first; it is not called stale."""
    brief = OWNERSHIP.model_copy(update={"stop_timeout": 0.3, "settle_timeout": 0.3})
    lab = await make_lab(release, ownership=brief, faults=Faults(hang=True))
    _, stream_id, _ = await lab.browser.turn()
    await lab.browser.cancel(stream_id)
    await lab.until_reported("cancel_settled")

    further = await lab.browser.cancel(stream_id)

    assert further.guard["verdict"] == "forwarded"
    assert lab.backend.ledger.cancels[stream_id] >= 2  # one may be sent again on a busy machine (P11)
    assert further.json["cancelled"] is (release != "v0.51.195"), "as Hermes says it"


async def test_a_further_stop_is_forwarded_after_a_restart_of_the_proxy(make_lab: MakeLab) -> None:
    """P11: what the proxy does not know, Hermes decides."""
    lab = await make_lab("v0.52.262", faults=Faults(hang=True))
    _, stream_id, _ = await lab.direct.turn()
    await lab.direct.cancel(stream_id)

    further = await lab.browser.cancel(stream_id)

    assert (further.json["cancelled"], further.guard["verdict"]) == (True, "forwarded")
