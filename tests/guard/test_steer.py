"""F18: what a person steered into a turn is not lost with it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.core.observations import CancelSent, StreamEnded, TurnStarted
from proxy.core.records import Ending
from proxy.demo import Faults
from proxy.guard import steer as steer_guard
from proxy.guard.label import Judged
from proxy.guard.steer import SteerGuard
from proxy.hermes import answers
from proxy.http.message import Answer, Body, RequestHead
from proxy.relay.steers import Reader, Steers
from proxy.tasks import Tasks
from tests.support.lab import UNHURRIED, Browser, Lab, MakeLab, Reply, Tab
from tests.support.notes import Notes, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

LEFTOVER = "pending_steer_leftover"
FINAL_TEXT = "n=30 d=0.02 tag=A"
STILL = "n=400 d=0.02 tag=A"
NOT_RUNNING = {"accepted": False, "fallback": "not_running", "stream_id": None}


async def steer(browser: Browser, session_id: str, text: str, **options: Any) -> Reply:
    return await browser.call("POST", "/api/chat/steer", json={"session_id": session_id, "text": text}, **options)


def leftovers(tab: Tab) -> list[dict[str, Any]]:
    return [data for name, data, _ in tab.frames if name == LEFTOVER]


def texts(*tabs: Tab) -> list[str]:
    return [data["text"] for tab in tabs for data in leftovers(tab)]


def steers_at_the_backend(lab: Lab) -> list[int]:
    """The statuses of those that it answered."""
    return [request.status for request in lab.backend.ledger.requests_for("/api/chat/steer")]


# -- the end of a turn ----------------------------------------------------------------------------


async def test_what_came_too_late_comes_back_right_before_done(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id, stream_id, tab = await lab.browser.turn(FINAL_TEXT)

    answer = await steer(lab.browser, session_id, " left, please ")
    await tab.ended()

    assert answer.json == {"accepted": True, "fallback": None, "stream_id": stream_id}
    assert not answer.guard, "it passed"
    assert leftovers(tab) == [
        {"session_id": session_id, "text": "left, please", "synthesized_by": "stream-guard"},
    ]
    assert tab.names[tab.names.index(LEFTOVER) + 1] == "done"
    assert b"\n\nevent: pending_steer_leftover\n" in tab.raw, "in Hermes' shape, and without an id"


async def test_without_the_proxy_it_is_lost(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id, _, tab = await lab.direct.turn(FINAL_TEXT)

    assert (await steer(lab.direct, session_id, "left")).json["accepted"] is True

    assert texts(await tab.ended()) == []
    assert "left" not in tab.text


async def test_several_come_back_as_one_text_in_their_order(make_lab: MakeLab) -> None:
    """As Hermes itself joins them: one message, and not a turn for each."""
    lab = await make_lab()
    session_id, _, tab = await lab.browser.turn(FINAL_TEXT)

    for text in ("left", "right", "left"):
        await steer(lab.browser, session_id, text)

    assert texts(await tab.ended()) == ["left\nright\nleft"]


async def test_one_tab_of_several_is_given_it(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id, stream_id, one = await lab.browser.turn(FINAL_TEXT)
    others = [await lab.browser.open(stream_id).until(lambda tab: "token" in tab.names) for _ in range(4)]

    await steer(lab.browser, session_id, "left")

    assert texts(*[await tab.ended() for tab in (one, *others)]) == ["left"]


async def test_a_tab_that_leaves_takes_nothing_with_it(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id, stream_id, one = await lab.browser.turn(FINAL_TEXT)
    two = await lab.browser.open(stream_id).until(lambda tab: "token" in tab.names)
    await steer(lab.browser, session_id, "left")

    await one.leave()

    assert texts(await two.ended()) == ["left"]


async def test_a_page_that_was_away_at_the_end_is_given_it_when_it_comes_back_and_only_once(
    make_lab: MakeLab, release: str
) -> None:
    """A phone that slept: its page asks for the stream again, and is shown the end of it."""
    lab = await make_lab(release)
    session_id, stream_id, tab = await lab.browser.turn(FINAL_TEXT)
    await steer(lab.browser, session_id, "left")
    await tab.leave()
    await lab.direct.open(stream_id).ended()

    back = await lab.browser.open(stream_id).ended()
    again = await lab.browser.open(stream_id).ended()

    assert texts(back) == ["left"]
    assert back.names[back.names.index(LEFTOVER) + 1] == "done"
    assert texts(again) == []


async def test_a_turn_that_fails_gives_it_back_before_its_error(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id, _, tab = await lab.browser.turn(f"{FINAL_TEXT} fail")

    await steer(lab.browser, session_id, "left")
    await tab.ended()

    assert tab.names[-2:] == [LEFTOVER, "apperror"]


async def test_an_ending_of_the_proxys_own_gives_it_back_as_well(make_lab: MakeLab) -> None:
    """A worker that died: its turn is superseded by the next one."""
    lab = await make_lab(faults=Faults(die_after=30), heartbeat=0.05)
    session_id, _, tab = await lab.browser.turn(STILL)
    await steer(lab.browser, session_id, "left")
    lab.backend.faults = Faults()

    await lab.browser.start_when_accepted(session_id, "n=1 tag=B")
    await tab.ended()

    assert tab.names[-2:] == [LEFTOVER, "stream_end"]
    assert texts(tab) == ["left"]


# -- what is not lost -----------------------------------------------------------------------------


async def test_what_a_tool_takes_to_the_model_does_not_come_back(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id = await lab.browser.new_session()
    started = await lab.browser.start(session_id, "n=5 tool=0.4 tag=A")
    tab = await lab.browser.open(started.json["stream_id"]).until(lambda tab: "tool" in tab.names)

    await steer(lab.browser, session_id, "left")
    await tab.ended()

    assert "steered:left" in tab.text
    assert texts(tab) == []
    assert [(said["count"], said["length"]) for said in lab.reported("steer_reached")] == [(1, 4)]


async def test_a_tool_that_had_ended_before_takes_nothing_to_the_model(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    started = await lab.browser.start(session_id, "n=40 d=0.02 tool=0.1 tag=A")
    tab = await lab.browser.open(started.json["stream_id"]).until(lambda tab: "A3 " in tab.text)

    await steer(lab.browser, session_id, "left")

    assert texts(await tab.ended()) == ["left"]


async def test_a_tab_that_joins_late_is_shown_old_tools_which_take_nothing_along(make_lab: MakeLab) -> None:
    """F12: v0.52 replays what came before it joined."""
    lab = await make_lab("v0.52.262")
    session_id = await lab.browser.new_session()
    started = await lab.browser.start(session_id, "n=60 d=0.02 tool=0.1 tag=A")
    stream_id = started.json["stream_id"]
    tab = await lab.browser.open(stream_id).until(lambda tab: "A3 " in tab.text)
    await steer(lab.browser, session_id, "left")

    late = await lab.browser.open(stream_id, "&replay=1").until(lambda tab: "tool_complete" in tab.names)

    assert texts(await tab.ended(), await late.ended()) == ["left"]


async def test_what_hermes_hands_back_itself_is_not_doubled(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, faults=Faults(tells_leftover=True))
    session_id, _, tab = await lab.browser.turn(FINAL_TEXT)

    for text in ("left", "right"):
        await steer(lab.browser, session_id, text)
    await tab.ended()

    assert leftovers(tab) == [{"session_id": session_id, "text": "left\nright"}], "its own, unmarked"


async def test_a_steer_that_is_not_accepted_passes_and_is_not_remembered(make_lab: MakeLab) -> None:
    lab = await make_lab(mode="gateway")
    session_id, stream_id, tab = await lab.browser.turn(FINAL_TEXT)

    answer = await steer(lab.browser, session_id, "left")

    assert answer.json == {"accepted": False, "fallback": "gateway_steer_queued", "stream_id": stream_id}
    assert not answer.guard
    assert texts(await tab.ended()) == []


async def test_a_session_without_a_turn_is_the_backends_to_refuse(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id = await lab.browser.new_session()

    guarded, direct = [await steer(browser, session_id, "left") for browser in (lab.browser, lab.direct)]

    assert guarded.json == direct.json


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"session_id": "s"}', b'{"session_id": "s", "text": "  "}'])
async def test_what_is_no_steer_passes_unchanged(make_lab: MakeLab, body: bytes) -> None:
    lab = await make_lab()
    headers = {"Content-Type": "application/json"}

    guarded, direct = [
        await browser.call("POST", "/api/chat/steer", data=body, headers=headers)
        for browser in (lab.browser, lab.direct)
    ]

    assert (guarded.status, guarded.json) == (direct.status, direct.json)
    assert not guarded.guard


# -- a Stop ---------------------------------------------------------------------------------------


async def test_while_its_turn_is_being_cancelled_a_text_comes_back_with_the_answer(
    make_lab: MakeLab, release: str
) -> None:
    """The page puts it back where it was typed; Hermes is asked only whether it knows the caller."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, stream_id, tab = await lab.browser.turn(STILL)
    await lab.browser.cancel(stream_id)

    answer = await steer(lab.browser, session_id, "left")

    assert (answer.status, answer.json) == (200, NOT_RUNNING)
    assert answer.guard == {"verdict": "stale", "reason": "cancelled"}
    assert steers_at_the_backend(lab) == [400], "it was asked with no text"
    assert texts(await tab.ended()) == []


