"""What runs comes to its end, and nothing new begins."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.backend.health import Health as BackendHealth
from proxy.core.observations import CancelAccepted, CancelSent, StreamEnded, TurnStarted
from proxy.core.records import Ending
from proxy.guard import spool
from proxy.guard.drain import INTERVAL, Drain
from proxy.guard.start import StartGuard
from proxy.guard.turns import Turns
from proxy.http.errors import BackendBrokenError, BackendUnreachableError, DrainingError
from proxy.http.message import Answer
from proxy.http.upstream.lanes import Lane
from proxy.relay.relays import Relays
from proxy.tasks import Tasks
from tests.relay.test_relays import Relay
from tests.support.lab import OWNERSHIP, PATIENCE, Lab, MakeLab
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

IDLE = b'{"runs": []}'
BUSY = b'{"runs": [{"phase": "running"}]}'
TIMEOUT = 30.0
HOLD = 25.0
MOMENT = 0.2


@dataclass
class Health:
    """The backend's answer to `/health`: a body, an error, or None for none in time."""

    says: bytes | Exception | None = IDLE
    status: int = 200
    asked: list[float] = field(default_factory=list)

    async def ask_health(self) -> Answer:
        self.asked.append(asyncio.get_running_loop().time())
        if isinstance(self.says, Exception):
            raise self.says
        if self.says is None:
            await asyncio.sleep(1e6)
        return Answer(self.status, b"OK", (), self.says or b"")


class Drained:
    """A drain and all that it looks at."""

    def __init__(self, tasks: Tasks) -> None:
        self.notes = Notes()
        self.health = Health()
        self.relays = Relays()
        self.ownership = ownership(self.notes)
        backend = cast("Backend", self.health)
        self.starts = StartGuard(backend, self.ownership, apart=Turns(), tasks=tasks, live=live(), report=self.notes)
        clock, lose = self.ownership.clock, self.ownership.lose_running
        self.drain = Drain(
            backend,
            BackendHealth(backend, tasks, clock, lose, report=self.notes),
            self.ownership,
            self.relays,
            self.starts,
            tasks,
            timeout=TIMEOUT,
            hold=HOLD,
            report=self.notes,
        )

    @property
    def now(self) -> float:
        return self.ownership.clock()

    @property
    def state(self) -> str:
        return self.drain.state

    @property
    def noticed(self) -> list[str]:
        return [event for event, _ in self.notes.said if event.startswith("drain")]

    async def runs(self, stream_id: str = "x") -> None:
        await self.ownership.turn_seen("s", TurnStarted(self.now, stream_id))

    async def ends(self, stream_id: str = "x") -> None:
        await self.ownership.observe(StreamEnded(self.now, stream_id, Ending.FINISHED))

    async def finishes_at(self) -> float:
        """When the proxy may end."""
        await self.drain.finish()
        return self.now


