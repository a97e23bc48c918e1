"""Going on with an accepted cancel until its worker is seen gone (P11)."""

import asyncio
import json
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.backend.health import Health
from proxy.core.effects import PursueStop, Settled, ShellEffect
from proxy.core.observations import CancelAccepted, CancelAnswered, CancelSent, TurnStarted
from proxy.core.records import Slot, SlotFreedBy
from proxy.guard.listening import Ready
from proxy.guard.stopping import GRACE, Stopping
from proxy.guard.turns import Turns
from proxy.http.errors import BackendTooSlowError
from proxy.http.message import Answer, RequestHead
from proxy.relay.relays import Relays
from proxy.tasks import Tasks
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

STOP = 30.0
STAMP = 1000.0
HEAD = RequestHead("GET", b"/api/chat/cancel?stream_id=x", ((b"Cookie", b"alice"),))
FIRST_PATIENCE, MOST_PATIENCE = 1.0, 3.0


class Hermes:
    """A worker that goes at its time, or so long after the cancel that its agent hears.

    Args:
        named: Whether `/health` names the stream (up to v0.51.762).
        repeats: Whether a cancel finds a worker that its stream has left behind (from v0.51.237).
        gone_at: When the worker goes; None never.
        deaf_until: A cancel before that is lost; from then on it ends the worker 0.1 s later.
        health: Whether `/health` can be read.
    """

    def __init__(
        self,
        *,
        named: bool = False,
        repeats: bool = True,
        gone_at: float | None = None,
        deaf_until: float | None = None,
        health: bool = True,
        beside: Iterable[dict[str, object]] = (),
        gateway: bool = False,
    ) -> None:
        self.cancels: list[tuple[float, RequestHead]] = []
        self.looks: list[float] = []
        self.silent = False
        self.status = 200
        self._named, self._repeats, self._health = named, repeats, health
        self._gone_at, self._deaf_until = gone_at, deaf_until
        self._beside, self._gateway = list(beside), gateway

    @property
    def is_there(self) -> bool:
        return self._gone_at is None or _now() < self._gone_at

    async def ask(self, head: RequestHead) -> Answer:
        self.cancels.append((_now(), head))
        if self.silent:
            await asyncio.sleep(600)
            raise BackendTooSlowError("no answer")
        there = self.is_there
        if there and self._repeats and self._deaf_until is not None and _now() >= self._deaf_until:
            self._gone_at = _now() + 0.1
        return Answer(self.status, b"", (), json.dumps({"cancelled": there and self._repeats}).encode())

    async def ask_health(self) -> Answer:
        self.looks.append(_now())
        if not self._health:
            return Answer(500, b"", (), b"")
        run: dict[str, object] = (
            {"stream_id": "x"} if self._named else {"started_at": STAMP + 0.1, "phase": "cancelling"}
        )
        run |= {"backend": "gateway"} if self._gateway else {}
        runs = [*self._beside, *([run] if self.is_there else [])]
        start = {"server_started_at": 1.0} if self._repeats else {"uptime_seconds": _now() + 5}
        return Answer(200, b"", (), json.dumps({"runs": runs, **start}).encode())


class Stopped:
    """A cancel of stream `x` that is accepted at 0, and what becomes of it."""

    def __init__(self, tasks: Tasks, hermes: Hermes) -> None:
        self.notes = Notes()
        self.relays = Relays()
        self.settled: list[tuple[Any, tuple[str, ...]]] = []
        self.tasks = tasks
        self.apart = Turns()
        self.ownership = ownership(self.notes)
        backend = cast("Backend", hermes)
        self.health = Health(backend, tasks, _now, self.ownership.lose_running, report=self.notes)
        self.stopping = Stopping(
            backend,
            self.ownership,
            self.relays,
            health=self.health,
            apart=self.apart,
            tasks=tasks,
            live=live(stop_timeout=STOP, answer_timeout=1.0),
            report=self.notes,
        )
        self.ownership.carry_out = self._carry_out

    async def is_accepted(
        self, *, answered_at: float = 0.0, relay_until: float = 0.0, head: bool = True, ready: Ready = Ready.LISTENS
    ) -> None:
        if relay_until:
            self.tasks.spawn(self._relay(relay_until), "relay")
            await asyncio.sleep(0)
        await self.ownership.turn_seen("s", TurnStarted(0.0, "x", hosted=True, stamp=STAMP, took=0.01))
        await self.ownership.observe(CancelSent(0.0, "x", "c-1", "alice"))
        if head:
            with self.stopping.keeping("c-1", HEAD, ready):
                await self.ownership.observe(CancelAccepted(0.0, "x", "c-1"))
        else:
            await self.ownership.observe(CancelAccepted(0.0, "x", "c-1"))
        self.tasks.spawn(self._answer(answered_at), "answer")

    async def _relay(self, until: float) -> None:
        with self.relays.opened("x", Relay()):
            await asyncio.sleep(until)

    async def _answer(self, at: float) -> None:
        await asyncio.sleep(at)
        await self.ownership.observe(CancelAnswered(_now(), "x"))

    def _carry_out(self, effect: ShellEffect) -> None:
        match effect:
            case PursueStop():
                self.stopping.pursue(effect)
            case Settled(cancel=cancel):
                self.settled.append((_now(), cancel.missing))

    async def slot(self) -> tuple[Slot, SlotFreedBy | None]:
        stream = await self.ownership.stream("x")
        assert stream is not None
        assert stream.cancel is not None
        return stream.cancel.slot, stream.cancel.slot_freed_by