async def test_a_stranger_is_told_nothing_of_a_cancel(make_lab: MakeLab) -> None:
    """P9."""
    lab = await make_lab(pace=UNHURRIED, password="secret")
    login = await lab.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    cookie = {"Cookie": dict(login.headers)["Set-Cookie"].partition(";")[0]}
    session_id = await cancelled_turn(lab, cookie)

    refused = await steer(lab.browser, session_id, "left")
    known = await steer(lab.browser, session_id, "left", headers=cookie)

    assert (refused.status, refused.json) == (401, {"error": "Authentication required"})
    assert not refused.guard
    assert known.json == NOT_RUNNING


async def cancelled_turn(lab: Lab, cookie: dict[str, str]) -> str:
    """The session of a turn that is being cancelled."""
    new = await lab.browser.call("POST", "/api/session/new", json={}, headers=cookie)
    session_id = str(new.json["session"]["session_id"])
    started = await lab.browser.start(session_id, STILL, headers=cookie)
    await lab.backend.ledger.until(lambda: bool(lab.backend.ledger.model_requests), within=1)
    await lab.browser.cancel(started.json["stream_id"], headers=cookie)
    return session_id


async def test_another_sites_page_is_refused_as_hermes_refuses_it(make_lab: MakeLab) -> None:
    """F10: a POST's origin counts as much as its cookie."""
    lab = await make_lab(pace=UNHURRIED)
    session_id, stream_id, _ = await lab.browser.turn(STILL)
    await lab.browser.cancel(stream_id)
    elsewhere = {"Origin": "https://elsewhere.example"}

    guarded, direct = [
        await steer(browser, session_id, "left", headers=elsewhere) for browser in (lab.browser, lab.direct)
    ]

    assert (guarded.status, guarded.json) == (direct.status, direct.json) == (403, direct.json)
    assert not guarded.guard