class Draining:
    """A `Drained` whose tasks end with the test."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Drained:
        return Drained(await self._stack.enter_async_context(Tasks()))

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@in_virtual_time
async def test_it_asks_nobody_while_it_serves() -> None:
    async with Draining() as drained:
        await asyncio.sleep(100)
        assert drained.state == "serving"
        assert drained.health.asked == []


@in_virtual_time
async def test_a_start_is_refused_and_one_that_came_before_goes_on() -> None:
    async with Draining() as drained:
        with drained.starts.admission.admitted():
            drained.drain.begin()
            with pytest.raises(DrainingError), drained.starts.admission.admitted():
                pass
            assert drained.starts.under_way == 1
            await asyncio.sleep(10)
            assert drained.state == "draining"
        await asyncio.sleep(INTERVAL)
        assert drained.state == "settled"


@in_virtual_time
async def test_nothing_to_wait_for_is_settled_at_once() -> None:
    async with Draining() as drained:
        drained.drain.begin()
        async with asyncio.timeout(MOMENT):
            await drained.drain.settled()
        assert drained.state == "settled"
        assert drained.noticed == ["drain_began", "drain_settled"]


@in_virtual_time
async def test_beginning_twice_is_beginning_once() -> None:
    async with Draining() as drained:
        drained.drain.begin()
        drained.drain.begin()
        await asyncio.sleep(10 * INTERVAL + MOMENT)
        assert drained.noticed == ["drain_began", "drain_settled"]
        assert len(drained.health.asked) == 11, "twice a second, and not twice as often"


@in_virtual_time
async def test_it_can_be_undone() -> None:
    async with Draining() as drained:
        drained.drain.begin()
        await drained.drain.settled()
        assert drained.drain.resume()
        assert drained.state == "serving"
        with drained.starts.admission.admitted():
            pass
        asked = len(drained.health.asked)
        await asyncio.sleep(10)
        assert len(drained.health.asked) == asked
        assert drained.noticed == ["drain_began", "drain_settled", "drain_resumed"]

        drained.health.says = BUSY
        drained.drain.begin()
        await asyncio.sleep(1)
        assert drained.state == "draining"


@in_virtual_time
async def test_undoing_what_was_not_begun_does_nothing() -> None:
    async with Draining() as drained:
        assert drained.drain.resume()
        assert drained.noticed == []


@in_virtual_time
async def test_it_settles_when_hermes_says_that_nobody_works() -> None:
    async with Draining() as drained:
        drained.health.says = BUSY
        drained.drain.begin()
        await asyncio.sleep(5)
        assert drained.state == "draining"
        drained.health.says = IDLE
        await asyncio.sleep(INTERVAL)
        assert drained.state == "settled"


@in_virtual_time
async def test_a_turn_that_hermes_begins_by_itself_unsettles_it() -> None:
    async with Draining() as drained:
        drained.drain.begin()
        await drained.drain.settled()
        drained.health.says = BUSY
        await asyncio.sleep(INTERVAL)
        assert drained.state == "draining"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await drained.drain.settled()


@in_virtual_time
async def test_hermes_is_believed_where_the_records_are_wrong() -> None:
    """A turn that nobody watched is over, and nobody told the proxy."""
    async with Draining() as drained:
        await drained.runs()
        await asyncio.sleep(10)
        drained.drain.begin()
        async with asyncio.timeout(MOMENT):
            await drained.drain.settled()


@pytest.mark.parametrize("says", [b"", b"{}", BackendBrokenError("hung up"), None])
@in_virtual_time
async def test_the_records_are_believed_where_hermes_says_nothing(says: Any) -> None:
    async with Draining() as drained:
        drained.health.says = says
        await drained.runs()
        await asyncio.sleep(10)
        drained.drain.begin()
        await asyncio.sleep(10)
        assert drained.state == "draining"

        await drained.ends()
        await asyncio.sleep(3)
        assert drained.state == "settled"


@in_virtual_time
async def test_nothing_runs_in_a_hermes_that_is_away() -> None:
    """It is being restarted, which is what the drain was for."""
    async with Draining() as drained:
        await drained.runs()
        await asyncio.sleep(10)
        drained.health.says = BackendUnreachableError("refused")
        drained.drain.begin()
        async with asyncio.timeout(MOMENT):
            await drained.drain.settled()


@in_virtual_time
async def test_a_mistake_while_asking_is_reported_and_not_the_end_of_it() -> None:
    async with Draining() as drained:
        drained.health.says = RuntimeError("injected")
        drained.drain.begin()
        await asyncio.sleep(5)
        assert drained.state == "draining"
        drained.health.says = IDLE
        await asyncio.sleep(INTERVAL)
        assert drained.state == "settled"
        assert {said["step"] for said in drained.notes.of("internal_error")} == {"draining"}


# -- holding over a restart of Hermes -----------------------------------------------------------------

OLD = b'{"runs": [], "server_started_at": 100.0}'
NEW = b'{"runs": [], "server_started_at": 200.0}'


async def hold_one(drained: Drained) -> asyncio.Task[None]:
    """One that begins a turn, held already."""

    async def start() -> None:
        with drained.starts.admission.admitted() as ticket:
            async with ticket.passing("s"):
                pass

    held = asyncio.create_task(start())
    await asyncio.sleep(MOMENT)
    assert drained.drain.held == 1
    return held


@in_virtual_time
async def test_starts_are_held_until_hermes_is_another_process() -> None:
    async with Draining() as drained:
        drained.health.says = OLD
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        assert (drained.state, drained.drain.is_holding, drained.drain.under_way) == ("settled", True, 0)
        drained.health.says = BackendUnreachableError("refused")
        await asyncio.sleep(5)
        assert not held.done()
        drained.health.says = NEW
        await held
        assert (drained.state, drained.drain.is_holding) == ("serving", False)
        assert drained.noticed == ["drain_began", "drain_settled", "drain_resumed"]
        assert drained.notes.of("drain_resumed") == [{"why": "restarted", "held": 1}]
        assert drained.now == pytest.approx(5 + MOMENT, abs=INTERVAL)


@in_virtual_time
async def test_what_hermes_has_lost_is_known_before_what_was_held_goes_on() -> None:
    """Or a start would wait for a worker that is gone."""
    async with Draining() as drained:
        drained.health.says = OLD
        await drained.runs()
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        drained.health.says = NEW
        await held
        assert await drained.ownership.live_streams() == ()


@in_virtual_time
async def test_a_hermes_that_was_away_when_it_began_is_back_when_it_answers() -> None:
    async with Draining() as drained:
        drained.health.says = BackendUnreachableError("refused")
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        drained.health.says = IDLE
        await held


@in_virtual_time
async def test_an_answer_that_is_no_health_is_no_restart() -> None:
    async with Draining() as drained:
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        drained.health.says = BackendUnreachableError("refused")
        await asyncio.sleep(1)
        drained.health.status = 503
        drained.health.says = b"starting"
        await asyncio.sleep(1)
        assert not held.done()
        drained.health.status = 200
        await held


@in_virtual_time
async def test_what_is_held_goes_on_when_the_drain_is_undone() -> None:
    async with Draining() as drained:
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        assert drained.drain.resume()
        await held
        assert drained.notes.of("drain_resumed") == [{"why": "asked", "held": 1}]


@in_virtual_time
async def test_a_restart_ends_no_drain_that_refuses() -> None:
    async with Draining() as drained:
        drained.health.says = OLD
        drained.drain.begin()
        await asyncio.sleep(1)
        drained.health.says = NEW
        await asyncio.sleep(5)
        assert drained.state == "settled"


@in_virtual_time
async def test_what_is_asked_last_counts() -> None:
    async with Draining() as drained:
        drained.drain.begin()
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        drained.drain.begin()
        with pytest.raises(DrainingError):
            await held
        assert [said["hold"] for said in drained.notes.of("drain_began")] == [False, True, False]
        assert len(drained.health.asked) == 1, "one follows it"


@in_virtual_time
async def test_a_proxy_that_ends_refuses_what_it_holds_at_once() -> None:
    """It could not carry it out any more; the page has the message still, and is told when to come back."""
    async with Draining() as drained:
        drained.drain.begin(hold=True)
        held = await hold_one(drained)
        assert await drained.finishes_at() == pytest.approx(MOMENT)
        with pytest.raises(DrainingError):
            await held
        drained.drain.begin(hold=True)
        assert not drained.drain.is_holding


@in_virtual_time
async def test_it_tells_how_many_turns_hermes_runs() -> None:
    async with Draining() as drained:
        assert drained.drain.in_hermes is None
        drained.health.says = BUSY
        drained.drain.begin()
        await asyncio.sleep(1)
        assert drained.drain.in_hermes == 1
        drained.drain.resume()
        assert drained.drain.in_hermes is None


# -- the end of the proxy -------------------------------------------------------------------------


@in_virtual_time
async def test_with_nothing_under_way_the_proxy_may_end_at_once() -> None:
    async with Draining() as drained:
        assert await drained.finishes_at() == 0


@in_virtual_time
async def test_the_end_waits_for_the_last_chat_relay() -> None:
    async with Draining() as drained:
        with drained.relays.opened("x", Relay()):
            finishing = asyncio.create_task(drained.finishes_at())
            await asyncio.sleep(10)
            assert not finishing.done()
        assert await finishing == pytest.approx(10, abs=MOMENT)


@in_virtual_time
async def test_the_end_waits_for_a_cancel_under_way() -> None:
    async with Draining() as drained:
        await drained.runs()
        await asyncio.sleep(10)
        await drained.ownership.observe(CancelSent(drained.now, "x", "c-1", "alice"))
        await drained.ownership.observe(CancelAccepted(drained.now, "x", "c-1"))
        finishing = asyncio.create_task(drained.finishes_at())
        await asyncio.sleep(3)
        assert not finishing.done()
        await drained.ownership.lose_running(drained.now)
        assert await finishing == pytest.approx(13, abs=MOMENT)


@in_virtual_time
async def test_a_page_has_time_to_open_the_turn_that_it_has_just_started() -> None:
    """Between the start's answer and the stream there is no relay, and still the turn is watched."""
    async with Draining() as drained:
        await drained.runs()
        finishing = asyncio.create_task(drained.finishes_at())
        await asyncio.sleep(1)
        with drained.relays.opened("x", Relay()):
            await asyncio.sleep(5)
            await drained.ends()
            assert not finishing.done()
        assert await finishing == pytest.approx(6, abs=MOMENT)


