"""Stop, then send: the next turn is alive and alone, on every release's habits."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from proxy.backend.health import INTERVAL
from proxy.config import OwnershipSettings
from proxy.core.observations import CancelAccepted, CancelSent, StopTimedOut, TurnStarted
from proxy.demo import CancelOrder, Faults, Pace
from proxy.guard.start import StartGuard
from proxy.guard.stopping import GRACE
from proxy.guard.turns import Turns
from proxy.http.message import Answer, Body, RequestHead
from proxy.tasks import Tasks
from tests.support.lab import FAST, OWNERSHIP, UNHURRIED, MakeLab
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

SECOND = "n=4 d=0.005 tag=B"
SECOND_TEXT = "B0 B1 B2 B3 "


async def test_a_turn_sent_right_after_stop_lives_with_its_own_text(make_lab: MakeLab, release: str) -> None:
    """F1, F2, P3: no death, no foreign text, no spurious 409; one ending a tab (P5)."""
    lab = await make_lab(release, pace=UNHURRIED)
    session_id, first, tab = await lab.browser.turn()

    cancelled = await lab.browser.cancel(first)
    started = await lab.browser.start(session_id, SECOND)
    second = await lab.browser.open(started.json["stream_id"]).ended()

    assert cancelled.json["cancelled"] is True
    assert started.status == 200
    assert started.guard["verdict"] == "held"
    unheld, held = lab.reported("start_answered")
    assert (unheld["held"], held["held"]) == (False, True)
    assert isinstance(held["waited"], float)
    assert held["waited"] >= UNHURRIED.unwind / 2
    assert second.text == SECOND_TEXT
    assert second.endings == ["stream_end"]
    assert tab.endings == ["cancel"]
    assert "B" not in tab.text


async def test_a_turn_sent_while_the_stop_is_in_flight_lives(make_lab: MakeLab, release: str) -> None:
    """A start that arrives before the cancel's answer waits for it, and then for the worker (P3)."""
    lab = await make_lab(release, faults=Faults(answer_delay=0.1))
    session_id, first, _ = await lab.browser.turn()
    cancel = asyncio.create_task(lab.browser.cancel(first))
    await lab.backend.ledger.until(lambda: bool(lab.backend.ledger.cancels))

    started = await lab.browser.start(session_id, SECOND)
    second = await lab.browser.open(started.json["stream_id"]).ended()

    assert (await cancel).at < started.at
    assert second.text == SECOND_TEXT


async def test_a_browser_sees_event_then_answer_then_the_next_turn(make_lab: MakeLab, release: str) -> None:
    """F5: in this order nothing can clear the next turn's state."""
    lab = await make_lab(release)
    session_id, first, tab = await lab.browser.turn()

    cancel = asyncio.create_task(lab.browser.cancel(first))
    await lab.backend.ledger.until(lambda: bool(lab.backend.ledger.cancels))
    await lab.browser.start(session_id, SECOND)
    await asyncio.gather(cancel, tab.ended())

    begun = lab.traced("start_forwarded")[-1]["t"]
    assert lab.wrote("cancel") < lab.answered() < begun


