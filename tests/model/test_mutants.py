"""That the whole-guard model can fail: each rule is taken out in turn, and the model has to notice.

A mutant is the guard without one rule. The table says which, and which promise or fact the rule stands for. Hypothesis
is given fixed examples, so that a mutant that goes unnoticed is a gap in the model, and not bad luck.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from proxy.backend.health import Health
from proxy.core.observations import CancelAnswered
from proxy.core.records import SessionRecord, Slot
from proxy.core.verdicts import CancelVerdict, Coalesce, ConflictVerdict, Forward, StartVerdict, judge_cancel
from proxy.guard.cancel import CancelGuard
from proxy.guard.listening import Listening, Ready
from proxy.guard.sending import Sending
from proxy.guard.stopping import Stopping
from proxy.guard.turns import Turns
from proxy.hermes.health import Runs
from proxy.http.message import Answer
from tests.model.test_shell import Shell, Step, replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.guard.label import Judged

pytestmark = [
    pytest.mark.no_cover,  # test_shell.py walks the same lines; measuring takes nearly three times as long
    pytest.mark.timeout(400),  # how soon a mutant is noticed is up to hypothesis, and to what else the machine does
]

EXAMPLES = settings(
    derandomize=True,
    max_examples=5000,
    stateful_step_count=15,
    phases=[Phase.generate],  # that it fails is enough; the shortest way to it is not asked for
    report_multiple_bugs=False,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


async def _confirmed(*_: object) -> Answer:
    return Answer(200, b"OK", (), b'{"active": false}')


async def _nothing(*_: object) -> None:
    """In place of a wait, or of watching."""


async def _at_its_arrival(*_: object) -> Ready:
    return Ready.LISTENS


async def _answered_at_once(sending: Sending, stream_id: str) -> None:
    await sending._ownership.observe(CancelAnswered(sending._ownership.clock(), stream_id))


def _always_due(*_: object) -> bool:
    return True


def _take_for_a_restart(health: Health) -> None:
    """As if whoever was not there for a moment had begun anew."""
    health.is_in_doubt = True
    health._tasks.spawn(_lose(health), "losing what ran")


async def _lose(health: Health) -> None:
    await health._lose_running(health._clock())


def _coalesce_strangers(record: SessionRecord, stream_id: str, credentials: str) -> CancelVerdict:
    """A cancel that is not answered yet is everybody's."""
    stream = record.stream(stream_id)
    sent = stream.sent if stream else ()
    return Coalesce(sent[0].cancel_id) if sent else judge_cancel(record, stream_id, credentials)


async def _share_anything(guard: CancelGuard, cancel_id: str) -> Judged | None:
    first = guard._sending.get(cancel_id)
    return await first.answer if first else None


@asynccontextmanager
async def _at_once(*_: object) -> AsyncIterator[bool]:
    yield True


WELL = {"health": True, "runner": False, "answer_after": 0.0, "event_after": 0.0, "deaf": 0.0, "unwind": 0.4}
"""A backend that answers soon, and whose workers are seen."""


BEGINNING = {
    "fences": False,
    "repeats": True,
    "finishes": False,
    "lingers": False,
    "tail": 0.01,
    **WELL,
}
"""Habits of a backend for steps that are given; a mutant's own go before them."""


@dataclass(frozen=True)
class Mutant:
    """The guard without one of its rules."""

    without: str
    change: AbstractContextManager[Any]
    given: dict[str, Any] = field(default_factory=dict)
    """Habits of a backend on which the rule matters most, so that it is missed soon."""
    steps: tuple[Step, ...] = ()
    """Steps that miss it, if looking for such takes minutes."""

    def miss(self) -> None:
        """Plays the model until something does not hold."""
        if self.steps:
            replay([("begin", BEGINNING), *self.steps])
        else:
            run_state_machine_as_test(Shell, settings=EXAMPLES)

    def __str__(self) -> str:
        return self.without


def method(owner: type, name: str, replacement: object) -> AbstractContextManager[Any]:
    return patch.object(owner, name, replacement)


@contextmanager
def _both(one: AbstractContextManager[Any], other: AbstractContextManager[Any]) -> Iterator[None]:
    with one, other:
        yield