@in_virtual_time
async def test_a_turn_that_nobody_watches_does_not_hold_the_end_up() -> None:
    """P10: it goes on in Hermes."""
    async with Draining() as drained:
        drained.health.says = BUSY
        await drained.runs()
        assert await drained.finishes_at() == pytest.approx(2, abs=MOMENT)


@in_virtual_time
async def test_the_end_waits_only_so_long() -> None:
    """P7, and it is recorded."""
    async with Draining() as drained:
        with drained.relays.opened("x", Relay()):
            assert await drained.finishes_at() == pytest.approx(TIMEOUT)
            assert drained.notes.of("drain_timed_out") == [{"relays": 1, "starts": 0}]


@in_virtual_time
async def test_an_end_cannot_be_undone() -> None:
    async with Draining() as drained:
        drained.drain.begin()
        with drained.relays.opened("x", Relay()):
            finishing = asyncio.create_task(drained.finishes_at())
            await asyncio.sleep(1)
            assert not drained.drain.resume()
            assert drained.state == "draining"
        await finishing


# -- over TCP -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/chat/start", "/api/goal", "/api/btw", "/api/background"])
async def test_no_new_turn_begins_and_the_page_is_told_when_to_come_back(make_lab: MakeLab, path: str) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    lab.drain.begin()

    refused = await lab.browser.call("POST", path, json={"session_id": session_id, "message": "n=2", "args": "n=2"})

    assert (refused.status, refused.json["code"]) == (503, "draining")
    assert ("Retry-After", "5") in refused.headers
    assert not lab.backend.ledger.requests_for(path)


