"""The sequence in which a shell asks for verdicts and feeds observations, without its sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from proxy.core import observations as seen
from proxy.core.effects import Effect, MoveStreams, Transition
from proxy.core.transitions import apply
from proxy.core.verdicts import CancelVerdict, Forward, Stale, judge_cancel
from proxy.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxy.core.records import SessionRecord, StreamRecord

T = TypeVar("T")

LONGEST_CHAIN = 64


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for, as those of a store in memory."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise AssertionError("a store in memory does not wait")


class Desk:
    """Beliefs over a store; `carry_out` is given every effect but the moves."""

    def __init__(self, clock: Callable[[], float], carry_out: Callable[[Effect], None]) -> None:
        self.store = MemoryStore(clock, sessions=64, forget_after=1e9)
        self._clock = clock
        self._carry_out = carry_out

    def observe(self, observation: seen.StreamObservation) -> None:
        self._apply(self.locate(observation.stream_id), observation)

    def turn_seen(self, session_id: str, observation: seen.TurnStarted | seen.StartConflicted) -> None:
        self.identify(observation.stream_id, session_id)
        self._apply(self._session_of(observation.stream_id) or session_id, observation)

    def identify(self, stream_id: str, session_id: str) -> None:
        if self.locate(stream_id) == _nameless(stream_id):
            self.rotate(_nameless(stream_id), session_id)

    def rotate(self, old_session_id: str, new_session_id: str) -> None:
        self._apply(old_session_id, seen.SessionRotated(self._clock(), new_session_id))

    def restarted(self, at: float) -> None:
        for session_id in self.sessions():
            self._apply(session_id, seen.BackendRestarted(at))

    def judge_cancel(self, stream_id: str, credentials: str, cancel_id: str, *, unended: bool = False) -> CancelVerdict:
        """The verdict; Forward is recorded in the same step.

        `unended` says that the backend knows of no end of the stream: it then takes more than the next turn to refuse.
        """
        verdict: CancelVerdict = Forward()

        def judge(record: SessionRecord) -> Transition:
            nonlocal verdict
            verdict = judge_cancel(record, stream_id, credentials)
            if unended and isinstance(verdict, Stale) and not verdict.proven:
                verdict = Forward()
            if isinstance(verdict, Forward):
                return apply(record, seen.CancelSent(self._clock(), stream_id, cancel_id, credentials))
            return Transition(record)

        at_once(self.store.transact(self.locate(stream_id), judge))
        return verdict

    def verdict_on(self, stream_id: str, credentials: str = "anybody") -> CancelVerdict:
        """What a cancel would be judged, were there one."""
        return judge_cancel(self.session(self.locate(stream_id)), stream_id, credentials)

    def sessions(self) -> tuple[str, ...]:
        return at_once(self.store.sessions())

    def record(self, session_id: str) -> SessionRecord:
        return at_once(self.store.transact(session_id, Transition)).record

    def session(self, session_id: str) -> SessionRecord:
        """The record, wherever the conversation went."""
        record = self.record(session_id)
        for _ in range(LONGEST_CHAIN):
            if record.moved_to is None:
                return record
            record = self.record(record.moved_to)
        raise AssertionError(f"{session_id} moved in a circle")

    def stream(self, stream_id: str) -> StreamRecord | None:
        return self.session(self.locate(stream_id)).stream(stream_id)

    def locate(self, stream_id: str) -> str:
        return self._session_of(stream_id) or self.session(_nameless(stream_id)).session_id

    def _session_of(self, stream_id: str) -> str | None:
        return at_once(self.store.session_of(stream_id))

    def _apply(self, session_id: str, observation: seen.Observation) -> None:
        transition = at_once(self.store.transact(session_id, lambda record: apply(record, observation)))
        for effect in transition.effects:
            if isinstance(effect, MoveStreams):
                self._apply(effect.session_id, seen.StreamsAdopted(self._clock(), effect.streams))
            else:
                self._carry_out(effect)


def _nameless(stream_id: str) -> str:
    """Where a stream's record lives while its session is not known."""
    return f"stream:{stream_id}"
