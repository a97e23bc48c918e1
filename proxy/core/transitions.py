"""The one place where a belief changes: `(record, observation) -> (record', effects)`.

`STEPS` lists, for every state of a stream, the observations that mean something in it (None: a stream not known yet);
`UNCHANGED` those that mean nothing. The one pair in neither cannot happen while verdicts are asked for first.
"""

from typing import Any, Protocol

from proxy.core import observations as seen
from proxy.core import stops, turns
from proxy.core.effects import Transition, TransitionError
from proxy.core.observations import Observation, StreamObservation
from proxy.core.records import SessionRecord, StreamState

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState


class Step(Protocol):
    """What one observation means for one stream in one state."""

    def __call__(self, record: SessionRecord, stream: Any, observation: Any, /) -> Transition:
        """The transition; `stream` is None where the table says None."""


def apply(record: SessionRecord, observation: Observation) -> Transition:
    """The record after `observation`, and the effects.

    Raises:
        TransitionError: the pair of state and observation is in neither table.
    """
    match observation:
        case seen.BackendRestarted():
            return turns.lose_running(record, observation)
        case seen.SessionRotated(new_session_id=new):
            return turns.rotate(record, new)
        case seen.StreamsAdopted(streams=streams):
            return turns.adopt(record, streams)
        case _:
            return _step(record, observation)


def _step(record: SessionRecord, observation: StreamObservation) -> Transition:
    stream = record.stream(observation.stream_id)
    state, kind = stream.state if stream else None, type(observation)
    step = STEPS[state].get(kind)
    if step is not None:
        return step(record, stream, observation)
    if kind in UNCHANGED[state]:
        return Transition(record)
    raise TransitionError(f"{kind.__name__} in state {state} of {observation.stream_id}")


STEPS: dict[StreamState | None, dict[type[StreamObservation], Step]] = {
    None: {
        seen.TurnStarted: turns.begin,
        seen.StartConflicted: turns.begin_named,
        seen.StreamEnded: turns.end_unknown,
        seen.StatusSeen: turns.status_of_unknown,
        seen.CancelSent: stops.send_cancel,
    },
    RUNNING: {
        seen.TurnStarted: turns.complete,
        seen.StreamEnded: turns.end,
        seen.StreamSpoke: turns.hear,
        seen.StatusSeen: turns.status_of_running,
        seen.StreamMissing: turns.miss,
        seen.CancelSent: stops.send_cancel,
        seen.CancelOverdue: stops.overdue,
        seen.CancelAccepted: stops.accept,
        seen.CancelRefused: stops.forget_sent,
        seen.CancelFailed: stops.forget_sent,
    },
    CANCEL_SENT: {
        seen.TurnStarted: turns.complete,
        seen.StartConflicted: turns.prove,
        seen.StreamEnded: turns.note_end,  # F5: the event may overtake the answer
        seen.StreamSpoke: turns.hear,
        seen.StatusSeen: turns.status_under_cancel,
        seen.CancelSent: stops.send_cancel,  # by a caller who cannot share the answer to the first
        seen.CancelOverdue: stops.overdue,
        seen.CancelAccepted: stops.accept,
        seen.CancelRefused: stops.refuse,
        seen.CancelFailed: stops.withdraw,
    },
    SETTLING: {
        seen.TurnStarted: turns.complete,
        seen.StreamEnded: turns.note_end,
        seen.StreamSpoke: turns.hear,
        seen.StatusSeen: turns.status_of_settling,
        seen.CancelOverdue: stops.overdue,
        seen.CancelAccepted: stops.forget_sent,
        seen.CancelRefused: stops.refuse_settling,
        seen.CancelFailed: stops.forget_sent,
        seen.RelaysEnded: stops.relays_ended,
        seen.CancelAnswered: stops.answered,
        seen.SlotSeen: stops.slot_seen,
        seen.CancelRepeated: stops.repeated,
        seen.StopTimedOut: stops.time_out,
    },
    ENDED: {
        seen.StreamEnded: turns.refine,
        seen.StreamSpoke: turns.revive,
        seen.StatusSeen: turns.status_of_ended,
        seen.CancelSent: stops.send_cancel,  # P11: its worker was not seen gone
        seen.CancelOverdue: stops.overdue,
        seen.CancelAccepted: stops.accept_ended,
        seen.CancelRefused: stops.forget_sent,
        seen.CancelFailed: stops.forget_sent,
        seen.SlotSeen: stops.slot_seen_late,
    },
}

UNCHANGED: dict[StreamState | None, frozenset[type[StreamObservation]]] = {
    None: frozenset(
        {
            seen.StreamSpoke,
            seen.StreamMissing,
            seen.CancelOverdue,
            seen.CancelAccepted,
            seen.CancelRefused,
            seen.CancelFailed,
            seen.RelaysEnded,
            seen.CancelAnswered,
            seen.SlotSeen,
            seen.CancelRepeated,
            seen.StopTimedOut,
        }
    ),
    RUNNING: frozenset(
        {
            seen.StartConflicted,
            seen.RelaysEnded,
            seen.CancelAnswered,
            seen.SlotSeen,
            seen.CancelRepeated,
            seen.StopTimedOut,
        }
    ),
    CANCEL_SENT: frozenset(
        {
            seen.StreamMissing,
            seen.RelaysEnded,
            seen.CancelAnswered,
            seen.SlotSeen,
            seen.CancelRepeated,
            seen.StopTimedOut,
        }
    ),
    SETTLING: frozenset(
        {
            seen.StartConflicted,  # F2: the backend still names the stream it is cancelling
            seen.StreamMissing,
        }
    ),
    ENDED: frozenset(
        {
            seen.TurnStarted,
            seen.StartConflicted,  # F2
            seen.StreamMissing,
            seen.RelaysEnded,
            seen.CancelAnswered,
            seen.CancelRepeated,
            seen.StopTimedOut,
        }
    ),
}