async def test_a_turn_that_runs_is_relayed_to_its_end_and_can_be_stopped(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release)
    _, _, tab = await lab.browser.turn("n=30 tag=A")
    _, stopped, other = await lab.browser.turn("n=400 tag=B")
    lab.drain.begin()
    joined = await lab.browser.open(stopped).until(lambda tab: "token" in tab.names)

    cancelled = await lab.browser.cancel(stopped)
    for each in (tab, other, joined):
        await each.ended()
    async with asyncio.timeout(10):
        await lab.drain.settled()

    assert cancelled.json["cancelled"] is True
    assert tab.text == "".join(f"A{n} " for n in range(30))
    assert tab.endings == ["stream_end"]
    assert other.endings == joined.endings == ["cancel"]


async def test_a_start_that_was_held_when_it_began_goes_on(make_lab: MakeLab) -> None:
    """P10: what a browser had sent is carried out, though it has left."""
    lab = await make_lab()
    session_id, first, _ = await lab.browser.turn()
    await lab.browser.cancel(first)
    starting = asyncio.create_task(lab.browser.start(session_id, "n=2 tag=B"))
    await lab.until_reported("start_received", 2)
    lab.drain.begin()
    starting.cancel()

    await lab.until_reported("start_answered", 2)
    assert lab.reported("start_answered")[-1]["status"] == 200
    async with asyncio.timeout(10):
        await lab.drain.settled()


# -- a restart of Hermes, over TCP ----------------------------------------------------------------


async def held(lab: Lab, count: int) -> None:
    """Waits until so many starts are held."""
    await lab.until_reported("turn_held", count)


async def restarted(lab: Lab) -> None:
    """Hermes is another process, which began at least a second later: v0.51 tells its age, in whole tenths."""
    await asyncio.sleep(2)
    await lab.backend.restart()


async def test_a_restart_refuses_nobody_and_sends_each_once_and_in_order(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, clock=asyncio.get_running_loop().time)
    mine, _, tab = await lab.browser.turn("n=3 tag=A")
    yours = await lab.browser.new_session()
    await lab.until_reported("start_answered", 1)
    lab.drain.begin(hold=True)
    starts = []
    for count, session_id in enumerate([mine, yours, mine], 1):
        starts.append(asyncio.create_task(lab.browser.start(session_id, f"n=2 tag=B{count}")))
        await held(lab, count)
    await tab.ended()
    async with asyncio.timeout(PATIENCE):
        await lab.drain.settled()
    assert len(lab.backend.ledger.requests_for("/api/chat/start")) == 1

    await restarted(lab)
    replies = await asyncio.gather(*starts)

    assert lab.notices.of("drain_resumed") == [{"why": "restarted", "held": 3}]
    # Of two in one session Hermes may refuse the second, as the first runs by then: so it does without a drain.
    assert [reply.status for reply in replies[:2]] == [200, 200]
    assert replies[2].status in {200, 409}
    assert len(lab.backend.ledger.requests_for("/api/chat/start")) == 4
    assert [said["session"] for said in lab.reported("start_received")[1:]] == [mine, yours, mine]
    assert [said["start"] for said in lab.reported("start_forwarded") if said["session"] == mine] == [
        "s-1",
        "s-2",
        "s-4",
    ]
    answered = await lab.browser.open(replies[1].json["stream_id"]).ended()
    assert answered.endings == ["stream_end"]