async def test_what_was_accepted_before_a_stop_is_not_sent_on_its_own_after_it(make_lab: MakeLab, release: str) -> None:
    """Every release's page would send it as the next message the moment that the Stop has made it idle."""
    lab = await make_lab(release)
    session_id, stream_id, tab = await lab.browser.turn(STILL)
    await steer(lab.browser, session_id, "left")

    await lab.browser.cancel(stream_id)

    assert (await tab.ended()).endings == ["cancel"]
    assert texts(tab) == []
    assert [(said["count"], said["why"]) for said in lab.reported("steer_lost")] == [(1, "cancelled")]


async def test_the_next_turn_can_be_steered_again(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id, first, _ = await lab.browser.turn(STILL)
    await steer(lab.browser, session_id, "left")
    await lab.browser.cancel(first)
    _, _, tab = await lab.browser.turn(FINAL_TEXT, session_id)

    await steer(lab.browser, session_id, "right")

    assert texts(await tab.ended()) == ["right"]


# -- an answer that comes late --------------------------------------------------------------------


class Hermes:
    """Accepts every steer after a second, as `proxy.backend.backend.Backend`."""

    def __init__(self, **answer: Any) -> None:
        self._answer = {"accepted": True, "fallback": None, "stream_id": "x", **answer}
        self.asked: list[bytes] = []

    async def ask(self, _head: RequestHead, body: Body) -> Answer:
        self.asked.append(b"".join([chunk async for chunk in body.chunks]))
        await asyncio.sleep(1)
        return Answer(200, b"OK", ((b"Content-Type", b"application/json"),), json.dumps(self._answer).encode())


class Steering:
    """A turn `x` of session `s` that runs, and one relay of it."""

    def __init__(self, tasks: Tasks, hermes: Hermes) -> None:
        self.notes = Notes()
        self.ownership = ownership(self.notes)
        self.steers = Steers(self.notes)
        backend = cast("Backend", hermes)
        self.guard = SteerGuard(backend, self.ownership, self.steers, tasks, report=self.notes)

    async def runs(self) -> None:
        await self.ownership.turn_seen("s", TurnStarted(self.ownership.clock(), "x"))

    def steer(self, text: str = "left") -> asyncio.Task[Judged]:
        body = json.dumps({"session_id": "s", "text": text}).encode()
        return asyncio.create_task(self.guard.answer(RequestHead("POST", b"/api/chat/steer"), body))


def given_back(reader: Reader) -> str | None:
    frame = reader.take()
    return json.loads(frame.partition(b"data: ")[2])["text"] if frame else None


@in_virtual_time
async def test_an_answer_that_comes_after_the_turns_end_gives_the_text_back_itself() -> None:
    """The event that would have brought it back has gone by."""
    async with Tasks() as tasks:
        steering = Steering(tasks, Hermes())
        await steering.runs()
        asking = steering.steer()
        await asyncio.sleep(0.5)
        await steering.ownership.observe(StreamEnded(0.5, "x", Ending.FINISHED))

        judged = await asking

    assert json.loads(judged.answer.body) == NOT_RUNNING
    assert (judged.verdict, judged.reason) == ("stale", Ending.FINISHED)
    assert steering.steers.size == 0


@in_virtual_time
async def test_an_answer_that_comes_after_a_stop_gives_the_text_back_itself() -> None:
    async with Tasks() as tasks:
        steering = Steering(tasks, Hermes())
        await steering.runs()
        asking = steering.steer()
        await asyncio.sleep(0.5)
        await steering.ownership.observe(CancelSent(0.5, "x", "c-1", "alice"))

        judged = await asking

    assert json.loads(judged.answer.body) == NOT_RUNNING
    assert judged.reason is Ending.CANCELLED


@in_virtual_time
async def test_a_tool_that_ends_before_the_answer_comes_may_have_missed_it() -> None:
    """In doubt a text is given back rather than lost."""
    async with Tasks() as tasks:
        steering = Steering(tasks, Hermes())
        await steering.runs()
        with closing(steering.steers.opened("x", "r-1")) as reader:
            asking = steering.steer()
            await asyncio.sleep(0.5)
            reader.saw("tool_complete", b'{"tid": "call_1"}')

            await asking

            assert given_back(reader) == "left"


@in_virtual_time
async def test_a_steer_whose_browser_leaves_is_carried_out_and_remembered() -> None:
    """P10."""
    async with Tasks() as tasks:
        steering = Steering(tasks, Hermes())
        await steering.runs()
        asking = steering.steer()
        await asyncio.sleep(0.5)
        asking.cancel()
        await asyncio.sleep(1)

        with closing(steering.steers.opened("x", "r-1")) as reader:
            assert given_back(reader) == "left"


@in_virtual_time
async def test_a_turn_that_nobody_knew_is_named_by_the_answer() -> None:
    """The proxy has just been started again."""
    async with Tasks() as tasks:
        steering = Steering(tasks, Hermes())
        await steering.steer()
        with closing(steering.steers.opened("x", "r-1")) as reader:
            assert given_back(reader) == "left"


@in_virtual_time
async def test_an_answer_that_names_no_turn_means_the_one_that_runs() -> None:
    async with Tasks() as tasks:
        steering = Steering(tasks, Hermes(stream_id=None))
        await steering.steer()
        await steering.runs()
        await steering.steer()

        assert steering.notes.of("steer_unremembered") == [{"stream": None, "length": 4}]
        assert steering.notes.of("steer_accepted") == [{"stream": "x", "length": 4}]


# -- bounds ---------------------------------------------------------------------------------------


async def test_a_text_that_is_too_long_passes_unremembered(make_lab: MakeLab) -> None:
    """P7."""
    lab = await make_lab()
    session_id, stream_id, tab = await lab.browser.turn(FINAL_TEXT)

    answer = await steer(lab.browser, session_id, "x" * 70_000)

    assert answer.json["accepted"] is True
    assert lab.reported("steer_unremembered") == [{"stream": stream_id, "length": 70_000}]
    assert texts(await tab.ended()) == []


async def test_a_body_that_is_too_large_to_be_held_passes_as_it_comes(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id, stream_id, _ = await lab.browser.turn(STILL)

    large = io.BytesIO(json.dumps({"session_id": session_id, "text": "x" * (9 << 20)}).encode())
    answer = await lab.browser.call("POST", "/api/chat/steer", data=large)

    assert answer.json == {"accepted": True, "fallback": None, "stream_id": stream_id}
    assert lab.reported("steer_passed_large") == [{}]


async def test_a_body_of_unknown_length_is_held_all_the_same(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id, _, tab = await lab.browser.turn(FINAL_TEXT)

    async def body() -> AsyncIterator[bytes]:
        yield b'{"session_id": "%b", ' % session_id.encode()
        yield b'"text": "left"}'

    await lab.browser.call("POST", "/api/chat/steer", data=body())

    assert texts(await tab.ended()) == ["left"]


async def test_no_report_says_what_was_steered(make_lab: MakeLab) -> None:
    lab = await make_lab(pace=UNHURRIED)
    session_id, _, tab = await lab.browser.turn(FINAL_TEXT)
    await steer(lab.browser, session_id, "a secret")
    await tab.ended()
    _, second, _ = await lab.browser.turn(STILL, session_id)
    await steer(lab.browser, session_id, "a secret")
    await lab.browser.cancel(second)
    await steer(lab.browser, session_id, "a secret")

    told = {name for name, _ in lab.reports if name.startswith("steer")}

    assert told == {"steer_accepted", "steer_returned", "steer_lost", "steer_refused"}
    assert not [line for line in lab.trace if "secret" in line]
    assert not [said for said in lab.notices.said if "secret" in str(said)]


@pytest.mark.parametrize(
    ("where", "step"),
    [(Steers, "remember"), (steer_guard, "read_steering"), (steer_guard, "judge_steer"), (answers, "read_steer")],
)
async def test_a_mistake_in_judging_a_steer_lets_it_pass(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, where: Any, step: str
) -> None:
    """P8."""

    def mistaken(*_: object) -> None:
        raise RuntimeError("injected")

    lab = await make_lab()
    monkeypatch.setattr(where, step, mistaken)
    session_id, stream_id, tab = await lab.browser.turn(FINAL_TEXT)
    answer = await steer(lab.browser, session_id, "left")

    assert answer.json == {"accepted": True, "fallback": None, "stream_id": stream_id}
    assert (await tab.ended()).endings == ["stream_end"]


@pytest.mark.parametrize("step", ["saw", "take", "lose"])
async def test_a_mistake_in_giving_back_leaves_the_stream_as_it_is(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """P8."""

    def mistaken(*_: object) -> None:
        raise RuntimeError("injected")

    lab = await make_lab()
    session_id, _, tab = await lab.browser.turn(FINAL_TEXT)
    await steer(lab.browser, session_id, "left")
    monkeypatch.setattr(Reader, step, mistaken)
    await tab.ended()
    assert "done" in tab.names
