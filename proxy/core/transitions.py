"""The one place where a belief changes: `(record, observation) -> (record', effects)`.

`STEPS` is the table of states: for every state of a stream (None: it is not known) the observations that mean something
in it, the states that the stream may be in afterwards, and the step that says which. `UNCHANGED` lists the observations
that mean nothing. The one pair in neither cannot happen while verdicts are asked for first.

The table is about the stream that was observed. The session's next turn, or a restart of the backend, may end others
that run or settle (not a runner's, F20), and where too many have ended, the one that ended first is forgotten (P7).
"""

from typing import Any, Protocol

from proxy.core import observations as seen
from proxy.core import stops, turns
from proxy.core.effects import Transition, TransitionError
from proxy.core.observations import Observation, StreamObservation
from proxy.core.records import SessionRecord, StreamState

RUNNING, CANCEL_SENT, SETTLING, ENDED = StreamState

State = StreamState | None


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
    if kind in STEPS[state]:
        _states, step = STEPS[state][kind]
        return step(record, stream, observation)
    if kind in UNCHANGED[state]:
        return Transition(record)
    raise TransitionError(f"{kind.__name__} in state {state} of {observation.stream_id}")


STEPS: dict[State, dict[type[StreamObservation], tuple[set[State], Step]]] = {
    None: {
        seen.TurnStarted: ({RUNNING}, turns.begin),
        seen.StartConflicted: ({RUNNING}, turns.begin_named),
        seen.StreamEnded: ({ENDED}, turns.end_unknown),
        seen.StatusSeen: ({RUNNING, ENDED, None}, turns.status_of_unknown),
        seen.CancelSent: ({CANCEL_SENT}, stops.send_cancel),
    },
    RUNNING: {
        seen.TurnStarted: ({RUNNING}, turns.complete),
        seen.StreamEnded: ({ENDED}, turns.end),
        seen.StreamSpoke: ({RUNNING}, turns.hear),
        seen.StatusSeen: ({RUNNING, ENDED}, turns.status_of_running),
        seen.StreamMissing: ({RUNNING, ENDED}, turns.miss),
        seen.CancelSent: ({CANCEL_SENT}, stops.send_cancel),
        seen.CancelOverdue: ({RUNNING}, stops.overdue),
        seen.CancelAccepted: ({RUNNING, SETTLING}, stops.accept),
        seen.CancelRefused: ({RUNNING}, stops.forget_sent),
        seen.CancelFailed: ({RUNNING}, stops.forget_sent),
    },
    CANCEL_SENT: {
        seen.TurnStarted: ({CANCEL_SENT}, turns.complete),
        seen.StartConflicted: ({CANCEL_SENT}, turns.prove),
        seen.StreamEnded: ({CANCEL_SENT}, turns.note_end),  # F5: the event may overtake the answer
        seen.StreamSpoke: ({CANCEL_SENT}, turns.hear),
        seen.StatusSeen: ({CANCEL_SENT}, turns.status_under_cancel),
        seen.CancelSent: ({CANCEL_SENT}, stops.send_cancel),  # by a caller who cannot share the answer to the first
        seen.CancelOverdue: ({CANCEL_SENT}, stops.overdue),
        seen.CancelAccepted: ({CANCEL_SENT, SETTLING}, stops.accept),
        seen.CancelRefused: ({RUNNING, CANCEL_SENT, ENDED, None}, stops.refuse),
        seen.CancelFailed: ({RUNNING, CANCEL_SENT, ENDED, None}, stops.withdraw),
    },
    SETTLING: {
        seen.TurnStarted: ({SETTLING}, turns.complete),
        seen.StreamEnded: ({SETTLING}, turns.note_end),
        seen.StreamSpoke: ({SETTLING}, turns.hear),
        seen.StatusSeen: ({SETTLING}, turns.status_of_settling),
        seen.CancelOverdue: ({SETTLING}, stops.overdue),
        seen.CancelAccepted: ({SETTLING}, stops.forget_sent),
        seen.CancelRefused: ({SETTLING, ENDED}, stops.refuse_settling),
        seen.CancelFailed: ({SETTLING}, stops.forget_sent),
        seen.RelaysEnded: ({SETTLING, ENDED}, stops.relays_ended),
        seen.CancelAnswered: ({SETTLING, ENDED}, stops.answered),
        seen.SlotSeen: ({SETTLING, ENDED}, stops.slot_seen),
        seen.CancelRepeated: ({SETTLING}, stops.repeated),
        seen.StopTimedOut: ({ENDED}, stops.time_out),
    },
    ENDED: {
        seen.StreamEnded: ({ENDED}, turns.refine),
        seen.StreamSpoke: ({RUNNING, ENDED}, turns.revive),
        seen.StatusSeen: ({RUNNING, ENDED}, turns.status_of_ended),
        seen.CancelSent: ({CANCEL_SENT}, stops.send_cancel),  # P11: its worker was not seen gone
        seen.CancelOverdue: ({ENDED}, stops.overdue),
        seen.CancelAccepted: ({SETTLING, ENDED}, stops.accept_ended),
        seen.CancelRefused: ({ENDED}, stops.forget_sent),
        seen.CancelFailed: ({ENDED}, stops.forget_sent),
        seen.SlotSeen: ({ENDED}, stops.slot_seen_late),
    },
}

UNCHANGED: dict[State, frozenset[type[StreamObservation]]] = {
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
