"""That the whole-guard model can fail: each rule is taken out in turn, and the model has to notice.

A mutant is the guard without one rule. The table says which, and which promise or fact the rule stands for. Hypothesis
is given fixed examples, so that a mutant that goes unnoticed is a gap in the model, and not bad luck.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from proxy.core.records import SessionRecord, Slot
from proxy.core.verdicts import CancelVerdict, Coalesce, ConflictVerdict, Forward, StartVerdict, judge_cancel
from proxy.guard.cancel import CancelGuard
from proxy.guard.health import Health
from proxy.guard.listening import Listening, Ready
from proxy.guard.sending import Sending
from proxy.guard.start import StartGuard
from proxy.guard.stopping import Stopping
from proxy.guard.turns import Turns
from proxy.hermes.health import Runs
from proxy.http.message import Answer
from tests.model.test_shell import Shell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from proxy.guard.label import Judged
    from proxy.http.message import RequestHead

EXAMPLES = settings(
    derandomize=True,
    max_examples=1500,
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


def _always_due(*_: object) -> bool:
    return True


def _take_for_a_restart(health: Health) -> None:
    """As if whoever was not there for a moment had begun anew."""
    if health.is_in_doubt:
        health.is_in_doubt = False
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


async def _unowned(guard: StartGuard, head: RequestHead, body: bytes, *, takes_turn: bool) -> Judged:
    return await guard._carry_out(head, body, takes_turn=takes_turn)


@dataclass(frozen=True)
class Mutant:
    """The guard without one of its rules."""

    without: str
    change: AbstractContextManager[Any]

    def __str__(self) -> str:
        return self.without


def method(owner: type, name: str, replacement: object) -> AbstractContextManager[Any]:
    return patch.object(owner, name, replacement)


@contextmanager
def _both(one: AbstractContextManager[Any], other: AbstractContextManager[Any]) -> Iterator[None]:
    with one, other:
        yield


MUTANTS = (
    Mutant("P1: every cancel is forwarded", patch("proxy.guard.ownership.judge_cancel", lambda *_: Forward())),
    Mutant("P2: an overtaken true is passed on", patch("proxy.guard.sending._with_reason", lambda judged, *_: judged)),
    Mutant("P3: starts are not held", patch("proxy.guard.start.judge_start", lambda _: StartVerdict.FORWARD)),
    Mutant("P3: starts of a session run side by side", method(Turns, "turn", _at_once)),
    Mutant("P4: nothing is cut", patch("proxy.guard.watch.events.is_terminal", lambda _: False)),
    Mutant("P5: no ending is synthesized", patch("proxy.guard.watch.events.synthesize", lambda *_: ("", b""))),
    Mutant("P6: a relay has no limit", patch("proxy.guard.watch.judge_relay", lambda *_: None)),
    Mutant("P7: nothing follows a cancel until it settles", method(Stopping, "pursue", lambda *_: None)),
    Mutant("P9: a stale cancel is not confirmed", method(CancelGuard, "_confirm", _confirmed)),
    Mutant("P9: answers are shared with anybody", patch("proxy.guard.cancel.fingerprint", lambda _: "")),
    Mutant(
        "P9: a refusal is shared",
        _both(
            method(CancelGuard, "_coalesce", _share_anything),
            patch("proxy.guard.ownership.judge_cancel", _coalesce_strangers),
        ),
    ),
    Mutant("P10: a start dies with its browser", method(StartGuard, "answer", _unowned)),
    Mutant("P11: a lost cancel is not repeated", method(Stopping, "_repeat", _nothing)),
    Mutant("P11: a worker is believed to be gone", method(Runs, "slot", lambda *_, **__: Slot.FREE)),
    Mutant(
        "F2: a spurious 409 is passed on", patch("proxy.guard.start.judge_conflict", lambda *_: ConflictVerdict.REAL)
    ),
    Mutant("F5: an answer does not wait for its event", method(Sending, "let_the_event_win", _nothing)),
    Mutant("F5: an ending does not wait for the answer", patch("proxy.guard.watch.let_the_answer_come", _nothing)),
    Mutant("F13: a cancel does not wait for the agent", method(Listening, "until", _at_its_arrival)),
    Mutant("F17: changes are not held", patch("proxy.guard.changes.judge_change", lambda _: StartVerdict.FORWARD)),
    Mutant("F20: a refused connection is a restart", method(Health, "answered", _take_for_a_restart)),
    Mutant("F23: every duplicate is forwarded", method(Stopping, "is_due", _always_due)),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_model_notices_a_guard_without(mutant: Mutant) -> None:
    with mutant.change, pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(Shell, settings=EXAMPLES)
