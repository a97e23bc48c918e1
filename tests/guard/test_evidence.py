"""What a refused cancel proves, and what it does not (F20)."""

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.core.observations import CancelAccepted, StreamSpoke, TurnStarted
from proxy.core.records import Ending
from proxy.guard.evidence import Evidence, Proof
from proxy.hermes.health import Run, Runs
from proxy.http.errors import BackendTooSlowError
from proxy.http.message import Answer, RequestHead
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend
    from proxy.backend.health import Health

HEAD = RequestHead("GET", b"/api/chat/cancel?stream_id=x")
STAMP = 1000.0
OPEN = {"session_id": "s", "terminal": False}
NOTHING = Proof(is_gone=False)


def journal(state: str) -> dict[str, Any]:
    return {"session_id": "s", "terminal": True, "terminal_state": state}


class Hermes:
    """What the stream's status and `/health` say."""

    def __init__(self, status: dict[str, Any] | None, runs: Runs | None, *, repeats: bool | None) -> None:
        self.repeats = repeats
        self.is_in_doubt = False
        self._status, self._runs = status, runs
        self.looks = 0

    async def ask_status(self, _stream_id: str, _caller: object) -> Answer:
        if self._status is None:
            raise BackendTooSlowError("no answer")
        return Answer(200, b"", (), json.dumps({"active": False, **self._status}).encode())

    async def reading(self) -> Runs | None:
        self.looks += 1
        return self._runs


async def proof_of(hermes: Hermes, *, hosted: bool | None) -> Proof:
    """What a refusal proves of a stream that is hosted, a runner's, or known from its relay only."""
    beliefs = ownership(Notes())
    await beliefs.turn_seen("s", TurnStarted(0.0, "x", hosted=hosted, stamp=STAMP if hosted else None))
    evidence = Evidence(cast("Backend", hermes), beliefs, cast("Health", hermes), live(answer_timeout=1.0))
    return await evidence.of_refusal(HEAD, "x")


@pytest.mark.parametrize("hosted", [True, False, None])
@pytest.mark.parametrize(("state", "ending"), [("completed", Ending.FINISHED), ("errored", Ending.FAILED)])
@in_virtual_time
async def test_an_end_of_its_own_in_the_journal_is_proof(state: str, ending: Ending, *, hosted: bool | None) -> None:
    hermes = Hermes({"journal": journal(state)}, Runs(), repeats=None)

    assert await proof_of(hermes, hosted=hosted) == Proof(is_gone=True, ending=ending)


@pytest.mark.parametrize("listed", [True, False])
@in_virtual_time
async def test_of_a_turn_that_is_being_stopped_its_own_end_is_no_proof(*, listed: bool) -> None:
    """Its worker may have said so and still unwind from the cancel, which spoils the next turn (F1)."""
    hermes = Hermes({"journal": journal("completed")}, Runs((Run("x"),) if listed else ()), repeats=False)
    beliefs = ownership(Notes())
    await beliefs.turn_seen("s", TurnStarted(0.0, "x", hosted=True, stamp=STAMP))
    await beliefs.judge_cancel("x", "me", "c-1")
    await beliefs.observe(CancelAccepted(0.0, "x", "c-1"))
    evidence = Evidence(cast("Backend", hermes), beliefs, cast("Health", hermes), live(answer_timeout=1.0))

    assert await evidence.of_refusal(HEAD, "x") == Proof(is_gone=not listed, ending=Ending.FINISHED)


@pytest.mark.parametrize("hosted", [False, None])
@pytest.mark.parametrize("repeats", [True, False, None])
@in_virtual_time
async def test_a_runners_turn_goes_on_whatever_else_is_said(*, hosted: bool | None, repeats: bool | None) -> None:
    """F20: there is no journal of it, and nobody lists it."""
    hermes = Hermes({"replay_available": False}, Runs(), repeats=repeats)

    assert await proof_of(hermes, hosted=hosted) == NOTHING


@in_virtual_time
async def test_where_a_cancel_finds_every_worker_its_refusal_is_proof() -> None:
    """F14: from v0.51.237 on; nobody has to be asked for it."""
    hermes = Hermes({"replay_available": False}, None, repeats=True)

    assert await proof_of(hermes, hosted=True) == Proof(is_gone=True)
    assert hermes.looks == 0


@in_virtual_time
async def test_a_backend_that_may_have_been_restarted_is_asked_for_it_all_the_same() -> None:
    """Then the turn is lost, which is the reason to tell."""
    hermes = Hermes({"replay_available": False}, Runs(), repeats=True)
    hermes.is_in_doubt = True

    assert (await proof_of(hermes, hosted=True)).is_gone
    assert hermes.looks == 1


@pytest.mark.parametrize(
    ("runs", "is_gone"), [(Runs(), True), (Runs((Run("y"),)), True), (Runs((Run("x"),)), False), (None, False)]
)
@in_virtual_time
async def test_where_it_does_not_the_worker_is_looked_for(runs: Runs | None, *, is_gone: bool) -> None:
    """F3: a stream leaves the backend's table at once, and its worker runs on."""
    hermes = Hermes({"replay_available": False}, runs, repeats=False)

    assert (await proof_of(hermes, hosted=True)).is_gone is is_gone


@in_virtual_time
async def test_a_turn_without_an_end_that_nobody_works_on_is_lost() -> None:
    """As after a restart of the backend."""
    hermes = Hermes({"journal": OPEN}, Runs(), repeats=None)

    assert await proof_of(hermes, hosted=None) == Proof(is_gone=True, ending=Ending.LOST)


@in_virtual_time
async def test_a_cancelled_turns_journal_is_no_proof_while_its_worker_is_listed() -> None:
    hermes = Hermes({"journal": journal("interrupted-by-user")}, Runs((Run("x"),)), repeats=False)

    assert await proof_of(hermes, hosted=True) == Proof(is_gone=False, ending=Ending.CANCELLED)


@in_virtual_time
async def test_a_stream_that_runs_after_all_is_not_gone() -> None:
    assert await proof_of(Hermes({"active": True}, Runs(), repeats=True), hosted=True) == NOTHING


@in_virtual_time
async def test_without_an_answer_nothing_is_proven() -> None:
    assert await proof_of(Hermes(None, Runs(), repeats=True), hosted=True) == NOTHING


@in_virtual_time
async def test_a_stream_that_nobody_knows_proves_nothing() -> None:
    evidence = Evidence(
        cast("Backend", None), ownership(Notes()), cast("Health", Hermes({}, Runs(), repeats=True)), live()
    )

    assert await evidence.of_refusal(HEAD, "x") == NOTHING
    assert not await evidence.of_supersession("x")


@pytest.mark.parametrize(
    ("hosted", "runs", "is_gone"), [(True, Runs(), True), (True, Runs((Run("x"),)), False), (False, Runs(), False)]
)
@in_virtual_time
async def test_a_successor_is_proof_only_with_a_worker_that_is_not_listed(
    runs: Runs, *, hosted: bool, is_gone: bool
) -> None:
    beliefs = ownership(Notes())
    await beliefs.turn_seen("s", TurnStarted(0.0, "x", hosted=hosted, stamp=STAMP))
    await beliefs.observe(StreamSpoke(0.0, "x"))
    hermes = Hermes({}, runs, repeats=True)
    evidence = Evidence(cast("Backend", hermes), beliefs, cast("Health", hermes), live())
    await asyncio.sleep(1)

    assert await evidence.of_supersession("x") is is_gone
