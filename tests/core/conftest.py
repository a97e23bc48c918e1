"""A session's story: what is seen, one thing a second, and what is believed after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core import observations as seen
from proxy.core.records import Ending, SessionRecord, Slot, SlotFreedBy, StreamRecord, StreamState
from proxy.core.transitions import STEPS, apply

if TYPE_CHECKING:
    from proxy.core.effects import Effect
    from proxy.core.records import Cancel
    from proxy.core.transitions import State

ALICE, BOB = "alice's credentials", "bob's credentials"

UNACCEPTED = ("refuses", "refuses with proof", "fails")
"""What may become of a cancel, besides being accepted."""

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
ENDED_BY_OTHERS = {(RUNNING, ENDED), (SETTLING, ENDED)}
"""What the next turn, or a restart, may do to a stream that was not observed itself."""


def state_of(record: SessionRecord, stream_id: str) -> State:
    """None if the stream is not known."""
    stream = record.stream(stream_id)
    return stream.state if stream else None


def named(state: State, kind: type[seen.StreamObservation]) -> set[State]:
    """The states in which the table lets that observation leave a stream."""
    return STEPS[state][kind][0] if kind in STEPS[state] else {state}


def check_against_the_table(before: SessionRecord, observation: seen.Observation, after: SessionRecord) -> None:
    """The observed stream is in a state that the table names, and every other is as it was, or has ended."""
    observed = None
    if isinstance(observation, seen.StreamObservation):
        observed = observation.stream_id
        states = named(state_of(before, observed), type(observation))
        assert state_of(after, observed) in states, f"the table does not name that state: {observation}"
    for stream in before.streams:
        state = state_of(after, stream.stream_id)
        if stream.stream_id != observed and state not in {None, stream.state}:
            assert (stream.state, state) in ENDED_BY_OTHERS, f"{stream.stream_id} is {state} by {observation}"


class Story:
    """Feeds a record, checks each step against the table, and keeps what the last one asked the shell to do."""

    def __init__(self, record: SessionRecord) -> None:
        self.record = record
        self.now = 0.0
        self.effects: tuple[Effect, ...] = ()

    def sees(self, observation: seen.Observation) -> Story:
        transition = apply(self.record, observation)
        check_against_the_table(self.record, observation, transition.record)
        self.record, self.effects = transition.record, transition.effects
        return self

    def starts(self, stream_id: str, *, hosted: bool | None = None) -> Story:
        return self.sees(seen.TurnStarted(self._tick(), stream_id, hosted))

    def conflicts_with(self, stream_id: str) -> Story:
        return self.sees(seen.StartConflicted(self._tick(), stream_id))

    def ends(self, stream_id: str, ending: Ending = Ending.FINISHED) -> Story:
        return self.sees(seen.StreamEnded(self._tick(), stream_id, ending))

    def status(
        self, stream_id: str, *, active: bool, ending: Ending | None = None, asked: float | None = None
    ) -> Story:
        now = self._tick()
        return self.sees(seen.StatusSeen(now, now if asked is None else asked, stream_id, active, ending))

    def misses(self, stream_id: str, *, asked: float | None = None) -> Story:
        now = self._tick()
        return self.sees(seen.StreamMissing(now, now if asked is None else asked, stream_id))

    def speaks(self, stream_id: str) -> Story:
        return self.sees(seen.StreamSpoke(self._tick(), stream_id))

    def cancels(self, stream_id: str, cancel_id: str = "c-1", credentials: str = ALICE) -> Story:
        return self.sees(seen.CancelSent(self._tick(), stream_id, cancel_id, credentials))

    def waits_in_vain(self, stream_id: str, cancel_id: str = "c-1") -> Story:
        return self.sees(seen.CancelOverdue(self._tick(), stream_id, cancel_id))

    def accepts(self, stream_id: str, cancel_id: str = "c-1") -> Story:
        return self.sees(seen.CancelAccepted(self._tick(), stream_id, cancel_id))

    def refuses(self, stream_id: str, cancel_id: str = "c-1", *, gone: bool = False) -> Story:
        return self.sees(seen.CancelRefused(self._tick(), stream_id, cancel_id, gone))

    def fails(self, stream_id: str, cancel_id: str = "c-1") -> Story:
        return self.sees(seen.CancelFailed(self._tick(), stream_id, cancel_id))

    def does_not_accept(self, stream_id: str, answer: str, cancel_id: str = "c-1") -> Story:
        """One of `UNACCEPTED`."""
        if answer == "fails":
            return self.fails(stream_id, cancel_id)
        return self.refuses(stream_id, cancel_id, gone=answer == "refuses with proof")

    def tells_every_relay(self, stream_id: str) -> Story:
        return self.sees(seen.RelaysEnded(self._tick(), stream_id))

    def answers(self, stream_id: str) -> Story:
        return self.sees(seen.CancelAnswered(self._tick(), stream_id))

    def slot(self, stream_id: str, slot: Slot, by: SlotFreedBy = SlotFreedBy.HEALTH) -> Story:
        return self.sees(seen.SlotSeen(self._tick(), stream_id, slot, by))

    def repeats(self, stream_id: str) -> Story:
        return self.sees(seen.CancelRepeated(self._tick(), stream_id))

    def times_out(self, stream_id: str) -> Story:
        return self.sees(seen.StopTimedOut(self._tick(), stream_id))

    def restarts(self, at: float | None = None) -> Story:
        now = self._tick()
        return self.sees(seen.BackendRestarted(now if at is None else at))

    def moves_to(self, session_id: str) -> Story:
        return self.sees(seen.SessionRotated(self._tick(), session_id))

    def adopts(self, *streams: StreamRecord) -> Story:
        return self.sees(seen.StreamsAdopted(self._tick(), streams))

    def settles(self, stream_id: str) -> Story:
        """All that an accepted cancel waits for."""
        return self.tells_every_relay(stream_id).answers(stream_id).slot(stream_id, Slot.FREE)

    def reaches(self, stream_id: str, state: StreamState | None) -> Story:
        """The shortest way of a stream into that state."""
        if state is None:
            return self
        self.starts(stream_id)
        if state is ENDED:
            return self.ends(stream_id)
        if state is not RUNNING:
            self.cancels(stream_id)
        return self.accepts(stream_id) if state is SETTLING else self

    def stream(self, stream_id: str) -> StreamRecord:
        stream = self.record.stream(stream_id)
        assert stream is not None
        return stream

    def cancel_of(self, stream_id: str) -> Cancel:
        cancel = self.stream(stream_id).cancel
        assert cancel is not None
        return cancel

    @property
    def owner(self) -> str | None:
        return self.record.owner.stream_id if self.record.owner else None

    @property
    def states(self) -> dict[str, StreamState]:
        return {stream.stream_id: stream.state for stream in self.record.streams}

    def _tick(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def story() -> Story:
    """Nothing seen yet of session `s`."""
    return Story(SessionRecord("s"))