class Relay:
    def revise(self) -> None:
        """It has no limit."""


def _now() -> float:
    return asyncio.get_running_loop().time()


# -- proof ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
@in_virtual_time
async def test_a_worker_that_heard_is_seen_gone_and_never_asked_again(*, named: bool) -> None:
    """F23: a second cancel that meets a worker on its way out spoils the next turn."""
    hermes = Hermes(named=named, gone_at=0.3)
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(STOP)
        assert await stopped.slot() == (Slot.FREE, SlotFreedBy.HEALTH)

    assert [missing for _, missing in stopped.settled] == [()]
    assert stopped.settled[0][0] == pytest.approx(0.3, abs=0.06)
    assert hermes.cancels == []


@in_virtual_time
async def test_a_worker_whose_turn_has_spoken_is_given_long_to_leave_its_tool() -> None:
    """F23: it has heard, and only has to come back."""
    async with Tasks() as tasks:
        hermes = Hermes(gone_at=2.8)
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted(ready=Ready.SPEAKS)
        await asyncio.sleep(STOP)
        assert await stopped.slot() == (Slot.FREE, SlotFreedBy.HEALTH)

    assert hermes.cancels == []


@in_virtual_time
async def test_a_worker_that_stays_though_its_turn_has_spoken_is_sent_its_cancel_again() -> None:
    hermes = Hermes(deaf_until=0.0)
    async with Tasks() as tasks:
        await Stopped(tasks, hermes).is_accepted(ready=Ready.SPEAKS)
        await asyncio.sleep(STOP)

    assert [at for at, _ in hermes.cancels] == [pytest.approx(MOST_PATIENCE, abs=0.06)]


@in_virtual_time
async def test_nothing_is_asked_any_more_once_the_worker_is_gone() -> None:
    hermes = Hermes(gone_at=0.2)
    async with Tasks() as tasks:
        await Stopped(tasks, hermes).is_accepted()
        await asyncio.sleep(STOP)

    assert max(hermes.looks) < 0.3


@in_virtual_time
async def test_another_turns_worker_is_not_taken_for_this_one() -> None:
    """F15: it began at another time, or nobody cancelled it."""
    other = {"started_at": STAMP + 500.0, "phase": "running"}
    neighbour = {"started_at": STAMP + 0.1, "phase": "running"}
    hermes = Hermes(gone_at=0.2, beside=[other, neighbour])
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(0.5)

    assert [missing for _, missing in stopped.settled] == [()]


@in_virtual_time
async def test_a_cancel_that_was_perhaps_not_heard_may_have_left_no_mark() -> None:
    """F15: a worker that begins behind its cancel takes the mark away again; then no mark proves nothing."""
    unmarked = {"started_at": STAMP + 0.1, "phase": "running"}
    marked = {"started_at": STAMP - 500.0, "phase": "cancelling"}
    hermes = Hermes(gone_at=0.0, repeats=False, beside=[unmarked, marked])
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted(ready=Ready.UNKNOWN)
        await asyncio.sleep(STOP / 2)
        assert await stopped.slot() == (Slot.BUSY, None)


@in_virtual_time
async def test_a_worker_that_cannot_be_told_from_another_is_asked_for_by_a_repetition() -> None:
    """An ambiguity means not yet; a cancel that finds no worker is proof (F14)."""
    twin = {"started_at": STAMP + 0.1, "phase": "cancelling"}
    hermes = Hermes(gone_at=0.2, beside=[twin])
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(2)
        assert await stopped.slot() == (Slot.FREE, SlotFreedBy.CANCEL)

    assert [at for at, _ in hermes.cancels] == [pytest.approx(FIRST_PATIENCE, abs=0.06)]


