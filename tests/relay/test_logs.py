"""Which logs there are, how long they stay, and how much all of them hold (P7)."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from proxy.app.compose import limits_of
from proxy.config import Settings
from proxy.ownership.limits import Live
from proxy.relay.broadcast import Broadcast, Key
from proxy.relay.ends import Over
from proxy.relay.logs import MOST_KEPT, MOST_OF_ALL, Logs
from proxy.relay.retained import BLOCK

LIMIT = 4 * BLOCK
FRAME = b"data: " + b"x" * 1000 + b"\n\n"


class Turn:
    """A broadcast, as far as logs look at it."""

    def __init__(self, logs: Logs, number: int, limit: int = LIMIT) -> None:
        self._logs = logs
        self.key = Key(f"{number}")
        self.log = logs.make(limit)
        logs.put(self.itself)

    @property
    def itself(self) -> Broadcast:
        return cast("Broadcast", self)

    @property
    def is_whole(self) -> bool:
        return self.log.over is Over.TERMINAL

    def say(self, size: int) -> None:
        for _ in range(size // len(FRAME) + 1):
            self.log.send(FRAME)

    def end(self, over: Over = Over.TERMINAL) -> None:
        self.log.finish(over, None)
        self._logs.ended(self.itself)

    def close_if_done(self) -> None:
        if self.log.over is not None:
            self._logs.released(self.itself)


def made(**limits: float) -> Logs:
    return Logs(Live(replace(limits_of(Settings()), log=LIMIT, **limits)))  # type: ignore[arg-type]


def known(logs: Logs, turns: list[Turn]) -> list[int]:
    return [number for number, turn in enumerate(turns) if logs.get(turn.key)]


async def test_all_together_hold_so_much_and_what_is_over_goes_first_the_oldest_before_the_others() -> None:
    logs = made()
    turns = [Turn(logs, number) for number in range(2 * MOST_OF_ALL)]
    for turn in turns[:3]:
        turn.say(LIMIT)
        turn.end()
    for turn in turns[3:]:
        turn.say(LIMIT)

    assert logs.size <= MOST_OF_ALL * LIMIT + len(turns) * BLOCK
    assert known(logs, turns) == list(range(3, len(turns))), "those whose turns run are there still"
    logs.close()


async def test_then_the_longest_of_those_that_run_are_shortened() -> None:
    logs = made()
    long = Turn(logs, 0)
    turns = [Turn(logs, number, 64 * LIMIT) for number in range(1, 4)]
    long.say(LIMIT // 2)
    for turn in turns:
        turn.say(MOST_OF_ALL * LIMIT // 2)

    assert logs.size <= MOST_OF_ALL * LIMIT + 4 * BLOCK
    assert long.log.kept.begin == 0, "it is short"
    assert all(turn.log.kept.begin for turn in turns[:2])
    logs.close()


async def test_only_so_many_are_kept_of_turns_that_are_over() -> None:
    logs = made()
    turns = [Turn(logs, number) for number in range(MOST_KEPT + 2)]
    for turn in turns:
        turn.say(1)
        turn.end()

    assert known(logs, turns) == list(range(2, MOST_KEPT + 2))
    assert logs.size == MOST_KEPT * len(FRAME)
    logs.close()
    assert logs.size == 0
    assert not known(logs, turns)


async def test_what_broke_off_is_kept_for_nobody() -> None:
    logs = made()
    turn = Turn(logs, 0)
    turn.say(1)
    turn.end(Over.BROKEN)
    assert logs.get(turn.key) is None
    assert turn.log.kept.size == 0


async def test_a_log_is_kept_for_its_time() -> None:
    logs = made(log_keep=0.5)
    turn = Turn(logs, 0)
    turn.end()
    await asyncio.sleep(0.3)
    assert logs.get(turn.key) is turn.itself
    await asyncio.sleep(0.3)
    assert logs.get(turn.key) is None


@pytest.mark.parametrize(("log", "reattach"), [(LIMIT, 5.0), (0, 0.0)])
def test_without_logs_no_upstream_is_kept(log: int, reattach: float) -> None:
    assert Logs(Live(replace(limits_of(Settings()), log=log, reattach=5.0))).reattach == reattach
