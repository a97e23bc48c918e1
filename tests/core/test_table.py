"""The table of transitions as a whole: it has every pair, and names exactly the states that can come next."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core import observations as seen
from proxy.core.effects import TransitionError
from proxy.core.records import Ending, SessionRecord, Slot, StreamRecord, StreamState
from proxy.core.transitions import STEPS, UNCHANGED, State, apply
from tests.core.conftest import Story, named, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState
STATES: tuple[State, ...] = (None, *StreamState)
KINDS: tuple[type[seen.StreamObservation], ...] = get_args(seen.StreamObservation)

# A cancel of a stream that settles is judged to be a repetition of the accepted one.
IMPOSSIBLE = {(SETTLING, seen.CancelSent)}

# Each observation of the stream `x`, later than all before it.
EXAMPLES: tuple[seen.StreamObservation, ...] = (
    seen.TurnStarted(9, "x"),
    seen.StartConflicted(9, "x"),
    seen.StreamEnded(9, "x", Ending.FINISHED),
    seen.StreamSpoke(9, "x"),
    seen.StatusSeen(9, 9, "x", active=True, ending=None),
    seen.StreamMissing(9, 9, "x"),
    seen.CancelSent(9, "x", "c-9", "credentials"),
    seen.CancelOverdue(9, "x", "c-1"),
    seen.CancelAccepted(9, "x", "c-1"),
    seen.CancelRefused(9, "x", "c-1", gone=True),
    seen.CancelFailed(9, "x", "c-1"),
    seen.RelaysEnded(9, "x"),
    seen.CancelAnswered(9, "x"),
    seen.SlotSeen(9, "x", Slot.FREE),
    seen.CancelRepeated(9, "x"),
    seen.StopTimedOut(9, "x"),
)

# The same kinds with another answer, another cancel, or asked for before all the rest.
VARIANTS: tuple[seen.StreamObservation, ...] = (
    seen.TurnStarted(9, "x", hosted=False),
    seen.StreamEnded(9, "x", Ending.CANCELLED),
    seen.StatusSeen(9, 9, "x", active=False, ending=None),
    seen.StatusSeen(9, 9, "x", active=False, ending=Ending.FINISHED),
    seen.StatusSeen(9, 0, "x", active=True, ending=None),
    seen.StreamMissing(9, 0, "x"),
    seen.CancelSent(9, "x", "c-1", "credentials"),
    seen.CancelAccepted(9, "x", "c-9"),
    seen.CancelRefused(9, "x", "c-1", gone=False),
    seen.CancelFailed(9, "x", "c-9"),
    seen.SlotSeen(9, "x", Slot.BUSY),
)

LONGEST_STORY = 5
"""In observations: four do not come to every state that is named, and a sixth comes to no other."""


# -- its pairs ------------------------------------------------------------------------------------


def test_there_is_an_example_of_every_observation() -> None:
    assert {type(example) for example in EXAMPLES} == set(KINDS)


def test_every_pair_means_something_or_nothing_or_is_known_to_be_impossible() -> None:
    pairs = set(product(STATES, KINDS))
    steps = {(state, kind) for state, kinds in STEPS.items() for kind in kinds}
    unchanged = {(state, kind) for state, kinds in UNCHANGED.items() for kind in kinds}
    assert steps | unchanged == pairs - IMPOSSIBLE
    assert not steps & unchanged


@pytest.mark.parametrize(("state", "observation"), list(product(STATES, EXAMPLES)))
def test_what_means_nothing_changes_nothing(
    story: Story, state: StreamState | None, observation: seen.StreamObservation
) -> None:
    before = story.reaches("x", state).record
    if type(observation) in UNCHANGED[state]:
        assert story.sees(observation).record == before
        assert story.effects == ()


@pytest.mark.parametrize(("state", "observation"), list(product(STATES, EXAMPLES)))
def test_a_pair_is_applied_or_raises(
    story: Story, state: StreamState | None, observation: seen.StreamObservation
) -> None:
    story.reaches("x", state)
    if (state, type(observation)) in IMPOSSIBLE:
        with pytest.raises(TransitionError, match=f"{type(observation).__name__} in state .* of x"):
            apply(story.record, observation)
    else:
        assert apply(story.record, observation).record.session_id == "s"


@pytest.mark.parametrize(("state", "observation"), list(product(STATES, EXAMPLES)))
def test_the_other_sessions_streams_are_left_alone(
    story: Story, state: StreamState | None, observation: seen.StreamObservation
) -> None:
    """No observation of one stream raises, or undoes, the end of another."""
    story.starts("w").ends("w").reaches("x", state)
    if (state, type(observation)) not in IMPOSSIBLE:
        assert story.sees(observation).stream("w").state is ENDED


@pytest.mark.parametrize(
    "observation",
    [
        seen.RelaysEnded(3, "x"),
        seen.CancelAnswered(3, "x"),
        seen.SlotSeen(3, "x", Slot.FREE),
        seen.CancelRepeated(3, "x"),
        seen.CancelRefused(3, "x", "c-1", gone=True),
        seen.StopTimedOut(3, "x"),
    ],
)
def test_a_settling_stream_without_a_cancel_is_a_fault(observation: seen.StreamObservation) -> None:
    broken = SessionRecord("s", (StreamRecord("x", SETTLING, 1),))
    with pytest.raises(TransitionError, match=r"x is \w+ without a cancel"):
        apply(broken, observation)


# -- its next states ------------------------------------------------------------------------------


def test_the_table_names_exactly_the_states_that_can_come_next() -> None:
    """Whatever is seen of a stream in whatever order: each state that is named is reached, and no other is."""
    possible = set(product(STATES, KINDS)) - IMPOSSIBLE
    assert reached() == {(state, kind, after) for state, kind in possible for after in named(state, kind)}


def reached() -> set[tuple[State, type[seen.StreamObservation], State]]:
    """What every story of `x` comes to, told by everything that can be seen of it."""
    steps, records = set(), {SessionRecord("s")}
    for _ in range(LONGEST_STORY):
        told = [(record, observation, after) for record in records for observation, after in continued(record)]
        steps |= {(state_of(record, "x"), type(what), state_of(after, "x")) for record, what, after in told}
        records = {after for _, _, after in told}
    return steps


def continued(record: SessionRecord) -> Iterator[tuple[seen.StreamObservation, SessionRecord]]:
    for observation in (*EXAMPLES, *VARIANTS):
        if is_possible(record, observation):
            yield observation, apply(record, observation).record


def is_possible(record: SessionRecord, observation: seen.StreamObservation) -> bool:
    return (state_of(record, observation.stream_id), type(observation)) not in IMPOSSIBLE


sights = st.builds(
    replace, st.sampled_from((*EXAMPLES, *VARIANTS)), at=st.integers(0, 20), stream_id=st.sampled_from("xyz")
)
restarts = st.builds(seen.BackendRestarted, st.integers(0, 20))


@given(st.lists(sights | restarts, min_size=20, max_size=60))
@settings(deadline=None)
def test_no_interleaving_of_several_turns_leaves_the_table(told: list[Any]) -> None:
    """The story checks each step: a turn that is not observed itself may be ended by it, and nothing else."""
    story = Story(SessionRecord("s"))
    for observation in told:
        if isinstance(observation, seen.BackendRestarted) or is_possible(story.record, observation):
            story.sees(observation)


def test_of_too_many_that_ended_the_one_that_ended_first_is_forgotten() -> None:
    """P7. One that ends after many that began later has a record still, which gives its relays a limit (P6)."""
    later = tuple(StreamRecord(f"y{n}", ENDED, 2, Ending.FINISHED) for n in range(SessionRecord.KEPT_ENDINGS))
    record = SessionRecord("s", (StreamRecord("x", RUNNING, 1), *later))
    ended = StreamRecord("x", ENDED, 3, Ending.FINISHED)
    assert apply(record, seen.StreamEnded(3, "x", Ending.FINISHED)).record == SessionRecord("s", (ended, *later[1:]))