# -- repetition -----------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
@in_virtual_time
async def test_a_lost_cancel_is_repeated_with_its_callers_credentials_until_the_worker_goes(*, named: bool) -> None:
    hermes = Hermes(named=named, deaf_until=2.0)
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(STOP)

    assert {head for _, head in hermes.cancels} == {HEAD}
    assert [at for at, _ in hermes.cancels] == [pytest.approx(1.0, abs=0.1), pytest.approx(2.5, abs=0.1)]
    assert stopped.settled == [(pytest.approx(2.65, abs=0.1), ())]
    assert [note["cancelled"] for note in stopped.notes.of("cancel_repeated")] == [True, True]


@in_virtual_time
async def test_repetitions_become_slower_and_end_at_the_stop_timeout() -> None:
    """P7, P11: then it is said that the worker was not seen gone, and a further cancel is judged as the first."""
    hermes = Hermes()
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(2 * STOP)
        verdict = await stopped.ownership.judge_cancel("x", "alice", "c-2")

    times = [at for at, _ in hermes.cancels]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert max(times) < STOP
    assert stopped.settled == [(STOP, ("slot_free",))]
    assert type(verdict).__name__ == "Forward"


@in_virtual_time
async def test_where_there_is_one_shot_only_the_worker_is_watched_and_not_asked_again() -> None:
    """F14: up to v0.51.236 a second cancel is refused at once, though the worker is there."""
    hermes = Hermes(named=True, repeats=False, gone_at=8.0)
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(STOP)

    assert len(hermes.cancels) == 1, "the first repetition was refused, and taught that"
    assert stopped.settled == [(pytest.approx(8.0, abs=0.6), ())]


@in_virtual_time
async def test_a_caller_whom_the_backend_does_not_know_any_more_is_no_proof() -> None:
    hermes = Hermes(gone_at=4.0)
    hermes.status = 401
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(STOP)

    assert stopped.settled == [(pytest.approx(4.0, abs=0.6), ())]


@in_virtual_time
async def test_a_repetition_that_is_not_answered_is_given_up() -> None:
    """P7."""
    hermes = Hermes(gone_at=10.0)
    hermes.silent = True
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(STOP)

    assert stopped.settled == [(pytest.approx(10.0, abs=3.0), ())]


@in_virtual_time
async def test_a_cancel_that_nobody_can_repeat_is_watched_all_the_same() -> None:
    """Whoever sent it is not known any more, as after a restart of the proxy."""
    hermes = Hermes(gone_at=5.0)
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted(head=False)
        await asyncio.sleep(STOP)

    assert hermes.cancels == []
    assert [missing for _, missing in stopped.settled] == [()]


@in_virtual_time
async def test_a_repetition_waits_while_the_sessions_next_turn_is_asked_for() -> None:
    """They may share an agent: the repetition would stop the next turn."""
    hermes = Hermes()
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        async with stopped.apart.turn("s", _now() + 9):
            await asyncio.sleep(2.5)
            assert hermes.cancels == []
        await asyncio.sleep(0.5)
        assert hermes.cancels


@in_virtual_time
async def test_a_stream_whose_successor_began_is_pursued_no_more() -> None:
    hermes = Hermes()
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        await stopped.is_accepted()
        await asyncio.sleep(0.5)
        await stopped.ownership.turn_seen("s", TurnStarted(_now(), "y", hosted=True))
        await asyncio.sleep(STOP)

    assert hermes.cancels == []
    assert [missing for _, missing in stopped.settled] == [("slot_free",)], "a successor does not show that it is gone"


@in_virtual_time
async def test_a_slow_machine_is_given_more_time_before_the_next_repetition() -> None:
    """What the latest workers took to unwind is the measure, not a constant."""
    slow = Hermes(gone_at=0.9)
    async with Tasks() as tasks:
        stopped = Stopped(tasks, slow)
        await stopped.is_accepted()
        await asyncio.sleep(3)
        slow._gone_at = None
        began = _now()
        await stopped.ownership.turn_seen("t", TurnStarted(began, "x2", hosted=True, stamp=STAMP))
        await stopped.ownership.observe(CancelSent(began, "x2", "c-2", "alice"))
        with stopped.stopping.keeping("c-2", HEAD, Ready.LISTENS):
            await stopped.ownership.observe(CancelAccepted(began, "x2", "c-2"))
        assert not stopped.stopping.is_due("x2")
        await asyncio.sleep(5)

    assert slow.cancels[0][0] - began == pytest.approx(1.8, abs=0.15)


