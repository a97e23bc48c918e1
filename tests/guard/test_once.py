"""Starts that are asked for twice, since an answer was lost or for good measure: one turn, and both know it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

import pytest

from proxy.config import ClientSettings
from proxy.core.observations import CancelSent
from proxy.demo import Faults
from proxy.guard import spool
from proxy.guard.once import Once
from proxy.guard.repeats import Repeats
from proxy.guard.start import StartGuard
from proxy.guard.turns import Turns
from proxy.http.message import Answer, Body, RequestHead
from proxy.tasks import Tasks
from tests.support.clients import FRONT, LAN, STRANGER, coming_from
from tests.support.lab import OWNERSHIP, UNHURRIED, Lab, MakeLab, Reply
from tests.support.notes import Notes, live, ownership
from tests.support.raw import RawBrowser
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend
    from proxy.http.headers import RawHeaders

LONG = "n=400 tag=A"
START = "/api/chat/start"
KEY = {"Idempotency-Key": '"8e03978e"'}
LATE = Faults(start_delay=0.3)
NO_REPEATS = OWNERSHIP.model_copy(update={"repeat_starts": False})
DISK = OWNERSHIP.model_copy(update={"start_body_limit": 16})


def replayed(reply: Reply) -> bool:
    """Whether it is another request's answer, as both of its fields say."""
    field = dict(reply.headers).get("Idempotency-Replayed")
    assert (field == "true") is (reply.guard.get("verdict") == "replayed")
    return field == "true"


def runs(lab: Lab) -> int:
    """How many turns the model was asked for."""
    return len({request.stream_id for request in lab.backend.ledger.model_requests})


async def post(lab: Lab, session_id: str, headers: dict[str, str] | None = None) -> RawBrowser:
    """A browser that has sent a start."""
    body = json.dumps({"session_id": session_id, "message": LONG}).encode()
    own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"POST {START} HTTP/1.1\r\nHost: hermes\r\nContent-Type: application/json\r\nUser-Agent: x\r\n{own}"
    browser = RawBrowser(int(lab.browser.base.rpartition(":")[2]))
    await browser.connect()
    await browser.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return browser


async def send(lab: Lab, session_id: str, headers: dict[str, str] | None = None) -> RawBrowser:
    """A browser that has sent a start, whose turn runs."""
    turns = runs(lab)
    browser = await post(lab, session_id, headers)
    await lab.backend.ledger.until(lambda: runs(lab) > turns)
    return browser


async def leave(lab: Lab, browser: RawBrowser) -> None:
    """It leaves by RST before its answer, as the proxy has noticed."""
    known = len(lab.notices.of("request_ended"))
    browser.leave_by_rst()
    async with asyncio.timeout(5):
        while len(lab.notices.of("request_ended")) == known:
            lab.changed.clear()
            await lab.changed.wait()
    assert lab.notices.of("request_ended")[-1]["ended_by"] == "browser"


async def cut(lab: Lab, session_id: str, headers: dict[str, str] | None = None) -> None:
    """A start whose browser leaves by RST once its turn runs, before its answer, as the proxy has noticed."""
    await leave(lab, await send(lab, session_id, headers))


