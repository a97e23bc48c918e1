"""What the status page shows, as text for a terminal."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from proxy.console.diagnosis import Mood, concerns, did_not_stop
from proxy.console.words import MISSING, duration, time_of_day

Paint = Callable[[str, Mood], str]
"""Colours a text by how much it matters, or leaves it as it is."""

Said = dict[str, Any]

_STATES: Final = {"running": "running", "cancel_sent": "Stop sent", "settling": "settling"}
_OUTCOMES: Final = {"under_way": "settling", "unsettled": "never settled", "refused": "too late", "passed": "passed on"}


def as_text(status: Said, streams: list[Said], cancels: list[Said], paint: Paint) -> str:
    """Blocks of lines: what needs attention first."""
    sentences = [paint(concern.text, concern.mood) for concern in concerns(status, cancels)]
    about = (
        f"guards {status['upstream']} on {status['listening']}, version {status['version']},"
        f" up {duration(status['uptime'])}"
    )
    blocks = ([about], sentences, _streams(streams), _cancels(cancels), _lanes(status["lanes"]))
    return "\n\n".join("\n".join(block) for block in blocks)


def _streams(streams: list[Said]) -> list[str]:
    if not streams:
        return ["No turn runs."]
    rows = [
        (turn["session"] or "-", turn["stream"], _state(turn), duration(turn["age"]), str(turn["relays"]))
        for turn in streams
    ]
    return _table(("Session", "Stream", "State", "For", "Tabs"), rows)


def _state(turn: Said) -> str:
    return "ended unseen" if turn["in_hermes"] is False else _STATES[turn["state"]]


def _cancels(cancels: list[Said]) -> list[str]:
    if not cancels:
        return ["Nobody has pressed Stop yet."]
    rows = [(stop["stream"], time_of_day(stop["at"]), _outcome(stop), _receipt(stop)) for stop in cancels]
    return _table(("Stop of", "At", "Outcome", "Receipt"), rows)


def _outcome(stop: Said) -> str:
    return "did not stop" if did_not_stop(stop) else _OUTCOMES.get(stop["outcome"], str(stop["outcome"]))


def _receipt(stop: Said) -> str:
    receipt = stop["receipt"]
    if receipt is None:
        return "none"
    if receipt["missing"]:
        return "; ".join(MISSING[step] for step in receipt["missing"])
    again = f", sent to Hermes again: {receipt['repeats']}" if receipt["repeats"] else ""
    return f"after {duration(receipt['took'])}{again}" if "took" in receipt else "complete"


def _lanes(lanes: Said) -> list[str]:
    rows = [(name, str(lane["in_use"]), str(lane["limit"])) for name, lane in lanes.items()]
    return _table(("Lane", "In use", "Of"), rows)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
