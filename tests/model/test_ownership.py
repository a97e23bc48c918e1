"""Whatever happens in whatever order, the beliefs keep their promises.

A model backend says what is really so. Requests, answers and events are in flight until the machine delivers them,
in any order; what the promises forbid is checked against what has been delivered, after every step.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.core import observations as seen
from proxy.core.effects import EndRelays, PursueStop, Settled
from proxy.core.records import Ending, SessionRecord, Slot, SlotFreedBy, StreamState
from proxy.core.verdicts import (
    Coalesce,
    ConflictVerdict,
    Forward,
    Repeat,
    Stale,
    StartVerdict,
    judge_change,
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

    @initialize(fences=st.booleans(), repeats=st.booleans(), runner=st.sampled_from([False, False, True]))
    def begin(self, *, fences: bool, repeats: bool, runner: bool) -> None:
        self.now = 0
        self.backend = Backend(fences=fences, repeats=repeats, runner=runner)
        self.desk = Desk(lambda: self.now, self.carry_out)
        self.ledger = Ledger(self.desk)
        self.in_flight: list[Callable[[], None]] = []
        self.starting: set[str] = set()
        self.cancel_ids = count(1)

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case PursueStop(stream_id=stream_id, cancel=cancel):
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
            self.desk.observe(seen.StopTimedOut(self.now, stream_id))
            assert stream_id not in self.ledger.settling, "P7: at the limit the request goes on"

    @precondition(lambda self: self.ledger.settling)
    @rule()
    def a_limit_passes(self) -> None:
        self.time_passes(min(settling.deadline for settling in self.ledger.settling.values()) - self.now)

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
            is_news = self.desk.stream(outcome.stream_id) is None
            before = self.desk.session(session_id).streams if self.backend.runner and is_news else ()
            hosted = not self.backend.runner
            self.introduce(session_id, outcome, seen.TurnStarted(self.now, outcome.stream_id, hosted))
            assert [self.desk.stream(other.stream_id) for other in before] == list(before), "F20: they run side by side"
            return
        turn = self.backend.turns[outcome]
        known = self.desk.session(self.desk.locate(outcome))
        if judge_conflict(known, outcome) is ConflictVerdict.REAL:
            self.introduce(session_id, turn, seen.StartConflicted(self.now, outcome))
            assert outcome not in self.ledger.first, "F2: a spurious 409"
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
        if isinstance(told, seen.TurnStarted) and told.hosted is not None:
            self.ledger.hosted[turn.stream_id] = told.hosted
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
        if turn := self.pick_turn(pick, lambda turn: turn.worker and not turn.running and not turn.deaf):
            self.backend.unwind(turn)
            self.tell_end(turn, Ending.CANCELLED, times if turn.ending is Ending.CANCELLED else 0)

    @rule(pick=picks)
    def an_agent_is_slow_to_listen(self, pick: int) -> None:
        """F13: the cancel that comes first is lost, and the worker stays until another comes."""
        if turn := self.pick_turn(pick, lambda turn: turn.running):
            turn.deaf = True

    @rule(pick=picks, at_once=st.booleans())
    def a_turn_speaks(self, pick: int, *, at_once: bool) -> None:
        """On a relay that was opened while it ran; the proxy may come to it late."""
        if turn := self.pick_turn(pick, lambda turn: turn.running):
            self.send(lambda: self.heard(turn), at_once=at_once)
            if at_once and turn.stream_id not in self.ledger.own | self.ledger.gone:
                assert not isinstance(self.desk.verdict_on(turn.stream_id), Stale), "F20: what speaks is not over"

    def heard(self, turn: Turn) -> None:
        self.desk.observe(seen.StreamSpoke(self.now, turn.stream_id))
        self.ledger.spoke(turn.stream_id, self.now)

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
            self.ledger.status_read(turn.stream_id, journal, asked, active=active)

        return arrive

    @rule(pick=picks)
    def a_lost_stream_is_opened(self, pick: int) -> None:
        if turn := self.pick_turn(pick, lambda turn: turn.ending is Ending.LOST):
            asked = self.now
            self.in_flight.append(lambda: self.missed(turn, asked))

    def missed(self, turn: Turn, asked: int) -> None:
        self.desk.observe(seen.StreamMissing(self.now, asked, turn.stream_id))
        self.ledger.missed(turn.stream_id)

    # -- cancels ----------------------------------------------------------------------------------

    @rule(pick=picks, caller=st.sampled_from(["alice", "bob"]), hops=st.integers(0, 2))
    def a_tab_cancels(self, pick: int, caller: str, hops: int) -> None:
        """It is at the backend, and its answer back, at once or later."""
        turn = self.pick_turn(pick)
        stream_id = turn.stream_id if turn else "unheard of"
        cancel_id = f"c{next(self.cancel_ids)}"
        verdict = self.desk.judge_cancel(stream_id, caller, cancel_id)
        self.ledger.check(verdict, stream_id, caller)
        match verdict:
            case Forward():
                self.cancel_is_sent(stream_id, caller, cancel_id, hops)
            case Stale() if turn:
                self.may_be_stale(verdict, turn)
                self.in_flight.append(self.confirmation(verdict, turn, caller, cancel_id))
            case Repeat():
                self.send(lambda: self.repetition_arrives(stream_id, at_once=hops > 1), at_once=hops > 0)
            case Coalesce():
                pass
            case Stale():
                raise AssertionError("P8: nobody ever heard of that stream")

    @rule(pick=picks)
    def somebody_cancels_past_the_proxy(self, pick: int) -> None:
        if turn := self.pick_turn(pick):
            self.backend.cancel(turn.stream_id)

    def may_be_stale(self, verdict: Stale, turn: Turn) -> None:
        """P8, as far as anybody can know: of a runner's turn, nobody can unless its start said whose it is."""
        known = self.ledger.hosted.get(turn.stream_id) is not None
        excused = turn.stream_id in self.ledger.muddled or (self.backend.runner and not (verdict.proven and known))
        assert not turn.running or excused, "P8: nothing said that it ended"

    def confirmation(self, verdict: Stale, turn: Turn, caller: str, cancel_id: str) -> Callable[[], None]:
        """What the backend says of the stream now; if that is no end, the cancel goes all the same (F20)."""
        status = self.status_of(turn, named=False)
        has_ended = turn.journal is not None

        def arrive() -> None:
            status()
            if verdict.proven or has_ended:
                return
            again = self.desk.judge_cancel(turn.stream_id, caller, cancel_id, unended=True)
            if isinstance(again, Forward):
                assert turn.stream_id not in self.ledger.own | self.ledger.gone, "P1: no stale forward"
                self.cancel_is_sent(turn.stream_id, caller, cancel_id, hops=0)

        return arrive

    def cancel_is_sent(self, stream_id: str, caller: str, cancel_id: str, hops: int) -> None:
        self.ledger.sent(stream_id, caller, cancel_id)
        self.send(lambda: self.cancel_arrives(stream_id, cancel_id, at_once=hops > 1), at_once=hops > 0)

    def cancel_arrives(self, stream_id: str, cancel_id: str, *, at_once: bool) -> None:
        if self.backend.cancel(stream_id):
            self.send(lambda: self.cancel_is_accepted(stream_id, cancel_id), at_once=at_once)
            return
        turn = self.backend.turns.get(stream_id)
        gone = turn is not None and not turn.worker
        self.send(lambda: self.cancel_is_refused(stream_id, cancel_id, gone=gone), at_once=at_once)

    def cancel_is_accepted(self, stream_id: str, cancel_id: str) -> None:
        if self.ledger.took_answer(cancel_id) is None:
            return
        known_gone = self.ledger.is_proven(stream_id)
        self.desk.observe(seen.CancelAccepted(self.now, stream_id, cancel_id))
        assert stream_id in self.ledger.settling or known_gone, "P11: what was accepted is pursued"

    def cancel_is_refused(self, stream_id: str, cancel_id: str, *, gone: bool) -> None:
        """`gone`: something else that the backend says proves it, to whoever looks."""
        if self.ledger.took_answer(cancel_id) is None:
            return
        before = self.desk.stream(stream_id)
        gone = gone and before is not None and before.proven
        self.ledger.refused(stream_id, gone=gone)
        self.ledger.withdrawn(stream_id, self.now)
        self.desk.observe(seen.CancelRefused(self.now, stream_id, cancel_id, gone))

    @precondition(lambda self: self.ledger.cancels)
    @rule(pick=picks)
    def a_cancel_fails(self, pick: int) -> None:
        """Its answer is lost, or none; what the backend has done, or will do, it does."""
        cancel_id = self.pick_cancel(pick)
        self.now += 1
        sent = self.ledger.cancels.pop(cancel_id)
        self.ledger.withdrawn(sent.stream_id, self.now)
        self.desk.observe(seen.CancelFailed(self.now, sent.stream_id, cancel_id))

    @precondition(lambda self: self.ledger.cancels)
    @rule(pick=picks)
    def a_cancel_is_not_answered_in_time(self, pick: int) -> None:
        """It may still be, later."""
        cancel_id = self.pick_cancel(pick)
        sent = self.ledger.cancels[cancel_id]
        sent.overdue = True
        self.desk.observe(seen.CancelOverdue(self.now, sent.stream_id, cancel_id))

    def pick_cancel(self, pick: int) -> str:
        return sorted(self.ledger.cancels)[pick % len(self.ledger.cancels)]

    # -- settling ---------------------------------------------------------------------------------

    @precondition(lambda self: self.ledger.settling)
    @rule(pick=picks, told=st.booleans(), answered=st.booleans(), looked=st.booleans())
    def a_cancel_comes_nearer_to_settled(self, pick: int, *, told: bool, answered: bool, looked: bool) -> None:
        stream_id = self.pick_settling(pick)
        if looked:
            self.look_at(stream_id)()
        if told and stream_id in self.ledger.settling:
            self.ledger.settling[stream_id].told = True
            self.desk.observe(seen.RelaysEnded(self.now, stream_id))
        if answered and stream_id in self.ledger.settling:
            self.ledger.settling[stream_id].answered = True
            self.desk.observe(seen.CancelAnswered(self.now, stream_id))

    @precondition(lambda self: self.ledger.settling)
    @rule(pick=picks)
    def somebody_looks_for_a_worker(self, pick: int) -> None:
        """What is seen may be told late, behind what was seen after it."""
        self.in_flight.append(self.look_at(self.pick_settling(pick)))

    @precondition(lambda self: self.ledger.settling)
    @rule(pick=picks)
    def a_worker_goes_between_two_looks(self, pick: int) -> None:
        """The later one is told first."""
        stream_id = self.pick_settling(pick)
        earlier = self.look_at(stream_id)
        if not self.backend.turns[stream_id].deaf:
            self.backend.unwind(self.backend.turns[stream_id])
        self.look_at(stream_id)()
        self.in_flight.append(earlier)

    def look_at(self, stream_id: str) -> Callable[[], None]:
        slot = self.slot_of(stream_id)

        def arrive() -> None:
            self.ledger.slot_seen(stream_id, slot)
            self.desk.observe(seen.SlotSeen(self.now, stream_id, slot))

        return arrive

    def slot_of(self, stream_id: str) -> Slot:
        if not self.backend.turns[stream_id].worker:
            return Slot.FREE
        return Slot.FENCED if self.backend.fences else Slot.BUSY

    @precondition(lambda self: self.ledger.settling)
    @rule(pick=picks, hops=st.integers(0, 2))
    def an_accepted_cancel_is_repeated(self, pick: int, hops: int) -> None:
        """P11: by the proxy itself."""
        stream_id = self.pick_settling(pick)
        self.send(lambda: self.repetition_arrives(stream_id, at_once=hops > 1), at_once=hops > 0)

    def repetition_arrives(self, stream_id: str, *, at_once: bool) -> None:
        cancelled = self.backend.cancel(stream_id)
        self.send(lambda: self.repetition_is_answered(stream_id, cancelled=cancelled), at_once=at_once)

    def repetition_is_answered(self, stream_id: str, *, cancelled: bool) -> None:
        self.desk.observe(seen.CancelRepeated(self.now, stream_id))
        if self.backend.repeats and not cancelled:
            self.ledger.slot_seen(stream_id, Slot.FREE)
            self.desk.observe(seen.SlotSeen(self.now, stream_id, Slot.FREE, SlotFreedBy.CANCEL))

    def pick_settling(self, pick: int) -> str:
        return sorted(self.ledger.settling)[pick % len(self.ledger.settling)]

    # -- what holds in every state ----------------------------------------------------------------

    @invariant()
    def p1_no_stale_forward(self) -> None:
        for stream_id in self.ledger.first.keys() | self.ledger.gone:
            if self.ledger.is_over(stream_id):
                assert not isinstance(self.desk.verdict_on(stream_id), Forward), f"P1: {stream_id} is over"

    @invariant()
    def p3_requests_are_held_exactly_while_a_cancel_is_unsettled(self) -> None:
        for record in self.records():
            streams = [stream.stream_id for stream in record.streams]
            starts, changes = (
                any(map(self.ledger.holds_starts, streams)),
                any(map(self.ledger.holds_changes, streams)),
            )
            assert (judge_start(record) is StartVerdict.HOLD) is starts, f"P3: {record}"
            assert (judge_change(record) is StartVerdict.HOLD) is changes, f"F17: {record}"

    @invariant()
    def p11_what_may_have_a_worker_is_never_refused_for_good(self) -> None:
        for turn in self.backend.turns.values():
            verdict = self.desk.verdict_on(turn.stream_id)
            if isinstance(verdict, Stale) and verdict.proven:
                assert self.ledger.is_proven(turn.stream_id), f"P11: nothing proves that {turn.stream_id} is over"

    @invariant()
    def p11_a_stop_that_was_given_up_can_be_tried_again(self) -> None:
        """Its worker is there, and nothing but its own end or the next turn says otherwise."""
        for stream_id in self.ledger.given_up:
            if self.backend.turns[stream_id].worker and not self.ledger.is_proven(stream_id):
                verdict = self.desk.verdict_on(stream_id)
                assert not isinstance(verdict, Stale) or not verdict.proven, f"P11: {stream_id} may be there"

    @invariant()
    def what_is_under_way_is_not_forgotten(self) -> None:
        held = {sent.stream_id for sent in self.ledger.cancels.values() if sent.holds}
        for stream_id in held | self.ledger.settling.keys():
            assert self.desk.stream(stream_id) is not None

    @invariant()
    def a_session_has_at_most_one_owner(self) -> None:
        """F20: but a runner's turns run side by side, and so does what was found running since the owner began."""
        for record in self.records() if not self.backend.runner else ():
            running = [stream for stream in record.streams if stream.state is StreamState.RUNNING]
            certain = [stream for stream in running if stream.stream_id not in self.ledger.revived]
            assert certain in ([], [record.owner])

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
            sent = {cancel.cancel_id for stream in record.streams for cancel in stream.sent}
            assert sent <= self.ledger.cancels.keys(), "a cancel that is answered is forgotten"

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
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