async def lost(lab: Lab, headers: dict[str, str] | None = None) -> str:
    """A session in which a turn runs whose start was accepted when its browser had left."""
    session_id = await lab.browser.new_session()
    lab.backend.faults = LATE
    await cut(lab, session_id, headers)
    await lab.until_reported("start_answered", len(lab.reported("start_forwarded")))
    lab.backend.faults = Faults()
    return session_id


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_start_whose_answer_was_lost_is_given_it_when_it_comes_again(
    make_lab: MakeLab, release: str, headers: dict[str, str]
) -> None:
    lab = await make_lab(release)
    session_id = await lost(lab, headers)

    again = await lab.browser.start(session_id, LONG, headers=headers)
    tab = await lab.browser.open(again.json["stream_id"]).until(lambda tab: "token" in tab.names)

    assert (again.status, replayed(again), runs(lab)) == (200, True, 1)
    assert again.json["session_id"] == session_id
    assert tab.text.startswith("A0 ")
    assert len(lab.backend.ledger.requests_for(START)) == 1
    assert [said["why"] for said in lab.reported("start_replayed")] == [
        "idempotency_key" if headers else "connection_lost"
    ]


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_start_that_comes_again_while_the_first_is_under_way_waits_for_its_answer(
    make_lab: MakeLab, release: str, headers: dict[str, str]
) -> None:
    lab = await make_lab(release, faults=LATE)
    session_id = await lab.browser.new_session()
    await cut(lab, session_id, headers)
    assert not lab.reported("start_answered")

    again = await lab.browser.start(session_id, LONG, headers=headers)

    assert (again.status, replayed(again), runs(lab)) == (200, True, 1)
    assert again.json["stream_id"] == lab.backend.ledger.model_requests[0].stream_id


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_start_that_is_held_over_a_restart_and_comes_again_is_one_turn(
    make_lab: MakeLab, headers: dict[str, str]
) -> None:
    """Who waits for Hermes' restart may lose patience, and reload."""
    lab = await make_lab("v0.52.262")
    session_id = await lab.browser.new_session()
    lab.drain.begin(hold=True)
    first = await post(lab, session_id, headers)
    await lab.until_reported("turn_held")
    await leave(lab, first)

    again = asyncio.create_task(lab.browser.start(session_id, LONG, headers=headers))
    await asyncio.sleep(0.1)  # so that it waits before the first goes on; if not, it is given the answer as well
    assert lab.drain.held == 1
    lab.drain.resume()
    reply = await again

    assert (reply.status, replayed(reply), runs(lab)) == (200, True, 1)
    assert len(lab.backend.ledger.requests_for(START)) == 1


async def test_two_starts_with_one_key_at_once_are_one_turn(make_lab: MakeLab, release: str) -> None:
    """Though neither browser has left; quotes around a key or none are the same."""
    lab = await make_lab(release, faults=LATE)
    session_id = await lab.browser.new_session()
    bare = {"Idempotency-Key": "8e03978e"}

    replies = await asyncio.gather(*(lab.browser.start(session_id, LONG, headers=each) for each in (KEY, bare, KEY)))

    assert len({json.dumps(reply.json) for reply in replies}) == 1
    assert sorted(replayed(reply) for reply in replies) == [False, True, True]
    assert (runs(lab), len(lab.backend.ledger.requests_for(START))) == (1, 1)


async def test_two_tabs_that_send_the_same_both_go_to_hermes(make_lab: MakeLab, release: str) -> None:
    """Whoever is there may mean it: the second is refused as Hermes does."""
    lab = await make_lab(release, faults=LATE)
    session_id = await lab.browser.new_session()

    first, second = await asyncio.gather(*(lab.browser.start(session_id, LONG) for _ in range(2)))
    third = await lab.browser.start(session_id, LONG)

    assert sorted((first.status, second.status, third.status)) == [200, 409, 409]
    assert not any(map(replayed, (first, second, third)))
    assert len(lab.backend.ledger.requests_for(START)) == 3


async def test_a_start_that_came_before_the_first_ones_browser_was_seen_to_leave(
    make_lab: MakeLab, release: str
) -> None:
    """It waits behind the first for its turn; and Hermes' 409 would name the turn that its own browser asked for."""
    lab = await make_lab(release, faults=LATE)
    session_id = await lab.browser.new_session()
    first = await send(lab, session_id)
    second = asyncio.create_task(lab.browser.start(session_id, LONG))
    await lab.until_reported("start_received", 2)
    first.leave_by_rst()

    again = await second
    refused = await lab.browser.start(session_id, LONG)

    assert (again.status, replayed(again), runs(lab)) == (200, True, 1)
    assert again.json["stream_id"] == lab.backend.ledger.model_requests[0].stream_id
    assert (refused.status, replayed(refused)) == (409, False), "it was given to the second"


