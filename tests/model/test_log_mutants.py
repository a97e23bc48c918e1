"""Whether the model of logs can fail: one rule at a time is taken out, and it must notice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from proxy.relay.cursor import Cursor
from proxy.relay.ends import Over, Piece
from proxy.relay.log import Log
from proxy.relay.retained import Retained
from tests.model.test_logs import LogModel

_send, _read, _give = Cursor._send, Retained.read, Log.give


def _twice(cursor: Cursor, chunk: bytes) -> None:
    _send(cursor, chunk)
    cursor._browser.send(chunk)


def _skips(cursor: Cursor, _chunk: bytes, until: int, _piece: Piece | None) -> None:
    """A browser that is slow is not sent what comes meanwhile."""
    if cursor.is_ready:
        _follow(cursor, _chunk, until, _piece)
    else:
        cursor.at = until


def _overtakes(cursor: Cursor, chunk: bytes, _until: int, _piece: Piece | None) -> None:
    """What comes is sent before what waits."""
    if chunk:
        cursor._send(chunk)


def _from_the_end(retained: Retained, at: int) -> bytes:
    """What waits is sent from somewhere else."""
    return _read(retained, min(at + 10, retained.end - 1))


def _first_only(log: Log, over: Over, error: Exception | None) -> None:
    log.over, log.error = over, error
    for follower in log._followers[:1]:
        follower.wake()


def _to_all(log: Log, piece: Piece) -> None:
    if piece.once:
        for follower in log._followers:
            follower.take(piece)
    else:
        _give(log, piece)


_follow = Cursor.follow

MUTANTS: dict[str, tuple[type, str, Callable[..., Any]]] = {
    "P4: a frame comes twice": (Cursor, "_send", _twice),
    "P4: a frame is lost": (Cursor, "follow", _skips),
    "P4: a frame overtakes others": (Cursor, "follow", _overtakes),
    "P4: what waits is read from the wrong place": (Retained, "read", _from_the_end),
    "P5: an ending reaches one browser only": (Log, "finish", _first_only),
    "P7: nothing is ever dropped": (Retained, "trim", lambda *_: None),
    "F18: everybody is sent what is for one": (Log, "give", _to_all),
    "a browser that is slow holds nobody back": (Log, "is_full", property(lambda _: False)),  # type: ignore[dict-item]
}


@contextmanager
def _without(mutant: tuple[type, str, Callable[..., Any]]) -> Iterator[None]:
    with patch.object(*mutant):
        yield


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_the_model_notices(mutant: tuple[type, str, Callable[..., Any]]) -> None:
    hasty = settings(
        max_examples=2000,  # the search is another one whenever other modules are loaded
        stateful_step_count=40,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    with _without(mutant), pytest.raises(Exception):  # noqa: B017, PT011 - an AssertionError, or a group of them
        run_state_machine_as_test(LogModel, settings=hasty)
