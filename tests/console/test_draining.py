"""``drain``: begun, waited for, ended; against an admin listener that says what a test has it say."""

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from proxy.config import AdminSettings, UserError
from proxy.console import draining
from proxy.console.draining import Wanted, drain
from proxy.console.progress import Progress
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RESUME = "hermes-stream-guard drain --resume"


def told(state: str = "draining", *ages: float, held: int = 0, in_hermes: int | None = None) -> dict[str, Any]:
    """What `GET /api/drain` says."""
    turns = [{"age": age} for age in ages]
    return {"state": state, "hold": True, "held": held, "under_way": 0, "in_hermes": in_hermes, "turns": turns}


class Proxy:
    """Answers in order, and then the last for ever; notes what it was told to do."""

    def __init__(self, *answers: dict[str, Any] | UserError) -> None:
        self.answers = list(answers)
        self.told: list[Mapping[str, Any]] = []

    async def ask(self, path: str, said: "Mapping[str, Any] | None" = None) -> dict[str, Any]:
        assert path == "/api/drain"
        if said is not None:
            self.told.append(said)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, UserError):
            raise answer
        return answer


class Terminal:
    """What was written."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        self.text = ""
        self.progress = Progress(self._write, is_terminal=is_terminal)

    def _write(self, text: str) -> None:
        self.text += text

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    async def run(proxy: Proxy, terminal: Terminal, **wanted: Any) -> int:
        @contextmanager
        def asking(_admin: AdminSettings) -> "Iterator[Proxy]":
            yield proxy

        monkeypatch.setattr(draining, "asking", asking)
        return await drain(AdminSettings(), Wanted(**wanted), terminal.progress)

    return run


@in_virtual_time
async def test_it_begins_and_says_what_runs(run: Any) -> None:
    proxy, terminal = Proxy(told("draining", 3.0, 41.0)), Terminal()
    assert await run(proxy, terminal) == 0
    assert proxy.told == [{"action": "begin"}]
    assert terminal.lines == [
        "No new turn begins: what is sent is refused.",
        "2 turns run, the oldest for 41 s",
    ]


@in_virtual_time
async def test_it_resumes(run: Any) -> None:
    proxy, terminal = Proxy(told("serving")), Terminal()
    assert await run(proxy, terminal, resume=True) == 0
    assert (proxy.told, terminal.lines) == ([{"action": "resume"}], ["New turns begin again."])


@in_virtual_time
async def test_it_waits_until_the_last_turn_has_settled(run: Any) -> None:
    proxy = Proxy(told(), told("draining", 41.0, 3.0), told("draining", 41.5, held=1), told(held=1), told("settled"))
    terminal = Terminal()
    assert await run(proxy, terminal, hold=True, timeout=600.0) == 0
    assert proxy.told == [{"action": "begin", "hold": True}]
    assert terminal.lines == [
        "No new turn begins: what is sent is held until Hermes is back after a restart.",
        "2 turns run, the oldest for 41 s",
        "1 turn runs, the oldest for 41 s; 1 new one is held",
        "the last turn settles; 1 new one is held",
        f"No turn runs any more. Restart Hermes now: what is held goes on by itself ({RESUME} if you do not).",
    ]
    assert asyncio.get_running_loop().time() == 3 * draining.INTERVAL


@in_virtual_time
async def test_a_turn_that_only_hermes_knows_of_is_counted(run: Any) -> None:
    terminal = Terminal()
    await run(Proxy(told(), told(in_hermes=1), told("settled")), terminal, timeout=600.0)
    assert terminal.lines[1] == "1 turn runs"
    assert terminal.lines[-1] == f"No turn runs any more. Restart Hermes now, and then: {RESUME}"


@in_virtual_time
async def test_on_a_terminal_one_line_is_written_over(run: Any) -> None:
    terminal = Terminal(is_terminal=True)
    await run(Proxy(told(), told("draining", 1.0), told("draining", 1.5), told("settled")), terminal, timeout=600.0)
    _, first, second, last = terminal.text.split("\r\x1b[K")
    assert (first, second) == ("1 turn runs, the oldest for 1.0 s", "1 turn runs, the oldest for 1.5 s")
    assert last.startswith("No turn runs any more.")


@in_virtual_time
async def test_at_its_limit_it_says_what_still_runs_and_ends_with_one(run: Any) -> None:
    terminal = Terminal()
    assert await run(Proxy(told("draining", 41.0)), terminal, timeout=10.0) == 1
    assert asyncio.get_running_loop().time() == 10
    assert terminal.lines[-1] == (
        f"Turns still run after 10 s: 1 turn runs, the oldest for 41 s. {RESUME} ends the drain."
    )


@in_virtual_time
async def test_a_drain_that_somebody_else_ends_is_no_success(run: Any) -> None:
    terminal = Terminal()
    assert await run(Proxy(told(), told("draining", 1.0), told("serving")), terminal, timeout=600.0) == 1
    assert "ended before the last turn had settled" in terminal.lines[-1]


@in_virtual_time
async def test_a_proxy_that_ends_meanwhile_is_an_error(run: Any) -> None:
    with pytest.raises(UserError, match="gone"):
        await run(Proxy(told(), told("draining", 1.0), UserError("gone")), Terminal(), timeout=600.0)