@pytest.mark.parametrize("path", ["/api/chat/start", "/api/goal", "/api/btw", "/api/background", "/api/chat"])
async def test_whatever_begins_a_turn_is_held(make_lab: MakeLab, path: str) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    lab.drain.begin(hold=True)
    body = {"session_id": session_id, "message": "n=2", "args": "n=2"}

    asking = asyncio.create_task(lab.browser.call("POST", path, json=body))
    await held(lab, 1)
    assert not lab.backend.ledger.requests_for(path)
    assert lab.proxy is not None
    async with asyncio.timeout(PATIENCE):
        while any(lab.proxy.lanes.in_use(lane) for lane in Lane):  # noqa: ASYNC110 - of the question for /health only
            await asyncio.sleep(0.01)
    assert lab.drain.held == 1
    assert lab.drain.resume()
    assert (await asking).status != 503
    assert len(lab.backend.ledger.requests_for(path)) == 1


@pytest.mark.parametrize("path", ["/api/chat/start", "/api/chat"])
async def test_what_names_no_session_is_held_as_well(make_lab: MakeLab, path: str) -> None:
    """Whatever Hermes makes of it."""
    lab = await make_lab()
    lab.drain.begin(hold=True)
    asking = asyncio.create_task(lab.browser.call("POST", path, json={"message": "n=2"}))
    await held(lab, 1)
    assert not lab.backend.ledger.requests_for(path)
    lab.drain.resume()
    assert (await asking).status in {400, 404}


async def test_a_start_that_was_held_as_long_as_may_be_is_told_when_to_come_back(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    lab.drain.hold = 0.2
    lab.drain.begin(hold=True)

    refused = await lab.browser.start(session_id, "n=2")

    assert (refused.status, refused.json["code"]) == (503, "draining")
    assert ("Retry-After", "5") in refused.headers
    assert not lab.backend.ledger.requests_for("/api/chat/start")
    assert [said["outcome"] for said in lab.reported("hold_ended")] == ["expired"]


async def test_a_start_that_is_held_is_carried_out_though_its_browser_leaves(make_lab: MakeLab) -> None:
    """P10."""
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    lab.drain.begin(hold=True)
    asking = asyncio.create_task(lab.browser.start(session_id, "n=2 tag=B"))
    await held(lab, 1)
    asking.cancel()
    await lab.ended("Start")
    lab.drain.resume()

    await lab.until_reported("start_answered", 1)
    assert lab.reported("start_answered")[0]["status"] == 200


async def test_a_large_start_is_held_with_its_body(make_lab: MakeLab) -> None:
    ownership = OWNERSHIP.model_copy(update={"start_body_limit": 1000})
    lab = await make_lab(ownership=ownership, clock=asyncio.get_running_loop().time)
    session_id = await lab.browser.new_session()
    lab.drain.begin(hold=True)
    asking = asyncio.create_task(lab.browser.start(session_id, "n=2 tag=B " + "x" * 5000))
    await held(lab, 1)
    await restarted(lab)
    assert (await asking).status == 200


async def test_a_start_whose_body_there_is_no_room_for_is_refused_while_others_are_held(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on at once else, into the restart."""
    monkeypatch.setattr(spool, "MOST_OF_ONE", 2000)
    lab = await make_lab(ownership=OWNERSHIP.model_copy(update={"start_body_limit": 1000}))
    session_id = await lab.browser.new_session()
    lab.drain.begin(hold=True)

    for path in ("/api/chat/start", "/api/chat"):
        refused = await lab.browser.call("POST", path, json={"session_id": session_id, "message": "x" * 5000})
        assert (refused.status, refused.json["code"]) == (503, "draining")
        assert not lab.backend.ledger.requests_for(path)


async def test_a_proxy_that_ends_answers_what_it_holds(make_lab: MakeLab) -> None:
    lab = await make_lab()
    session_id = await lab.browser.new_session()
    lab.drain.begin(hold=True)
    asking = asyncio.create_task(lab.browser.start(session_id, "n=2"))
    await held(lab, 1)
    await lab.drain.finish()
    assert (await asking).json["code"] == "draining"