MUTANTS = (
    Mutant(
        "P1: every cancel is forwarded",
        patch("proxy.ownership.ownership.judge_cancel", lambda *_: Forward()),
    ),
    Mutant(
        "P2: an overtaken true is passed on",
        patch("proxy.guard.sending._with_reason", lambda judged, *_: judged),
        WELL | {"answer_after": 0.3, "finishes": True},
    ),
    Mutant("P3: starts are not held", patch("proxy.guard.start.judge_start", lambda _: StartVerdict.FORWARD)),
    Mutant("P3: starts of a session run side by side", method(Turns, "turn", _at_once)),
    Mutant("P4: nothing is cut", patch("proxy.relay.chatwatch.events.is_terminal", lambda _: False)),
    Mutant("P5: no ending is synthesized", patch("proxy.relay.chatwatch.events.synthesize", lambda *_: ("", b""))),
    Mutant("P6: a relay has no limit", patch("proxy.relay.chatwatch.judge_relay", lambda *_: None)),
    Mutant("P7: nothing follows a cancel until it settles", method(Stopping, "pursue", lambda *_: None)),
    Mutant("P9: a stale cancel is not confirmed", method(CancelGuard, "_confirm", _confirmed)),
    Mutant(
        "P9: answers are shared with anybody",
        patch("proxy.guard.cancel.fingerprint", lambda _: ""),
        WELL | {"answer_after": 0.3},
    ),
    Mutant(
        "P9: a refusal is shared",
        _both(
            method(CancelGuard, "_coalesce", _share_anything),
            patch("proxy.ownership.ownership.judge_cancel", _coalesce_strangers),
        ),
    ),
    Mutant("P10: a start dies with its browser", patch("proxy.guard.once._unbroken", lambda task: task)),
    Mutant(
        "P11: a lost cancel is not repeated",
        method(Stopping, "_repeat", _nothing),
        WELL | {"deaf": 22.0, "repeats": True},
    ),
    Mutant("P11: a worker is believed to be gone", method(Runs, "slot", lambda *_, **__: Slot.FREE)),
    Mutant(
        "F2: a spurious 409 is passed on",
        patch("proxy.guard.start.judge_conflict", lambda *_: ConflictVerdict.REAL),
        WELL | {"fences": True, "health": False},
    ),
    Mutant("F5: an answer does not wait for its event", method(Sending, "let_the_event_win", _nothing)),
    Mutant(
        "F5: a turn does not wait for the answer",
        method(Sending, "_let_the_answer_win", _answered_at_once),
        WELL | {"answer_after": 2.0},
    ),
    Mutant(
        "F5: an ending does not wait for the answer",
        patch("proxy.relay.chatwatch.let_the_answer_come", _nothing),
        WELL | {"answer_after": 0.3},
    ),
    Mutant(
        "F13: a cancel does not wait for the agent", method(Listening, "until", _at_its_arrival), WELL | {"deaf": 2.0}
    ),
    Mutant(
        "F17: changes are not held",
        patch("proxy.guard.changes.judge_change", lambda _: StartVerdict.FORWARD),
        WELL | {"unwind": 3.0},
        (
            ("start", {"session": "s", "length": 60.0}),
            ("wait", {"span": 1.0}),
            ("open_tab", {"pick": 0}),
            ("wait", {"span": 1.0}),
            ("stop", {"pick": 0, "caller": "me"}),
            ("wait", {"span": 1.0}),
            ("undo", {"session": "s"}),
        ),
    ),
    Mutant("F20: a refused connection is a restart", method(Health, "doubt", _take_for_a_restart)),
    Mutant(
        "F23: every duplicate is forwarded",
        method(Stopping, "is_due", _always_due),
        WELL | {"unwind": 0.4, "tail": 0.4},
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_model_notices_a_guard_without(mutant: Mutant) -> None:
    """And by that rule's absence: with the rule, the same steps are played without a complaint."""
    with patch.object(Shell, "given", mutant.given):
        with mutant.change, pytest.raises((AssertionError, ExceptionGroup)):
            mutant.miss()
        replay(Shell.played)
