"""What needs attention, in sentences: those of the status page (`proxy/ops/admin/page/diagnosis.js`)."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from proxy.console.words import MISSING, count, time_of_day

_SLOW: Final = 2.0
"""Seconds after which a Stop that has not settled is worth a sentence."""

_RECENT: Final = 600.0
"""Seconds for which one that never did is."""

_CONSEQUENCES: Final = {
    "control": "a Stop has to wait.",
    "calls": "pages load slowly or not at all.",
    "relays": "another tab cannot follow its turn (503).",
}

Mood = Literal["bad", "note", "good"]
Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Concern:
    """A sentence, and how much it matters."""

    mood: Mood
    text: str


def concerns(status: Said, cancels: list[Said]) -> list[Concern]:
    """The worst first; never nothing."""
    about_stops = (_unstopped, _slow, _unsettled, _failed)
    found = [
        *(one for rule in (_backend, _lanes) for one in rule(status)),
        *(one for rule in about_stops for one in rule(cancels)),
        *(one for rule in (_mistakes, _draining, _held_over, _held) for one in rule(status)),
    ]
    well = Concern("good", "All is well: Hermes answers, and no Stop is stuck.")
    return sorted(found, key=lambda concern: concern.mood != "bad") or [well]


def is_ready(status: Said) -> bool:
    """Whether new turns begin, as `/readyz` has it."""
    return status["state"] == "serving" and bool(status["backend"]["reachable"])


def did_not_stop(stop: Said) -> bool:
    """Whether its worker was there to the last (P11)."""
    return bool(stop["outcome"] == "unsettled" and stop["receipt"].get("slot") == "busy")


def _backend(status: Said) -> list[Concern]:
    backend = status["backend"]
    if backend["waiting_since"]:
        at = time_of_day(backend["waiting_since"])
        return [Concern("note", f"Hermes was asked at {at} whether it is well, and has not answered yet.")]
    if backend["reachable"]:
        return []
    since = time_of_day(backend["away_since"])
    return [Concern("bad", f"Hermes has not answered since {since}. Nothing can be stopped or started until it does.")]


def _draining(status: Said) -> list[Concern]:
    texts = {
        "draining": "The proxy is draining: no new turn can begin, and those that run come to their end.",
        "settled": "The proxy has drained: nothing runs, and Hermes can be restarted.",
    }
    return [Concern("note", texts[status["state"]])] if status["state"] in texts else []


def _lanes(status: Said) -> list[Concern]:
    full = [(name, lane["limit"]) for name, lane in status["lanes"].items() if lane["in_use"] >= lane["limit"]]
    return [
        Concern("bad", f"All {limit} connections of the lane {name} are in use: {_CONSEQUENCES[name]}")
        for name, limit in full
    ]


def _slow(cancels: list[Said]) -> list[Concern]:
    slow = [stop for stop in cancels if stop["outcome"] == "under_way" and stop["age"] > _SLOW]
    return [
        Concern("bad", f"The Stop of {stop['stream']} is stuck: {MISSING[stop['receipt']['missing'][0]]}.")
        for stop in slow
    ]


def _unstopped(cancels: list[Said]) -> list[Concern]:
    """Turns that go on as far as anybody knows: what counts is the last Stop of each, which comes first."""
    last = {stop["stream"]: stop for stop in reversed(cancels)}.values()
    number = sum(did_not_stop(stop) and stop["age"] < _RECENT for stop in last)
    workers = "its worker was" if number == 1 else "their workers were"
    text = f"Hermes did not stop {count(number, 'turn')} of the last minutes: {workers} never seen to end."
    return [Concern("bad", f"{text} Press Stop again, or start Hermes anew.")] if number else []


def _unsettled(cancels: list[Said]) -> list[Concern]:
    found = [
        stop for stop in cancels if stop["outcome"] == "unsettled" and not did_not_stop(stop) and stop["age"] < _RECENT
    ]
    missing = dict.fromkeys(MISSING[step] for stop in found for step in stop["receipt"]["missing"])
    text = f"{count(len(found), 'Stop')} of the last minutes never settled: {'; '.join(missing)}."
    return [Concern("bad", text)] if found else []


def _failed(cancels: list[Said]) -> list[Concern]:
    number = sum(stop["outcome"] == "failed" and stop["age"] < _RECENT for stop in cancels)
    text = f"{count(number, 'Stop')} of the last minutes got no answer from Hermes."
    return [Concern("bad", text)] if number else []


def _held(status: Said) -> list[Concern]:
    text = count(status["starts_waiting"], "next turn waits", "next turns wait")
    return [Concern("note", f"{text} until the stopped one has settled.")] if status["starts_waiting"] else []


def _held_over(status: Said) -> list[Concern]:
    text = count(status["held"], "new turn is", "new turns are")
    return [Concern("note", f"{text} held until Hermes is back after its restart.")] if status["held"] else []


def _mistakes(status: Said) -> list[Concern]:
    number = status["internal_errors"]
    text = f"The proxy made {count(number, 'mistake')} and let those requests pass unguarded; its log says more."
    return [Concern("bad", text)] if number else []
