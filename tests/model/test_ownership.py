"""Whatever happens in whatever order, the beliefs keep their promises.

A model backend says what is really so. Requests, answers and events are in flight until the machine delivers them,
in any order; what the promises forbid is checked against what has been delivered, after every step.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.core import observations as seen
from proxy.core.effects import EndRelays, Settled, WatchSettling
from proxy.core.records import Ending, SessionRecord, Slot, StreamState
from proxy.core.verdicts import (
    Coalesce,
    ConflictVerdict,
    Forward,
    Replay,
    Stale,
    StartVerdict,
    judge_conflict,
    judge_start,
)
from tests.model.backend import Backend, Turn
from tests.model.desk import Desk
from tests.model.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.effects import Effect

SETTLE_TIMEOUT = 5
MOST_TURNS = 4

picks = st.integers(0, 1 << 16)
endings = st.sampled_from([Ending.FINISHED, Ending.FAILED])


class Ownership(RuleBasedStateMachine):
    """Tabs, a proxy's beliefs, and a backend."""

    @initialize(fences=st.booleans(), repeats=st.booleans())
    def begin(self, *, fences: bool, repeats: bool) -> None:
        self.now = 0
        self.backend = Backend(fences=fences, repeats=repeats)
        self.desk = Desk(lambda: self.now, self.carry_out)
        self.ledger = Ledger(self.desk)
        self.in_flight: list[Callable[[], None]] = []
        self.starting: set[str] = set()

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case WatchSettling(stream_id=stream_id, cancel=cancel):
                self.ledger.accepted(stream_id, cancel, self.now + SETTLE_TIMEOUT)
            case Settled(stream_id=stream_id, cancel=cancel):
                self.ledger.settled(stream_id, cancel)
            case EndRelays(stream_id=stream_id):
                stream = self.desk.stream(stream_id)
                assert stream is not None
                assert stream.state is not StreamState.RUNNING
            case _:
                raise AssertionError(f"the desk keeps {effect} to itself")

    def pick_turn(self, pick: int, which: Callable[[Turn], bool] = lambda _turn: True) -> Turn | None:
        """Some turn of that kind, the latest half of the time."""
        turns = [turn for turn in reversed(self.backend.turns.values()) if which(turn)]
        return turns[0 if pick % 2 else pick // 2 % len(turns)] if turns else None

    def send(self, delivery: Callable[[], None], *, at_once: bool) -> None:
        """Has it arrive now, or at some time."""
        self.in_flight.append(delivery)
        if at_once:
            self.deliver(-1)

    # -- time -------------------------------------------------------------------------------------

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for stream_id in self.ledger.overdue(self.now):
            self.desk.observe(seen.SettleTimedOut(self.now, stream_id))
            assert stream_id not in self.ledger.settling, "P7: at the limit the request goes on"

    @precondition(lambda self: self.in_flight)
    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        self.now += 1
        self.in_flight.pop(pick % len(self.in_flight))()

    @precondition(lambda self: self.in_flight)
    @rule()
    def deliver_the_oldest(self) -> None:
        self.deliver(0)

    # -- turns ------------------------------------------------------------------------------------

    @rule(at_once=st.booleans())
    def a_tab_starts(self, *, at_once: bool) -> None:
        """Starts of one session go through one at a time."""
        session_id = self.backend.session_id
        if session_id not in self.starting and judge_start(self.desk.session(session_id)) is StartVerdict.FORWARD:
            self.starting.add(session_id)
            outcome = self.backend.start(session_id)
            self.send(lambda: self.started(session_id, outcome), at_once=at_once)

    def started(self, session_id: str, outcome: Turn | str) -> None:
        self.starting.discard(session_id)
        if isinstance(outcome, Turn):
            self.introduce(session_id, outcome, seen.TurnStarted(self.now, outcome.stream_id))
            return
        turn = self.backend.turns[outcome]
        known = self.desk.session(self.desk.locate(outcome))
        if judge_conflict(known, outcome) is ConflictVerdict.REAL:
            self.introduce(session_id, turn, seen.StartConflicted(self.now, outcome))
            assert outcome not in self.ledger.over or outcome in self.ledger.cancels, "F2: a spurious 409"
        else:
            stream = known.stream(outcome)
            undecided = stream is not None and stream.state is StreamState.CANCEL_SENT  # it is tried again then
            excused = undecided or outcome in self.ledger.muddled
            assert not turn.running or excused, "F2: a conflict with a running turn is real"

    @rule(times=st.integers(1, 2))
    def the_backend_starts(self, times: int) -> None:
        """A turn that no browser started, announced on each of the session's channels."""
        session_id = self.backend.session_id
        turn = self.backend.start(session_id)
        if isinstance(turn, Turn):
            self.announce(turn, session_id, times)

    @precondition(lambda self: len(self.backend.turns) < MOST_TURNS)
    @rule()
    def a_side_stream_starts(self) -> None:
        turn = self.backend.start_aside()
        self.announce(turn, turn.session_id, 1)

    def announce(self, turn: Turn, session_id: str, times: int) -> None:
        def arrive() -> None:
            self.introduce(session_id, turn, seen.TurnStarted(self.now, turn.stream_id))

        self.in_flight += [arrive] * times

    def introduce(self, session_id: str, turn: Turn, told: seen.TurnStarted | seen.StartConflicted) -> None:
        self.desk.turn_seen(session_id, told)
        self.ledger.introduced(turn, self.now, self.backend.turns)

    @rule(pick=picks, ending=endings, times=st.integers(0, 2), tidy=st.booleans())
    def a_turn_ends(self, pick: int, ending: Ending, times: int, *, tidy: bool) -> None:
        """Each relay of it tells, or there is none; its worker may stay a little longer."""
        if turn := self.pick_turn(pick, lambda turn: turn.running):
            self.backend.finish(turn, ending, tidy=tidy)
            self.tell_end(turn, ending, times)

    @rule(pick=picks, times=st.integers(0, 2))
    def a_worker_unwinds(self, pick: int, times: int) -> None:
        """Soon, late, or never; a cancelled one's terminal event comes once, twice, or never (F4)."""
        if turn := self.pick_turn(pick, lambda turn: turn.worker and not turn.running):
            self.backend.unwind(turn)
            self.tell_end(turn, Ending.CANCELLED, times if turn.ending is Ending.CANCELLED else 0)

    def tell_end(self, turn: Turn, ending: Ending, times: int) -> None:
        def arrive() -> None:
            self.desk.observe(seen.StreamEnded(self.now, turn.stream_id, ending))
            self.ledger.ended(turn.stream_id, ending)

        self.in_flight += [arrive] * times

    @rule()
    def the_backend_restarts(self) -> None:
        self.now += 1
        at = self.now
        self.backend.restart()
        self.now += 1

        def notice() -> None:
            self.ledger.restarted(at)
            self.desk.restarted(at)

        self.in_flight.append(notice)

    @rule(pick=picks, times=st.integers(1, 2), back=st.booleans())
    def a_conversation_is_compressed(self, pick: int, times: int, *, back: bool) -> None:
        """It goes on under a new id, or under one that it had; each relay of its turn tells."""
        turn = self.pick_turn(pick, lambda turn: turn.running and turn.session_id == self.backend.session_id)
        if turn is not None:
            old, new = self.backend.compress(turn, back=back)
            self.desk.rotate(old, new)
            self.in_flight += [lambda: self.desk.rotate(old, new)] * (times - 1)

    # -- questions --------------------------------------------------------------------------------

    @rule(pick=picks, named=st.booleans())
    def somebody_asks_for_a_status(self, pick: int, *, named: bool) -> None:
        if turn := self.pick_turn(pick):
            self.in_flight.append(self.status_of(turn, named=named))

    @rule(pick=picks)
    def somebody_is_answered_at_once(self, pick: int) -> None:
        """An answer that nothing came before is the truth."""
        if turn := self.pick_turn(pick):
            self.status_of(turn, named=False)()
            if turn.running:
                assert not isinstance(self.desk.verdict_on(turn.stream_id), Stale), (
                    "active: it runs, whatever was believed"
                )

    def status_of(self, turn: Turn, *, named: bool) -> Callable[[], None]:
        """The arrival of what the backend says now."""
        self.now += 1
        asked, session_id = self.now, turn.session_id
        active, journal = turn.running, turn.journal

        def arrive() -> None:
            if named:
                self.desk.identify(turn.stream_id, session_id)
            self.desk.observe(seen.StatusSeen(self.now, asked, turn.stream_id, active, journal))
            self.ledger.status_read(turn.stream_id, journal, asked)

        return arrive

    @rule(pick=picks)
    def a_lost_stream_is_opened(self, pick: int) -> None:
        if turn := self.pick_turn(pick, lambda turn: turn.ending is Ending.LOST):
            asked = self.now
            self.in_flight.append(
                lambda: self.desk.observe(seen.StreamMissing(self.now, asked, turn.stream_id)),
            )

    # -- cancels ----------------------------------------------------------------------------------

    @rule(pick=picks, caller=st.sampled_from(["alice", "bob"]), hops=st.integers(0, 2))
    def a_tab_cancels(self, pick: int, caller: str, hops: int) -> None:
        """It is at the backend, and its answer back, at once or later."""
        turn = self.pick_turn(pick)
        stream_id = turn.stream_id if turn else "unheard of"
        cancel_id = f"c{self.now}"
        verdict = self.desk.judge_cancel(stream_id, caller, cancel_id)
        self.ledger.check(verdict, stream_id, caller)
        match verdict:
            case Forward():
                self.ledger.sent(stream_id, caller, cancel_id)
                self.send(lambda: self.cancel_arrives(stream_id, cancel_id, at_once=hops > 1), at_once=hops > 0)
            case Stale() if turn:
                assert not turn.running or stream_id in self.ledger.muddled, "P8: nothing said that it ended"
                self.in_flight.append(self.status_of(turn, named=False))
            case Coalesce() | Replay():
                pass
            case Stale():
                raise AssertionError("P8: nobody ever heard of that stream")

    def cancel_arrives(self, stream_id: str, cancel_id: str, *, at_once: bool) -> None:
        cancelled = self.backend.cancel(stream_id)
        self.send(lambda: self.cancel_is_answered(stream_id, cancel_id, cancelled=cancelled), at_once=at_once)

    def cancel_is_answered(self, stream_id: str, cancel_id: str, *, cancelled: bool) -> None:
        if not self.ledger.took_answer(stream_id, cancel_id):
            return
        if cancelled:
            self.desk.observe(seen.CancelAccepted(self.now, stream_id))
        else:
            self.desk.observe(seen.CancelRefused(self.now, stream_id))
            self.ledger.refused(stream_id)

    @precondition(lambda self: self.ledger.cancels)
    @rule(pick=picks)
    def a_cancel_fails(self, pick: int) -> None:
        """Its answer is lost, or none; what the backend has done, or will do, it does."""
        stream_id = sorted(self.ledger.cancels)[pick % len(self.ledger.cancels)]
        self.now += 1
        self.ledger.failed(stream_id, self.now)
        self.desk.observe(seen.CancelFailed(self.now, stream_id))

    @precondition(lambda self: self.ledger.settling)
    @rule(pick=picks, steps=st.sets(st.sampled_from(["relays", "answer", "slot"]), min_size=1))
    def a_cancel_comes_nearer_to_settled(self, pick: int, steps: set[str]) -> None:
        stream_id = sorted(self.ledger.settling)[pick % len(self.ledger.settling)]
        for step in sorted(steps):
            if stream_id in self.ledger.settling:
                self.step_nearer(stream_id, step)

    def step_nearer(self, stream_id: str, step: str) -> None:
        match step:
            case "relays":
                self.ledger.stepped(stream_id, step)
                self.desk.observe(seen.RelaysEnded(self.now, stream_id))
            case "answer":
                self.ledger.stepped(stream_id, step)
                self.desk.observe(seen.CancelAnswered(self.now, stream_id))
            case _:
                slot = self.slot_of(stream_id)
                if slot is not Slot.BUSY:
                    self.ledger.stepped(stream_id, step)
                self.desk.observe(seen.SlotSeen(self.now, stream_id, slot))

    def slot_of(self, stream_id: str) -> Slot:
        if not self.backend.turns[stream_id].worker:
            return Slot.FREE
        return Slot.FENCED if self.backend.fences else Slot.BUSY

    # -- what holds in every state ----------------------------------------------------------------

    @invariant()
    def p1_no_stale_forward(self) -> None:
        for stream_id in self.ledger.over:
            assert not isinstance(self.desk.verdict_on(stream_id), Forward), f"P1: {stream_id} is over"

    @invariant()
    def p3_a_start_is_held_exactly_while_a_cancel_is_unsettled(self) -> None:
        for record in self.records():
            held = any(self.ledger.holds(stream.stream_id) for stream in record.streams)
            assert (judge_start(record) is StartVerdict.HOLD) is held, f"P3: {record}"

    @invariant()
    def what_is_under_way_is_not_forgotten(self) -> None:
        for stream_id in (*self.ledger.cancels, *self.ledger.settling):
            assert self.desk.stream(stream_id) is not None

    @invariant()
    def a_session_has_at_most_one_owner(self) -> None:
        for record in self.records():
            running = [stream for stream in record.streams if stream.state is StreamState.RUNNING]
            assert running in ([], [record.owner])

    @invariant()
    def a_stream_is_found_in_its_session_and_no_other(self) -> None:
        found = [(stream.stream_id, record.session_id) for record in self.records() for stream in record.streams]
        assert dict(found) == self.desk.store._session_of
        assert len(dict(found)) == len(found)

    @invariant()
    def records_are_bounded(self) -> None:
        """P7: every buffer has a size."""
        for record in self.records():
            ended = [stream for stream in record.streams if stream.state is StreamState.ENDED]
            assert len(ended) <= SessionRecord.KEPT_ENDINGS

    def records(self) -> list[SessionRecord]:
        return [self.desk.record(session_id) for session_id in self.desk.sessions()]

    def teardown(self) -> None:
        """P3, P7: once all has arrived and every limit has passed, nothing is held."""
        while self.in_flight:
            self.deliver(0)
        self.time_passes(SETTLE_TIMEOUT)
        assert not self.ledger.cancels
        assert not self.ledger.settling
        assert all(judge_start(record) is StartVerdict.FORWARD for record in self.records())


TestOwnership: Any = Ownership.TestCase
TestOwnership.settings = settings(
    derandomize=bool(os.environ.get("CI")),  # a build should not fail for what another one did not look at
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
