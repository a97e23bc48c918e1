"""``status``: what the status page shows, on a terminal or as JSON."""

import asyncio
import json
from typing import Any

import pytest

from proxy.config import AdminSettings, UserError
from proxy.console.client import AdminClient
from proxy.console.looking import INTERVAL, status, watch
from tests.ops.admin.arranged import away, busy, over, quiet
from tests.ops.admin.conftest import Guard, Operator, Serve


def plain(text: str, _mood: str) -> str:
    return text


def of(operator: Operator) -> AdminSettings:
    return AdminSettings(port=operator.port)


async def shown(operator: Operator, **options: Any) -> tuple[int, str]:
    said: list[str] = []
    code = await status(of(operator), said.append, plain, **options)
    return code, "\n".join(said)


async def test_nothing_has_happened(serve: Serve, guard: Guard) -> None:
    quiet(guard)
    code, text = await shown(await serve())
    assert code == 0
    about, sentence, streams, stops, lanes = text.split("\n\n")
    assert about == "guards http://hermes:8787 on http://127.0.0.1:8788, version 1.2.3, up 0 ms"
    assert sentence == "All is well: Hermes answers, and no Stop is stuck."
    assert (streams, stops) == ("No turn runs.", "Nobody has pressed Stop yet.")
    assert lanes.splitlines() == ["Lane     In use  Of", "control  1       16", "relays   3       80"]


async def test_turns_and_stops_are_shown_in_tables(serve: Serve, guard: Guard) -> None:
    busy(guard)
    code, text = await shown(await serve())
    assert code == 1, "it drains"
    _, _, streams, stops, _ = text.split("\n\n")
    assert streams.splitlines() == [
        "Session   Stream    State     For        Tabs",
        "-         07e4e4e4  running   10 s       0",
        "5e551014  57ea3000  settling  1 min 0 s  2",
    ]
    assert stops.splitlines()[1].startswith("57ea3000  ")
    assert stops.endswith(
        "settling  no event has told every tab; it has not been answered; Hermes' worker has not been seen to end"
    )


async def test_a_turn_that_hermes_does_not_run_any_more_is_said_to_have_ended(serve: Serve, guard: Guard) -> None:
    busy(guard)
    guard.runs = False
    _, text = await shown(await serve())
    assert "07e4e4e4  ended unseen" in text


async def test_every_outcome_is_shown(serve: Serve, guard: Guard) -> None:
    over(guard)
    code, text = await shown(await serve())
    assert code == 1
    for outcome in ("settled", "never settled", "stale", "too late", "unanswered"):
        assert f"  {outcome} " in text


async def test_it_ends_with_one_while_hermes_is_away(serve: Serve, guard: Guard) -> None:
    away(guard)
    code, text = await shown(await serve())
    assert code == 1
    assert "Hermes has not answered since" in text


async def test_json_is_what_the_calls_answer(serve: Serve, guard: Guard) -> None:
    busy(guard)
    operator = await serve()
    _, text = await shown(operator, as_json=True)
    printed = json.loads(text)
    assert list(printed) == ["status", "streams", "cancels", "drain"]
    assert printed["streams"] == (await operator.ask("/api/streams")).json["streams"]
    assert printed["drain"]["held"] == 2


async def test_watching_goes_on_when_the_proxy_ends(
    serve: Serve, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = await serve()
    said: list[str] = []
    pauses: list[float] = []

    async def gone(*_: object) -> dict[str, object]:
        raise UserError("The running proxy could not be asked")

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        guard.drain.state = "draining"
        if len(pauses) == 2:
            monkeypatch.setattr(AdminClient, "ask", gone)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr("proxy.console.looking.asyncio.sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        await watch(of(operator), said.append, plain)
    assert pauses == [INTERVAL] * 4
    assert said[0].startswith("\x1b[H\x1b[2Jguards ")
    assert "The proxy is draining" in said[1]
    assert said[2:] == ["\x1b[H\x1b[2JThe running proxy could not be asked"] * 2


async def test_watching_begins_with_a_proxy_that_answers(unused_tcp_port: int) -> None:
    with pytest.raises(UserError, match="is it running"):
        await watch(AdminSettings(port=unused_tcp_port), print, plain)
