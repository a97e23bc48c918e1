"""Interleavings that once broke a promise, as the model found them: played again, step by step."""

from typing import Any

import pytest

from tests.model.test_shell import Step, replay

_HABITS: dict[str, Any] = {
    "fences": False,
    "repeats": True,
    "unwind": 0.05,
    "event_after": 0.0,
    "answer_after": 0.0,
    "finishes": False,
    "lingers": False,
    "health": False,
    "deaf": 0.0,
    "tail": 0.01,
    "runner": False,
}


def stop_then_send(watched: float, before: float = 0.0) -> Step:
    return "stop_then_send", {"session": "s", "watched": watched, "presses": 1, "before": before, "length": 0.3}


def send_elsewhere(watched: float) -> Step:
    return "stop_then_send", {"session": "t", "watched": watched, "presses": 2, "before": 0.02, "length": 0.3}


def stop(caller: str) -> Step:
    return "stop", {"pick": 0, "caller": caller}


def find_no_connection(count: int) -> Step:
    return "find_no_connection", {"count": count}


RESTART: Step = ("restart_the_proxy", {"chance": 0})
OPEN_TAB: Step = ("open_tab", {"pick": 0})
GIVE_UP: Step = ("give_up", {"pick": 0})

FOUND: dict[str, tuple[dict[str, Any], list[Step]]] = {
    "F1: an own end was taken for proof that a cancelled worker is gone": (
        {"repeats": False, "finishes": True, "health": True},
        [stop_then_send(0.5), stop("you")],
    ),
    "F1: the same of a Stop whose answer was late": (
        {"repeats": False, "finishes": True, "health": True, "answer_after": 2.0, "deaf": 2.0},
        [stop_then_send(0.5), find_no_connection(1), RESTART, OPEN_TAB, stop("me"), stop("me")],
    ),
    "P11: a late acceptance was not gone on with": (
        {"finishes": True, "unwind": 3.0, "event_after": 2.0, "answer_after": 2.0},
        [stop_then_send(0.5), stop("me")],
    ),
    "F5: the second caller's answer came with the event": (
        {},
        [stop_then_send(0.02), stop_then_send(0.02, 0.02), find_no_connection(2), stop("you")],
    ),
    "P2: a repetition's answer was true of a turn that had come to its own end": (
        {"fences": True, "finishes": True, "answer_after": 0.01, "deaf": 0.3},
        [
            stop_then_send(0.02),
            stop_then_send(0.02, 0.001),
            find_no_connection(1),
            stop("you"),
            stop_then_send(0.02),
        ],
    ),
    "P11: verify took two Stops that shared an answer for one that was misled": (
        {"unwind": 0.4},
        [stop_then_send(0.5, 0.001), stop("you"), stop("you")],
    ),
    "P11: verify took the past of a stopped turn, shown after a restart of the proxy, for a turn that goes on": (
        {"fences": True, "health": True, "event_after": 0.01, "unwind": 0.4, "lingers": True},
        [stop_then_send(0.5, 0.1), RESTART, stop_then_send(0.5, 0.1), send_elsewhere(0.02)],
    ),
    "F5: the model took a Stop that waits for a worker for one that is answered late": (
        {"unwind": 0.4},
        [stop_then_send(0.5, 0.001), GIVE_UP, GIVE_UP, stop("you")],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_it_does_not_happen_again(name: str) -> None:
    habits, steps = FOUND[name]
    replay([("begin", _HABITS | habits), *steps])
