"""What needs attention: the sentences of the status page, word for word."""

import ast
from pathlib import Path
from typing import Any

import pytest

from proxy.console import diagnosis
from proxy.console.diagnosis import concerns, is_ready
from tests.ops.admin.arranged import away, busy, over, quiet, waiting
from tests.ops.admin.conftest import Guard

PAGE = Path(__file__).parents[2] / "proxy/ops/admin/page/diagnosis.js"


async def seen(guard: Guard) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return await guard.views().status(), (await guard.views().cancels(10))["cancels"]


async def said(guard: Guard) -> list[tuple[str, str]]:
    return [(concern.mood, concern.text) for concern in concerns(*await seen(guard))]


def texts(source: str) -> set[str]:
    """Whatever is said in code: its texts of several words, each without what is filled in."""
    tree = ast.parse(source)
    comments = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    said = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in comments)
    found = {node.value.strip() for node in said if isinstance(node.value, str)}
    return {text for text in found if len(text.split()) > 2}


def test_the_page_has_every_sentence() -> None:
    """Nobody has to learn two."""
    page = PAGE.read_text()
    said = texts(Path(diagnosis.__file__).read_text())
    assert len(said) > 15
    assert [text for text in sorted(said) if text not in page] == []


async def test_all_is_well(guard: Guard) -> None:
    quiet(guard)
    assert await said(guard) == [("good", "All is well: Hermes answers, and no Stop is stuck.")]
    assert is_ready((await seen(guard))[0])


async def test_a_hermes_that_is_away_or_silent(guard: Guard) -> None:
    waiting(guard)
    ((mood, text),) = await said(guard)
    assert (mood, text.partition(" at ")[0]) == ("note", "Hermes was asked")
    guard.waiting_since = None
    away(guard)
    ((mood, text),) = await said(guard)
    assert (mood, text.rpartition(". ")[2]) == ("bad", "Nothing can be stopped or started until it does.")
    assert not is_ready((await seen(guard))[0])


@pytest.mark.parametrize("state", ["draining", "settled"])
async def test_a_drain_with_what_it_holds(guard: Guard, state: Any) -> None:
    guard.drain.state, guard.drain.held = state, 2
    (_, drains), (_, holds) = await said(guard)
    assert "drain" in drains
    assert holds == "2 new turns are held until Hermes is back after its restart."
    assert not is_ready((await seen(guard))[0])


async def test_a_stop_that_is_stuck_is_told_before_what_only_waits(guard: Guard) -> None:
    busy(guard)
    guard.now += 3
    found = await said(guard)
    assert found[0] == ("bad", "The Stop of 57ea3000 is stuck: no event has told every tab.")
    assert {mood for mood, _ in found[1:]} == {"note"}


async def test_stops_that_ended_badly(guard: Guard) -> None:
    over(guard)
    texts = [text for mood, text in await said(guard) if mood == "bad"]
    assert any("never settled: " in text for text in texts)
    assert any(text.endswith("got no answer from Hermes.") for text in texts)


async def test_a_turn_that_was_not_stopped_counts_by_its_last_stop(guard: Guard) -> None:
    status, _ = await seen(guard)
    stop = {"stream": "x", "outcome": "unsettled", "age": 9.0, "receipt": {"slot": "busy", "missing": ["slot_free"]}}
    ((_, text),) = [(one.mood, one.text) for one in concerns(status, [stop, stop])]
    assert text == (
        "Hermes did not stop 1 turn of the last minutes: its worker was never seen to end."
        " Press Stop again, or start Hermes anew."
    )
    settled = {**stop, "outcome": "settled"}
    assert concerns(status, [settled, stop])[0].mood == "good"
    assert concerns(status, [{**stop, "age": 700.0}])[0].mood == "good"


async def test_full_lanes_held_starts_and_mistakes(guard: Guard) -> None:
    status, _ = await seen(guard)
    status["lanes"]["relays"] = {"in_use": 80, "limit": 80}
    found = concerns({**status, "starts_waiting": 1, "internal_errors": 2}, [])
    assert [concern.text for concern in found] == [
        "All 80 connections of the lane relays are in use: another tab cannot follow its turn (503).",
        "The proxy made 2 mistakes and let those requests pass unguarded; its log says more.",
        "1 next turn waits until the stopped one has settled.",
    ]