async def test_a_lost_answer_is_given_once(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id = await lost(lab)
    again = await lab.browser.start(session_id, LONG)
    refused = await lab.browser.start(session_id, LONG)

    assert (again.status, replayed(again)) == (200, True)
    assert (refused.status, replayed(refused)) == (409, False)


async def test_a_lost_answer_that_is_lost_again_is_given_to_the_third(make_lab: MakeLab) -> None:
    lab = await make_lab(faults=LATE)
    session_id = await lab.browser.new_session()
    await cut(lab, session_id)
    second = asyncio.create_task(lab.browser.start(session_id, LONG))
    await asyncio.sleep(0.05)
    second.cancel()
    await lab.ended("Start", 2)

    third = await lab.browser.start(session_id, LONG)

    assert (third.status, replayed(third), runs(lab)) == (200, True, 1)


async def test_a_key_with_another_message_is_refused(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    await lab.browser.start(session_id, LONG, headers=KEY)

    refused = await lab.browser.start(session_id, "n=1 tag=B", headers=KEY)

    assert (refused.status, refused.json["code"]) == (409, "idempotency_key_conflict")
    assert refused.json["error"] == "This Idempotency-Key was used for another message; send a new key."
    assert len(lab.backend.ledger.requests_for(START)) == 1


async def test_a_key_that_cannot_be_read_is_refused(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()

    refused = await lab.browser.start(session_id, LONG, headers={"Idempotency-Key": "a, b"})

    assert (refused.status, refused.json["code"]) == (400, "bad_request")
    assert not lab.backend.ledger.requests_for(START)


async def test_a_key_is_remembered_after_its_turn_has_ended(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id, text = await lab.browser.new_session(), "n=2 tag=A"
    first = await lab.browser.start(session_id, text, headers=KEY)
    await lab.browser.open(first.json["stream_id"]).ended()

    again = await lab.browser.start(session_id, text, headers=KEY)
    other = await lab.browser.start(session_id, text, headers={"Idempotency-Key": "other"})

    assert (again.json, replayed(again)) == (first.json, True)
    assert (other.status, replayed(other), runs(lab)) == (200, False, 2)


async def test_without_a_key_the_same_words_after_the_turn_are_a_new_message(make_lab: MakeLab, release: str) -> None:
    """Nobody follows the turn whose start was lost, so only Hermes knows that it has ended."""
    lab = await make_lab(release)
    session_id = await lost(lab)
    stream_id = lab.backend.ledger.model_requests[0].stream_id
    await lab.direct.cancel(stream_id)
    direct = lab.direct
    async with asyncio.timeout(5):
        while (await direct.call("GET", f"/api/chat/stream/status?stream_id={stream_id}")).json["active"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    started = await lab.browser.start(session_id, LONG)

    assert not replayed(started)
    assert len(lab.backend.ledger.requests_for(START)) >= 2


async def test_without_a_key_the_same_words_after_a_stop_are_a_new_message(make_lab: MakeLab, release: str) -> None:
    """A page that was reloaded stops the turn and asks again."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id = await lost(lab)
    stream_id = lab.backend.ledger.model_requests[0].stream_id
    await lab.browser.open(stream_id).until(lambda tab: "token" in tab.names)
    await lab.browser.cancel(stream_id)

    started = await lab.browser.start(session_id, LONG)

    assert (started.status, started.guard["verdict"], runs(lab)) == (200, "held", 2)


async def test_without_a_key_the_same_words_while_a_stop_is_under_way_are_a_new_message(make_lab: MakeLab) -> None:
    """Hermes still says that the turn is active, and the start waits as any other would (P3)."""
    lab = await make_lab()
    session_id = await lost(lab)
    stream_id = lab.backend.ledger.model_requests[0].stream_id
    beliefs = lab.proxy.guard.ownership if lab.proxy else None
    assert beliefs is not None
    await beliefs.observe(CancelSent(beliefs.clock(), stream_id, "c-1", "me"))

    started = await lab.browser.start(session_id, LONG)

    assert (started.status, started.guard["verdict"], replayed(started)) == (409, "held", False)


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_another_cookie_is_another_caller(make_lab: MakeLab, headers: dict[str, str]) -> None:
    lab = await make_lab()
    session_id = await lost(lab, headers | {"Cookie": "hermes_session=mine"})

    refused = await lab.browser.start(session_id, LONG, headers=headers | {"Cookie": "hermes_session=yours"})
    again = await lab.browser.start(session_id, LONG, headers=headers | {"Cookie": "hermes_session=mine"})

    assert (refused.status, replayed(refused)) == (409, False)
    assert (again.status, replayed(again)) == (200, True)


async def test_whoever_has_logged_out_since_is_told_what_hermes_says(make_lab: MakeLab) -> None:
    """P9: an answer is given once more to whom Hermes would answer."""
    lab = await make_lab(password="secret")
    login = await lab.browser.call("POST", "/api/auth/login", json={"password": "secret"})
    cookie = {"Cookie": dict(login.headers)["Set-Cookie"].partition(";")[0]}
    session = await lab.browser.call("POST", "/api/session/new", json={}, headers=cookie)
    session_id = session.json["session"]["session_id"]
    first = await lab.browser.start(session_id, LONG, headers=cookie | KEY)
    again = await lab.browser.start(session_id, LONG, headers=cookie | KEY)
    await lab.browser.call("POST", "/api/auth/logout", json={}, headers=cookie)

    refused = await lab.browser.start(session_id, LONG, headers=cookie | KEY)

    assert (again.json, replayed(again)) == (first.json, True)
    assert (refused.status, replayed(refused)) == (401, False)


async def test_a_phone_that_changed_networks_is_the_same_caller(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT)
    session_id = await lost(lab, KEY | coming_from(LAN))

    again = await lab.browser.start(session_id, LONG, headers=KEY | coming_from(STRANGER))

    assert (again.status, replayed(again)) == (200, True)


async def test_nobody_takes_another_ones_answer_by_saying_who_they_are(make_lab: MakeLab) -> None:
    """P9: who is logged in is for a trusted proxy to say; what anybody else says of it is dropped before."""
    lab = await make_lab(client=ClientSettings())
    named = KEY | {"Remote-User": "me"}
    session_id = await lab.browser.new_session()
    await lab.browser.start(session_id, LONG, headers=KEY)

    assert replayed(await lab.browser.start(session_id, LONG, headers=named)), "it says nothing"


class Baking:
    """A backend that begins every turn, and sets a cookie with it."""

    async def ask(self, _head: RequestHead, _body: Body) -> Answer:
        return Answer(
            200, b"OK", ((b"Date", b"now"), (b"Set-Cookie", b"a=1")), b'{"stream_id": "x", "session_id": "s"}'
        )

    async def ask_status(self, _stream_id: str, _caller: RawHeaders) -> Answer:
        return Answer(200, b"OK", (), b'{"active": true}')


@in_virtual_time
async def test_an_answer_is_given_once_more_as_it_was_but_for_its_cookies() -> None:
    """A cookie of a day ago would take the place of a newer one."""
    notes, backend = Notes(), cast("Backend", Baking())
    beliefs, limits = ownership(notes), live()
    head = RequestHead("POST", START.encode(), ((b"Idempotency-Key", b"k"),))
    async with Tasks() as tasks:
        starts = StartGuard(backend, beliefs, apart=Turns(), tasks=tasks, live=limits, report=notes)
        once = Once(starts, backend, beliefs, live=limits, report=notes)
        async with once.answered(head, b"{}", starts.admission.free(), takes_turn=True) as first:
            pass
        async with once.answered(head, b"{}", starts.admission.free(), takes_turn=True) as again:
            pass

    assert first.answer.headers == ((b"Date", b"now"), (b"Set-Cookie", b"a=1"))
    assert again.answer.headers == ((b"Date", b"now"), (b"Idempotency-Replayed", b"true"))
    assert (again.answer.status, again.answer.body) == (200, first.answer.body)


async def test_a_refusal_is_not_kept(make_lab: MakeLab, release: str) -> None:
    """What Hermes refused, it may accept next time."""
    lab = await make_lab(release)
    session_id, running, _ = await lab.browser.turn()
    refused = await lab.browser.start(session_id, "n=1 tag=B", headers=KEY)
    await lab.browser.cancel(running)

    again = await lab.browser.start(session_id, "n=1 tag=B", headers=KEY)

    assert (refused.status, again.status, replayed(again)) == (409, 200, False)


async def test_those_who_waited_for_a_refusal_are_carried_out_one_by_one(make_lab: MakeLab) -> None:
    lab = await make_lab(faults=Faults(start_delay=0.1))
    session_id, running, _ = await lab.browser.turn()

    replies = await asyncio.gather(*(lab.browser.start(session_id, "n=1 tag=B", headers=KEY) for _ in range(3)))

    assert [(reply.status, reply.json["active_stream_id"]) for reply in replies] == [(409, running)] * 3
    assert not any(map(replayed, replies))
    assert len(lab.backend.ledger.requests_for(START)) == 4


async def test_an_unknown_outcome_is_not_kept(make_lab: MakeLab) -> None:
    """Hermes hung up before it answered: whether the turn runs is for Hermes to say when it is asked again."""
    lab = await make_lab(faults=Faults(start_delay=600.0))
    session_id = await lab.browser.new_session()
    first = asyncio.create_task(lab.browser.start(session_id, LONG, headers=KEY))
    await lab.backend.ledger.until(lambda: runs(lab) == 1)
    await lab.backend.restart()
    assert (await first).status == 502
    lab.backend.faults = Faults()
    session_id = await lab.browser.new_session()

    again = await lab.browser.start(session_id, LONG, headers=KEY)

    assert (again.status, replayed(again)) == (200, False)


async def test_the_key_goes_on_to_hermes_as_it_was_sent(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    await lab.browser.start(session_id, LONG, headers={"idempotency-KEY": '"a\\"b" ;v=1'})

    sent = lab.backend.ledger.requests_for(START)[0].headers

    assert ("idempotency-KEY", '"a\\"b" ;v=1') in sent


async def test_without_the_setting_only_a_key_has_a_start_repeated(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, ownership=NO_REPEATS)
    session_id, keyed = await lost(lab), await lost(lab, KEY)

    refused = await lab.browser.start(session_id, LONG)
    again = await lab.browser.start(keyed, LONG, headers=KEY)

    assert (refused.status, replayed(refused)) == (409, False)
    assert (again.status, replayed(again)) == (200, True)


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_start_that_waits_on_disk_is_repeated_as_well(make_lab: MakeLab, headers: dict[str, str]) -> None:
    lab = await make_lab(ownership=DISK)
    session_id = await lost(lab, headers)
    if headers:
        conflict = await lab.browser.start(session_id, "n=1 tag=B", headers=headers)
        assert conflict.status == 409

    again = await lab.browser.start(session_id, LONG, headers=headers)

    assert (again.status, replayed(again), runs(lab)) == (200, True, 1)


async def test_a_start_that_there_is_no_room_for_is_not_repeated(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: its body goes on as it comes, so that nobody can compare it; Hermes decides."""
    monkeypatch.setattr(spool, "MOST_OF_ONE", 0)
    lab = await make_lab(ownership=DISK)
    session_id = await lab.browser.new_session()

    replies = [await lab.browser.start(session_id, LONG, headers=KEY) for _ in range(2)]

    assert [(reply.status, replayed(reply)) for reply in replies] == [(200, False), (409, False)]


@pytest.mark.parametrize(
    ("path", "text"), [("/api/btw", "question"), ("/api/background", "prompt"), ("/api/goal", "args")]
)
@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_the_siblings_of_a_start_are_repeated_as_well(
    make_lab: MakeLab, path: str, text: str, headers: dict[str, str]
) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    body = {"session_id": session_id, text: LONG}

    first = await lab.browser.call("POST", path, json=body, headers=KEY)
    again = await lab.browser.call("POST", path, json=body, headers=KEY)
    other = await lab.browser.call("POST", path, json=body, headers=headers)

    assert (again.json, replayed(again)) == (first.json, True)
    assert replayed(other) is (headers == KEY)


async def test_a_mistake_in_the_memory_lets_the_start_pass(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """P8."""

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    lab = await make_lab()
    session_id = await lost(lab)
    monkeypatch.setattr(Repeats, "asked", broken)

    refused = await lab.browser.start(session_id, LONG)

    assert (refused.status, replayed(refused)) == (409, False)
    assert [said["step"] for said in lab.reported("internal_error")] == ["remembering a start"]


async def test_a_mistake_while_an_answer_is_given_once_more_lets_the_start_pass(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8."""
    lab = await make_lab()
    session_id = await lost(lab)
    monkeypatch.setattr("proxy.guard.once.Once._is_running", None)

    refused = await lab.browser.start(session_id, LONG)

    assert (refused.status, replayed(refused)) == (409, False)
    assert [said["step"] for said in lab.reported("internal_error")] == ["giving a start's answer once more"]