async def test_a_start_that_needs_no_holding_costs_no_extra_request(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    session_id, _, tab = await lab.browser.turn("n=2 tag=A")
    await tab.ended()
    seen = len(lab.backend.ledger.requests)

    await lab.browser.start(session_id, SECOND)

    assert len(lab.backend.ledger.requests) == seen + 1


async def test_a_real_conflict_passes_at_once(make_lab: MakeLab, release: str) -> None:
    """A 409 that names a running stream is the user's to see."""
    lab = await make_lab(release)
    session_id, running, _ = await lab.browser.turn()

    refused = await lab.browser.start(session_id, SECOND)

    assert (refused.status, refused.json["active_stream_id"]) == (409, running)
    assert len(lab.backend.ledger.requests_for("/api/chat/start")) == 2


class Refusing:
    """A backend that is busy with `x` for a second, and accepts whatever comes later."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def ask(self, _head: RequestHead, _body: Body) -> Answer:
        loop = asyncio.get_running_loop()
        self.asked.append(loop.time())
        await asyncio.sleep(0.5)
        if loop.time() < 1.0:
            return Answer(409, b"", (), b'{"error": "busy", "active_stream_id": "x"}')
        return Answer(200, b"", (), b'{"stream_id": "y", "session_id": "s"}')


@in_virtual_time
async def test_a_start_that_is_tried_again_is_held_again() -> None:
    """P3: its 409 was real when it was asked; what it named is being cancelled since, and has not settled."""
    notes, backend, loop = Notes(), Refusing(), asyncio.get_running_loop()
    beliefs = ownership(notes)
    await beliefs.turn_seen("s", TurnStarted(0, "x"))
    async with Tasks() as tasks:
        guard = StartGuard(
            cast("Backend", backend), beliefs, apart=Turns(), tasks=tasks, live=live(settle_timeout=5.0), report=notes
        )
        head, body = RequestHead("POST", b"/api/chat/start"), b'{"session_id": "s"}'
        start = guard.begin(head, body, guard.admission.free(), takes_turn=True)
        await asyncio.sleep(0.2)
        await beliefs.observe(CancelSent(loop.time(), "x", "c-1", "me"))
        await asyncio.sleep(0.32)
        await beliefs.observe(CancelAccepted(loop.time(), "x", "c-1"))
        await asyncio.sleep(2.0)
        await beliefs.observe(StopTimedOut(loop.time(), "x"))

        judged = await start

    assert (judged.answer.status, judged.verdict) == (200, "held")
    assert backend.asked == pytest.approx([0.0, 2.52])


async def test_a_worker_that_never_unwinds_delays_a_start_for_the_timeout_only(make_lab: MakeLab) -> None:
    """P7: at the limit the request goes on, and its conflict is shown."""
    ownership = OWNERSHIP.model_copy(update={"settle_timeout": 0.4})
    lab = await make_lab("v0.52.262", ownership=ownership, faults=Faults(hang=True))
    session_id, first, _ = await lab.browser.turn()
    await lab.browser.cancel(first)
    asked = asyncio.get_running_loop().time()

    refused = await lab.browser.start(session_id, SECOND)

    assert (refused.status, refused.json["active_stream_id"]) == (409, first)
    assert refused.at - asked < 1.5


async def test_starts_go_through_in_the_order_they_arrived(make_lab: MakeLab) -> None:
    """Held starts of one session are not a race: the first is accepted, the second is its conflict."""
    lab = await make_lab("v0.51.265", pace=Pace(token=0.01, first_token=0.01, unwind=0.2, spoil=0.02))
    session_id, first, _ = await lab.browser.turn()
    await lab.browser.cancel(first)
    before = len(lab.backend.ledger.requests_for("/api/chat/start"))

    one = asyncio.create_task(lab.browser.start(session_id, "n=400 tag=B"))
    await lab.until_reported("start_held")
    two = asyncio.create_task(lab.browser.start(session_id, "n=400 tag=C"))

    assert (await one).status == 200
    assert (await two).status == 409
    assert (await two).json["active_stream_id"] == (await one).json["stream_id"]
    assert len(lab.backend.ledger.requests_for("/api/chat/start")) == before + 2


async def test_other_sessions_never_wait(make_lab: MakeLab) -> None:
    """One session of a hundred hangs; the others' turns are not held for it."""
    patient = OWNERSHIP.model_copy(update={"settle_timeout": 8.0})
    lab = await make_lab("v0.51.265", ownership=patient, faults=Faults(hang=True))
    hanging, first, _ = await lab.browser.turn()
    await lab.browser.cancel(first)
    held = asyncio.create_task(lab.browser.start(hanging, SECOND))
    await lab.until_reported("start_held")
    others = [await lab.browser.new_session() for _ in range(99)]

    replies = await asyncio.gather(*(lab.browser.start(session_id, "n=1 tag=C") for session_id in others))

    assert {(reply.status, reply.guard["verdict"]) for reply in replies} == {(200, "forwarded")}
    assert not held.done()
    lab.backend.faults = Faults()
    assert (await held).status == 200


async def test_what_was_sent_is_not_lost_with_its_browser(make_lab: MakeLab, release: str) -> None:
    """P10: a held start is forwarded though its browser has left."""
    lab = await make_lab(release, order=CancelOrder.ANSWER_FIRST, faults=Faults(answer_delay=0.3))
    session_id, first, _ = await lab.browser.turn()
    cancel = asyncio.create_task(lab.browser.cancel(first))
    await lab.backend.ledger.until(lambda: bool(lab.backend.ledger.cancels))
    start = asyncio.create_task(lab.browser.start(session_id, "n=400 tag=B"))
    await lab.until_reported("start_held")
    start.cancel()
    await cancel

    await lab.until_reported("start_answered", 2)

    session = await lab.browser.call("GET", f"/api/session?session_id={session_id}")
    assert session.json["session"]["active_stream_id"] not in {None, first}


@pytest.mark.parametrize("path", ["/api/btw", "/api/background"])
async def test_a_side_stream_is_not_held_and_owns_a_session_of_its_own(make_lab: MakeLab, path: str) -> None:
    lab = await make_lab("v0.51.265", faults=Faults(hang=True))
    session_id, first, _ = await lab.browser.turn()
    await lab.browser.cancel(first)

    side = await lab.browser.call(
        "POST", path, json={"session_id": session_id, "question": "n=400 tag=Q", "prompt": "n=400 tag=Q"}
    )
    stopped = await lab.browser.cancel(side.json["stream_id"])

    assert (side.status, side.guard["verdict"]) == (200, "forwarded")
    assert side.json["session_id"] != session_id
    assert stopped.json["cancelled"] is True


async def test_a_large_start_goes_on_without_being_held(make_lab: MakeLab) -> None:
    """P7: over `start_body_limit` the request goes on, byte for byte."""
    lab = await make_lab(ownership=OwnershipSettings(start_body_limit=1024))
    session_id = await lab.browser.new_session()

    started = await lab.browser.start(session_id, "n=2 tag=A " + "x" * 300_000)
    tab = await lab.browser.open(started.json["stream_id"]).ended()

    assert started.status == 200
    assert tab.text == "A0 A1 "
    assert lab.backend.ledger.requests_for("/api/chat/start")[-1].body_size > 300_000


async def test_a_refused_start_passes_unchanged(make_lab: MakeLab, release: str) -> None:
    """P8: 404 and 400 are the backend's own."""
    lab = await make_lab(release)

    for fields in ({"session_id": "nope", "message": "x"}, {"message": "x"}, ["no", "object"]):
        direct = await lab.direct.call("POST", "/api/chat/start", json=fields)
        guarded = await lab.browser.call("POST", "/api/chat/start", json=fields)
        assert (guarded.status, guarded.json) == (direct.status, direct.json)


async def test_health_is_asked_only_while_something_settles_and_not_too_often(make_lab: MakeLab) -> None:
    """One request every 25 ms in all, however many streams settle; none when nothing does."""
    lab = await make_lab("v0.51.265", pace=Pace(token=0.01, first_token=0.01, unwind=0.3, spoil=0.02))
    turns = [await lab.browser.turn() for _ in range(5)]
    await asyncio.gather(*(lab.browser.cancel(stream_id) for _, stream_id, _ in turns))
    await lab.until_reported("cancel_settled", 5)
    asked = [one.at for one in lab.backend.ledger.requests_for("/health")]

    assert asked
    late = (
        3 * INTERVAL
    )  # by which the first may arrive behind its time on a busy machine; unbounded, they are 5 times as many
    assert (len(asked) - 1) * INTERVAL < asked[-1] - asked[0] + late
    await lab.browser.turn("n=2 tag=A")
    assert len(lab.backend.ledger.requests_for("/health")) == len(asked)


async def test_where_health_cannot_be_read_a_start_waits_the_grace(make_lab: MakeLab) -> None:
    """F3: then the backend's own 409 has to do."""
    lab = await make_lab("v0.51.265", faults=Faults(health_status=500), pace=FAST)
    session_id, first, _ = await lab.browser.turn()
    cancelled = await lab.browser.cancel(first)

    started = await lab.browser.start(session_id, SECOND)

    assert started.status == 200
    assert GRACE - 0.05 < started.at - cancelled.at < OWNERSHIP.settle_timeout


async def test_a_stranger_is_not_told_whether_a_start_was_held(make_lab: MakeLab) -> None:
    """P9: a verdict says something about a session that the backend would not tell them about."""
    lab = await make_lab(password="secret")

    refused = await lab.browser.start("some session", SECOND)

    assert (refused.status, refused.json) == (401, {"error": "Authentication required"})
    assert not refused.guard