# -- where nothing tells --------------------------------------------------------------------------


@in_virtual_time
async def test_where_nothing_tells_of_the_worker_it_is_given_a_grace() -> None:
    """F3: then the backend's own 409 has to do; whether the worker is gone is never known."""
    hermes = Hermes(health=False, repeats=False)
    async with Tasks() as tasks:
        stopped = Stopped(tasks, hermes)
        stopped.health.repeats = False
        await stopped.is_accepted()
        await asyncio.sleep(GRACE / 2)
        assert (await stopped.slot())[0] is Slot.BUSY
        await asyncio.sleep(GRACE)
        assert (await stopped.slot())[0] is Slot.FENCED
        await asyncio.sleep(STOP)

    assert stopped.settled == [(STOP, ("slot_free",))]


@in_virtual_time
async def test_a_gateways_run_holds_no_start() -> None:
    """F19: it goes on after its Stop, and the next start is accepted beside it."""
    async with Tasks() as tasks:
        stopped = Stopped(tasks, Hermes(named=True, repeats=False, gateway=True))
        await stopped.is_accepted()
        await asyncio.sleep(0.1)
        assert (await stopped.slot())[0] is Slot.FENCED


# -- the rest of settling -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relay_until", "answered_at", "gone_at"), [(3, 0.5, 2), (1, 0.9, 2), (1, 0.5, 3), (0, 0, 3), (0, 0.9, 0.1)]
)
@in_virtual_time
async def test_a_cancel_has_settled_when_the_last_of_three_has_come(
    relay_until: float, answered_at: float, gone_at: float
) -> None:
    """The ending on every relay, the answer, and the end of the worker, in whatever order."""
    async with Tasks() as tasks:
        stopped = Stopped(tasks, Hermes(gone_at=gone_at))
        await stopped.is_accepted(answered_at=answered_at, relay_until=relay_until)
        await asyncio.sleep(2 * STOP)

    assert stopped.settled == [(pytest.approx(max(relay_until, answered_at, gone_at), abs=0.1), ())]


@pytest.mark.parametrize(
    ("relay_until", "answered_at", "gone_at", "at", "missing"),
    [
        (99, 1, 1, STOP, ("terminal_seen",)),
        (1, 99, 1, 2.0, ("answered",)),
        (1, 1, None, STOP, ("slot_free",)),
        (99, 99, None, STOP, ("terminal_seen", "answered", "slot_free")),
    ],
)
@in_virtual_time
async def test_what_never_comes_is_given_up(
    relay_until: float, answered_at: float, gone_at: float | None, at: float, missing: tuple[str, ...]
) -> None:
    """P7: at the stop timeout, or once only an answer is missing that should have been given."""
    async with Tasks() as tasks:
        stopped = Stopped(tasks, Hermes(gone_at=gone_at))
        await stopped.is_accepted(answered_at=answered_at, relay_until=relay_until)
        await asyncio.sleep(2 * STOP)

    assert stopped.settled == [(pytest.approx(at, abs=0.1), missing)]


@in_virtual_time
async def test_a_mistake_holds_a_session_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8, P7."""
    async with Tasks() as tasks:
        stopped = Stopped(tasks, Hermes())
        monkeypatch.setattr("proxy.guard.stopping.Turn", None)
        await stopped.is_accepted()
        await asyncio.sleep(2 * STOP)

    assert len(stopped.settled) == 1
    assert stopped.notes.of("internal_error") == [{"step": "stopping a turn", "stream": "x"}]


@in_virtual_time
async def test_a_mistake_at_the_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Tasks() as tasks:
        stopped = Stopped(tasks, Hermes())
        await stopped.is_accepted()
        await asyncio.sleep(1)
        monkeypatch.setattr(stopped.ownership, "stream", None)
        await asyncio.sleep(2 * STOP)

    assert "giving up on a cancel" in [note["step"] for note in stopped.notes.of("internal_error")]


@in_virtual_time
async def test_nothing_is_pursued_beyond_the_end_of_the_proxy() -> None:
    async with Tasks() as tasks:
        stopped = Stopped(tasks, Hermes())
        await stopped.is_accepted()
        await asyncio.sleep(1)

    assert stopped.settled == []
