"""`verify` on good traces, recorded by `traces/record.py`, and on traces doctored so that one promise is broken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.ops.verify import TraceError, TraceFileError, Violation, known, verify, verify_files

TRACES = Path(__file__).parent / "traces"
RELEASES = ("v0.51.195", "v0.51.265", "v0.52.262")


class Doctored:
    """A good trace, to be edited line by line."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    def find(self, event: str, *, after: int = 0, **fields: Any) -> int:
        """The first such line, from 0."""
        for index, line in enumerate(self.lines[after:], after):
            if line["event"] == event and fields.items() <= line.items():
                return index
        raise AssertionError(f"no {event} with {fields}")

    def drop(self, event: str, **fields: Any) -> None:
        del self.lines[self.find(event, **fields)]

    def edit(self, index: int, **fields: Any) -> None:
        self.lines[index].update(fields)

    def insert(self, index: int, event: str, **fields: Any) -> None:
        """Adds a line before `index`, at the time of the one before that."""
        self.lines.insert(index, {"t": self.lines[index - 1]["t"], "event": event, **fields})

    def append(self, seconds: float, event: str, **fields: Any) -> None:
        """Adds a last line, so much later."""
        self.lines.append({"t": self.lines[-1]["t"] + seconds, "event": event, **fields})

    def delay(self, index: int, seconds: float) -> None:
        """Has the line, and all that follows, happen so much later."""
        for line in self.lines[index:]:
            line["t"] += seconds

    def cut(self, index: int) -> None:
        """Ends the trace before the line."""
        del self.lines[index:]

    def violations(self) -> list[Violation]:
        return verify(json.dumps(line) for line in self.lines)

    def only(self, promise: str, *lines: int) -> str:
        """The sentence of the one violation there is; it is of this promise, and shown by these lines (from 0)."""
        (violation,) = self.violations()
        assert violation.promise == promise
        assert violation.lines == tuple(line + 1 for line in lines)
        return violation.sentence


def _read(release: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TRACES / f"{release}.jsonl").read_text().splitlines()]


@pytest.fixture
def trace() -> Doctored:
    return Doctored(_read("v0.52.262"))


@pytest.fixture
def began(trace: Doctored) -> Doctored:
    """A trace of a proxy that has just begun."""
    trace.cut(1)
    return trace


def _stream_of(trace: Doctored, index: int) -> str:
    line = trace.lines[index]
    return str(line.get("stream") or line["stream_id"])


def _ends(violations: list[Violation]) -> list[str]:
    return [violation.promise for violation in violations]


# -- good traces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_a_good_trace_is_clean(release: str) -> None:
    lines = _read(release)
    assert Doctored(lines).violations() == []
    seen = {line["event"] for line in lines}
    assert {"cancel_confirmed", "start_held", "browser_left", "upstream_closed", "cancel_settled"} <= seen


@pytest.mark.parametrize("release", RELEASES)
def test_a_trace_that_begins_or_ends_anywhere_is_clean(release: str) -> None:
    begun, *lines = _read(release)
    for cut in range(len(lines)):
        assert Doctored([{**begun, "part": 2, "t": lines[cut]["t"]}, *lines[cut:]]).violations() == []
        assert Doctored([begun, *lines[:cut]]).violations() == []


def test_the_parts_of_a_rotation_are_one_trace(trace: Doctored) -> None:
    index = trace.find("start_forwarded", held=True)
    trace.drop("observed", what="SlotSeen", slot="fenced")
    trace.lines.insert(index - 1, {**trace.lines[0], "part": 2})
    assert _ends(trace.violations()) == ["P3"]


@pytest.mark.parametrize("anew", [{"part": 3}, {"run": "another", "part": 1}])
def test_after_a_gap_or_a_restart_nothing_is_taken_for_known(trace: Doctored, anew: dict[str, Any]) -> None:
    index = trace.find("start_forwarded", held=True)
    trace.drop("observed", what="SlotSeen", slot="fenced")
    trace.lines.insert(index - 1, {**trace.lines[0], "t": trace.lines[index - 1]["t"], **anew})
    trace.cut(index + 1)
    assert trace.violations() == []


def test_what_waits_when_limits_change_is_measured_by_neither(trace: Doctored) -> None:
    """It goes on with the limit that it began with, and the trace does not say which that was."""
    settled = trace.find("cancel_settled")
    trace.delay(settled, 3.0)
    limits = {**trace.lines[0]["settings"], "settle_timeout": 0.1}
    begun = {**trace.lines[0], "part": 2, "settings": limits, "t": trace.lines[settled - 1]["t"]}
    trace.lines.insert(settled, begun)
    trace.cut(settled + 2)
    assert trace.violations() == []


def test_what_begins_afterwards_is_measured_by_the_new_limits(trace: Doctored) -> None:
    settled = trace.find("cancel_settled")
    trace.delay(settled, 3.0)
    limits = {**trace.lines[0]["settings"], "settle_timeout": 0.1}
    trace.lines.insert(1, {**trace.lines[0], "part": 2, "settings": limits})
    trace.cut(settled + 2)
    assert _ends(trace.violations()) == ["P7"]


def test_lost_events_are_a_gap(trace: Doctored) -> None:
    index = trace.find("start_forwarded", held=True)
    trace.drop("observed", what="SlotSeen", slot="fenced")
    trace.insert(index - 1, "trace_gap", dropped=1)
    assert trace.violations() == []


def test_unknown_events_say_nothing(trace: Doctored) -> None:
    trace.insert(5, "cancel_pondered")
    assert trace.violations() == []


def test_what_the_guard_forgets_is_no_evidence(trace: Doctored) -> None:
    judged = _forward_stale(trace)
    settings = trace.lines[0]["settings"]
    trace.lines[0]["settings"] = {**settings, "forget_after": 0.0}
    assert trace.violations() == []
    trace.lines[0]["settings"] = {**settings, "sessions": 1}
    trace.insert(judged, "observed", session="session-2", what="TurnStarted", stream_id="another")
    assert trace.violations() == []


def test_what_the_guard_may_have_forgotten_is_still_evidence_of_an_end(trace: Doctored) -> None:
    trace.lines[0]["settings"]["sessions"] = 1
    trace.insert(1 + trace.find("relay_ended"), "observed", session="s", what="TurnStarted", stream_id="x")
    assert trace.violations() == []


def test_requests_of_long_ago_are_forgotten(trace: Doctored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_MOST", 3)
    assert trace.violations() == []


def test_only_the_last_ends_of_a_session_are_evidence(trace: Doctored) -> None:
    judged = _forward_stale(trace)
    for number in range(40):
        trace.insert(judged, "observed", session="session-1", what="TurnStarted", stream_id=f"more-{number}")
    assert trace.violations() == []


# -- P1: no stale forward -------------------------------------------------------------------------


def _forward_stale(trace: Doctored) -> int:
    """Has the first stale cancel forwarded, and refused by the backend; where it is judged."""
    judged = trace.find("cancel_judged", verdict="stale")
    stream, cancel = _stream_of(trace, judged), trace.lines[judged]["cancel"]
    trace.edit(judged, verdict="forward")
    trace.edit(judged + 1, event="cancel_forwarded")
    trace.edit(judged + 2, what="CancelRefused")
    assert trace.lines[judged + 3]["cancel"] == cancel
    trace.edit(judged + 3, verdict="forwarded")
    assert trace.find("observed", what="StreamEnded", stream_id=stream) < judged
    return judged


def test_p1_a_cancel_of_an_ended_stream_is_forwarded(trace: Doctored) -> None:
    judged = _forward_stale(trace)
    ended = trace.find("observed", what="StreamEnded", stream_id=_stream_of(trace, judged))
    assert "had ended" in trace.only("P1", ended, judged, judged + 1)


def test_p1_a_cancel_of_a_superseded_stream_is_forwarded(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="old")
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="new")
    began.append(0, "cancel_judged", stream="old", cancel="c-1", verdict="forward", shared=None)
    began.append(0, "cancel_forwarded", stream="old", cancel="c-1")
    assert "had ended" in began.only("P1", 2, 3, 4)


def test_p1_an_end_while_the_cancel_is_on_its_way_is_none_of_its_faults(trace: Doctored) -> None:
    forwarded = trace.find("cancel_forwarded")
    ended = dict(trace.lines[trace.find("observed", what="StreamEnded", stream_id=_stream_of(trace, forwarded))])
    trace.insert(forwarded, **{name: value for name, value in ended.items() if name != "t"})
    assert trace.violations() == []


def test_p1_a_record_that_the_backend_corrected_is_forwarded_rightly(trace: Doctored) -> None:
    judged = _forward_stale(trace)
    stream, session = _stream_of(trace, judged), trace.lines[judged + 2]["session"]
    status = {"what": "StatusSeen", "session": session, "stream_id": stream, "active": True, "ending": None}
    trace.insert(judged, "observed", **status)
    assert trace.violations() == []


def test_p1_a_cancel_judged_stale_is_forwarded(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="stale")
    line = trace.lines[judged]
    trace.insert(judged + 1, "cancel_forwarded", stream=line["stream"], cancel=line["cancel"])
    assert "judged stale, and forwarded" in trace.only("P1", judged, judged + 1)


def test_p1_a_second_cancel_is_forwarded_while_the_first_is_under_way(trace: Doctored) -> None:
    first = trace.find("cancel_judged", verdict="coalesce") - 1
    trace.cut(first + 2)
    trace.edit(first + 1, verdict="forward")
    line = trace.lines[first + 1]
    trace.append(0, "cancel_forwarded", stream=line["stream"], cancel=line["cancel"])
    assert "while another one was under way" in trace.only("P1", first, first + 1, first + 2)


# -- P2: honest answer ----------------------------------------------------------------------------


def test_p2_true_though_the_backend_accepted_nothing(trace: Doctored) -> None:
    trace.drop("observed", what="CancelAccepted")
    assert "accepted none" in trace.only("P2", trace.find("cancel_answered", verdict="forwarded"))


def test_p2_true_though_the_turn_had_ended_by_itself(trace: Doctored) -> None:
    accepted = trace.find("observed", what="CancelAccepted")
    ended = trace.find("observed", what="StreamEnded", stream_id=_stream_of(trace, accepted))
    trace.edit(ended, ending="finished")
    answered = trace.find("cancel_answered", after=accepted)
    assert "had ended before" in trace.only("P2", ended, accepted, answered)


def test_p2_true_for_a_duplicate_that_came_after_the_settling(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="replay")
    replay, answer = trace.lines[judged], trace.lines[judged + 1]
    del trace.lines[judged : judged + 2]
    settled = trace.find("cancel_settled", stream=replay["stream"])
    trace.insert(settled + 1, **{name: value for name, value in replay.items() if name != "t"})
    trace.insert(settled + 2, **{name: value for name, value in answer.items() if name != "t"})
    assert "after its settling" in trace.only("P2", settled, settled + 2)


def test_p2_the_backends_own_answer_passes_after_an_internal_error(trace: Doctored) -> None:
    accepted = trace.find("observed", what="CancelAccepted")
    stream = _stream_of(trace, accepted)
    cancel = trace.lines[trace.find("cancel_forwarded", stream=stream)]["cancel"]
    del trace.lines[accepted]
    trace.insert(accepted, "internal_error", step="learning", stream=stream, cancel=cancel)
    assert trace.violations() == []


# -- P3: settle before start ----------------------------------------------------------------------


def test_p3_a_start_goes_on_while_the_cancelled_turn_is_unsettled(trace: Doctored) -> None:
    trace.drop("observed", what="SlotSeen", slot="fenced")
    forwarded = trace.find("start_forwarded", held=True)
    accepted = trace.find("observed", what="CancelAccepted")
    assert "was not held to its limit" in trace.only("P3", accepted, forwarded)


@pytest.mark.parametrize("step", ["RelaysEnded", "CancelAnswered"])
def test_p3_every_step_but_a_fenced_slot_holds_a_start(trace: Doctored, step: str) -> None:
    trace.drop("observed", what=step)
    forwarded = trace.find("start_forwarded", held=True)
    trace.cut(forwarded + 1)
    trace.only("P3", trace.find("observed", what="CancelAccepted"), forwarded)


def test_p3_a_hold_that_is_given_up_too_early(trace: Doctored) -> None:
    trace.drop("observed", what="SlotSeen", slot="fenced")
    forwarded = trace.find("start_forwarded", held=True)
    start = {name: trace.lines[forwarded][name] for name in ("start", "session")}
    trace.insert(forwarded, "start_hold_expired", **start)
    accepted, received = trace.find("observed", what="CancelAccepted"), trace.find("start_received", **start)
    assert "of 0.6s" in trace.only("P3", accepted, received, forwarded, forwarded + 1)
    trace.delay(forwarded, 0.6)
    trace.cut(forwarded + 2)
    assert trace.violations() == []


def test_p3_a_rotated_sessions_start_is_held_under_both_ids(trace: Doctored) -> None:
    old = [line for line in trace.lines if line.get("what") == "SessionRotated"]
    rotated = next(line for line in old if line["session"].startswith("session-"))
    fenced = [i for i, line in enumerate(trace.lines) if line.get("slot") == "fenced"][-1]
    assert trace.lines[fenced]["session"] == rotated["new_session_id"]
    del trace.lines[fenced]
    forwarded = trace.find("start_forwarded", after=fenced)
    trace.edit(forwarded, session=rotated["session"])
    assert _ends(trace.violations()) == ["P3"]


def test_p3_rotations_that_lead_nowhere_are_survived(trace: Doctored) -> None:
    forwarded = trace.find("start_forwarded", held=True)
    session = trace.lines[forwarded]["session"]
    trace.insert(forwarded, "observed", session=session, what="SessionRotated", new_session_id=session)
    assert trace.violations() == []


def test_p3_after_an_internal_error_a_start_goes_on(trace: Doctored) -> None:
    trace.drop("observed", what="SlotSeen", slot="fenced")
    forwarded = trace.find("start_forwarded", held=True)
    trace.insert(forwarded, "internal_error", step="holding a start", start=trace.lines[forwarded]["start"])
    assert trace.violations() == []


# -- P4: terminal last ----------------------------------------------------------------------------


def test_p4_something_follows_the_terminal_event_at_once(trace: Doctored) -> None:
    terminal = trace.find("relay_wrote", events=["title", "stream_end"])
    trace.edit(terminal, events=["title", "stream_end", "token"])
    assert "was given token" in trace.only("P4", terminal)


def test_p4_something_follows_the_terminal_event_later(trace: Doctored) -> None:
    terminal = trace.find("relay_wrote", events=["cancel"])
    line = trace.lines[terminal]
    trace.insert(terminal + 1, "relay_wrote", relay=line["relay"], stream=line["stream"], events=["token"])
    trace.only("P4", terminal, terminal + 1)


# -- P5: exactly one ending -----------------------------------------------------------------------


def test_p5_two_endings(trace: Doctored) -> None:
    terminal = trace.find("relay_wrote", events=["cancel"])
    line = trace.lines[terminal]
    trace.insert(terminal + 1, "relay_wrote", relay=line["relay"], stream=line["stream"], events=["stream_end"])
    assert "2 terminal events" in trace.only("P5", terminal, terminal + 1)


@pytest.mark.parametrize("why", ["no terminal event in time", "terminal event"])
def test_p5_no_ending(trace: Doctored, why: str) -> None:
    closed = trace.find("upstream_closed", why=why)
    relay = trace.lines[closed]["relay"]
    trace.edit(closed - 1, events=["title"])
    assert "without a terminal event" in trace.only("P5", trace.find("relay_opened", relay=relay), closed)


def test_p5_no_ending_for_a_cancelled_stream_that_the_backend_closed(trace: Doctored) -> None:
    closed = trace.find("upstream_closed", why="no terminal event in time")
    relay = trace.lines[closed]["relay"]
    trace.edit(closed, why="the backend closed it")
    trace.edit(closed - 1, events=["title"])
    trace.only("P5", trace.find("relay_opened", relay=relay), closed)


def test_p5_a_stream_that_runs_is_owed_no_ending_at_its_eof(trace: Doctored) -> None:
    closed = trace.find("upstream_closed", why=None)
    trace.edit(closed, why="the backend closed it")
    assert trace.violations() == []


@pytest.mark.parametrize("name", ["relay", "stream"])
def test_p5_after_an_internal_error_what_the_backend_sent_passes(trace: Doctored, name: str) -> None:
    closed = trace.find("upstream_closed", why="no terminal event in time")
    trace.edit(closed - 1, events=["title"])
    trace.insert(closed, "internal_error", step="ending a relay", **{name: trace.lines[closed][name]})
    assert trace.violations() == []


# -- P6: no orphan --------------------------------------------------------------------------------


def test_p6_an_upstream_outlives_its_browser(trace: Doctored) -> None:
    left = trace.find("browser_left")
    trace.delay(left + 1, 0.2)
    assert "outlived its browser by 0.200s" in trace.only("P6", left, left + 1)


def test_p6_an_upstream_that_is_never_closed_after_its_browser_left(trace: Doctored) -> None:
    left = trace.find("browser_left")
    relay = trace.lines[left]["relay"]
    trace.drop("upstream_closed", relay=relay)
    trace.drop("relay_ended", relay=relay)
    trace.cut(trace.find("observed", what="StreamEnded", stream_id=_stream_of(trace, left)))
    trace.only("P6", left, len(trace.lines) - 1)


def test_p6_a_relay_that_ended_is_closed(trace: Doctored) -> None:
    """Where the browser leaves before the upstream is read, only the relay's end is told."""
    trace.drop("upstream_closed", why=None)
    assert trace.violations() == []


def test_p6_an_upstream_outlives_its_streams_end(trace: Doctored) -> None:
    closed = [i for i, line in enumerate(trace.lines) if line.get("why") == "no terminal event in time"][-2]
    ended = trace.find("observed", what="StreamEnded", stream_id=_stream_of(trace, closed))
    del trace.lines[closed - 1]
    trace.edit(closed - 1, why="silence")
    trace.delay(closed - 1, 2.0)
    assert "outlived the end" in trace.only("P6", ended, closed - 2, closed - 1)


def test_p6_an_upstream_of_a_superseded_stream_is_never_closed(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="old")
    began.append(0, "relay_opened", relay="r-1", stream="old", call="OpenStream")
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="new")
    began.append(2, "relay_opened", relay="r-2", stream="new", call="OpenStream")
    began.only("P6", 2, 3, 4)


def test_p6_a_stream_whose_cancel_is_under_way_is_not_measured(trace: Doctored) -> None:
    trace.cut(trace.find("cancel_forwarded") + 2)
    trace.append(9, "cancel_pondered")
    assert trace.violations() == []


# -- P7: bounded ----------------------------------------------------------------------------------


def test_p7_a_start_is_held_too_long(trace: Doctored) -> None:
    trace.delay(1 + trace.find("start_received"), 2.0)
    assert "waited 2.0" in trace.only("P7", trace.find("start_received"), trace.find("start_forwarded"))


def test_p7_a_start_is_never_forwarded(trace: Doctored) -> None:
    received = trace.find("start_received")
    trace.cut(received + 1)
    trace.append(2, "cancel_pondered")
    assert "never forwarded" in trace.only("P7", received, received + 1)


def test_p7_a_start_is_retried_for_too_long(trace: Doctored) -> None:
    retried = trace.find("start_conflict_spurious")
    start = trace.lines[retried]["start"]
    trace.delay(retried, 2.0)
    trace.cut(retried + 1)
    trace.drop("observed", what="CancelAccepted")
    assert _ends(trace.violations()) == ["P2", "P7"]
    assert trace.violations()[-1].lines == (trace.find("start_received", start=start) + 1, retried)


def test_p7_an_accepted_cancel_is_answered_too_late(trace: Doctored) -> None:
    accepted = trace.find("observed", what="CancelAccepted")
    trace.delay(accepted + 1, 0.9)
    assert "0.3s is the limit" in trace.only("P7", accepted, accepted + 1)


def test_p7_a_cancel_settles_too_late(trace: Doctored) -> None:
    accepted, settled = trace.find("observed", what="CancelAccepted"), trace.find("cancel_settled")
    trace.delay(settled, 2.0)
    assert "stayed unsettled" in trace.only("P7", accepted, settled)


def test_p7_a_cancel_never_settles(trace: Doctored) -> None:
    settled = trace.find("cancel_settled")
    trace.cut(settled)
    trace.append(9, "cancel_pondered")
    sentence = trace.only("P7", trace.find("observed", what="CancelAccepted"), settled)
    assert "never settled" in sentence


def test_p7_an_accepted_cancel_is_never_answered(trace: Doctored) -> None:
    accepted = trace.find("observed", what="CancelAccepted")
    trace.cut(accepted + 1)
    trace.append(0.9, "cancel_pondered")
    assert "never answered" in trace.only("P7", accepted, accepted + 1)


# -- P8: transparent when unsure ------------------------------------------------------------------


def test_p8_a_refusal_with_no_evidence(began: Doctored) -> None:
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="stale", shared=None)
    began.append(0, "cancel_confirmed", stream="x", cancel="c-1", status=200)
    began.append(0, "cancel_answered", stream="x", cancel="c-1", first="c-1", verdict="stale", status=200)
    assert "no evidence" in began.only("P8", 3)


def test_p8_a_refusal_after_the_backend_was_restarted_has_evidence(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="x")
    began.append(0, "observed", session="s", what="BackendRestarted")
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="stale", shared=None)
    began.append(0, "cancel_confirmed", stream="x", cancel="c-1", status=200)
    began.append(0, "cancel_answered", stream="x", cancel="c-1", first="c-1", verdict="stale", status=200)
    assert began.violations() == []


def test_p8_a_refusal_after_an_internal_error(trace: Doctored) -> None:
    answered = trace.find("cancel_answered", verdict="stale")
    cancel = trace.lines[answered]["cancel"]
    trace.insert(answered, "internal_error", step="judging a cancel", cancel=cancel)
    trace.insert(answered + 1, "cancel_unguarded", stream=_stream_of(trace, answered + 1), cancel=cancel)
    assert "after an internal error" in trace.only("P8", answered, answered + 2)


def test_p8_a_cancel_does_not_go_on_after_an_internal_error(trace: Doctored) -> None:
    judged = trace.find("cancel_judged")
    cancel = trace.lines[judged]["cancel"]
    trace.cut(judged + 1)
    trace.append(0, "internal_error", step="judging a cancel", cancel=cancel)
    trace.append(0, "cancel_unguarded", stream=_stream_of(trace, judged), cancel=cancel)
    trace.append(9, "cancel_pondered")
    assert trace.violations() == []
    trace.drop("cancel_unguarded")
    assert "did not go on" in trace.only("P8", judged + 1)


def test_p8_a_start_does_not_go_on_after_an_internal_error(trace: Doctored) -> None:
    received = trace.find("start_received")
    trace.cut(received + 1)
    trace.append(0, "internal_error", step="holding a start", start=trace.lines[received]["start"])
    trace.append(0.6, "cancel_pondered")
    trace.only("P8", received + 1)


# -- P9: no authority of its own ------------------------------------------------------------------


def test_p9_a_refusal_without_asking_the_backend(trace: Doctored) -> None:
    trace.drop("cancel_confirmed")
    judged, answered = trace.find("cancel_judged", verdict="stale"), trace.find("cancel_answered", verdict="stale")
    assert "without asking" in trace.only("P9", judged, answered)


def test_p9_a_strangers_cancel_is_given_the_first_ones_answer(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", shared=False)
    cancel = trace.lines[judged]["cancel"]
    trace.drop("cancel_confirmed", cancel=cancel)
    assert "answered coalesced" in trace.only("P9", judged, trace.find("cancel_answered", cancel=cancel))


def test_p9_the_backends_refusal_of_a_caller_is_not_passed_on(trace: Doctored) -> None:
    confirmed = trace.find("cancel_confirmed")
    answered = trace.find("cancel_answered")
    trace.edit(confirmed, status=401)
    assert "refusal of this caller" in trace.only("P9", confirmed, answered)
    trace.edit(answered, status=401, verdict=None, cancelled=None)
    assert trace.violations() == []


# -- P10: disconnect is not cancel ----------------------------------------------------------------


def test_p10_a_browser_that_leaves_cancels_its_turn(trace: Doctored) -> None:
    left = trace.find("browser_left")
    trace.insert(left + 1, "cancel_forwarded", stream=_stream_of(trace, left), cancel="c-0")
    trace.cut(left + 3)
    assert "nobody had asked for" in trace.only("P10", left, left + 1)


def test_p10_a_cancel_is_forwarded_that_was_not_judged(trace: Doctored) -> None:
    trace.drop("cancel_judged", verdict="forward")
    trace.only("P10", trace.find("cancel_forwarded"))


def test_p10_a_cancel_is_forwarded_twice(trace: Doctored) -> None:
    forwarded = trace.find("cancel_forwarded")
    line = trace.lines[forwarded]
    trace.insert(forwarded + 1, "cancel_forwarded", stream=line["stream"], cancel=line["cancel"])
    assert "twice" in trace.only("P10", forwarded, forwarded + 1)


# -- lines and files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"t": true, "event": "x"}', 'has no "t" in seconds'),
        ('{"t": %s, "event": "x"}' % ("9" * 400), 'has no "t" in seconds'),
        ('{"t": NaN, "event": "x"}', 'has no "t" in seconds'),
        ('{"t": 1e999, "event": "x"}', 'has no "t" in seconds'),
        ('{"t": 1}', 'no "event"'),
        ('{"t": 1, "event": "relay_wrote", "relay": 1}', 'is relay_wrote without a "relay"'),
        ('{"t": 1, "event": "relay_wrote", "relay": "r", "events": 1}', 'without a list of text "events"'),
        ('{"t": 1, "event": "cancel_forwarded", "cancel": ["c"]}', 'is cancel_forwarded without a "cancel"'),
        ('{"t": 1, "event": "observed", "what": "SlotSeen"}', 'is observed without a "session"'),
        ('{"t": 1, "event": "trace_begun"}', 'without the setting "settle_timeout"'),
    ],
)
def test_a_line_that_is_none_is_named(began: Doctored, line: str, why: str) -> None:
    with pytest.raises(TraceError, match=r"^line 2 ") as caught:
        verify([json.dumps(began.lines[0]), line])
    assert why in str(caught.value)
    assert caught.value.number == 2


def test_a_trace_needs_its_first_line() -> None:
    with pytest.raises(TraceError, match="line 1 is not trace_begun"):
        verify(['{"t": 1, "event": "start_held"}'])


def test_no_lines_are_no_trace_and_no_violation() -> None:
    assert verify([]) == []


def _write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _parts(folder: Path, lines: list[dict[str, Any]]) -> Iterator[Path]:
    """A trace in three files, as they are after two rotations."""
    begun = lines[0]
    for part, name in enumerate(("trace.2", "trace.1", "trace"), 1):
        head = {**begun, "part": part, "time": begun["time"] + part}
        yield _write(folder / name, [head, *lines[1:][80 * (part - 1) : 80 * part if part < 3 else None]])


def test_the_files_of_a_rotation_are_read_in_order_of_time(trace: Doctored, tmp_path: Path) -> None:
    _forward_stale(trace)
    (violation,) = trace.violations()
    findings = verify_files(reversed(list(_parts(tmp_path, trace.lines))))
    (found,) = findings.violations
    assert found.sentence == violation.sentence
    assert str(findings.lines[0]) == f"{tmp_path}/trace.2:1"
    assert json.loads(findings.lines[found.lines[0] - 1].text) == trace.lines[violation.lines[0] - 1]


def test_a_line_that_is_being_written_is_left_out(trace: Doctored, tmp_path: Path) -> None:
    path = _write(tmp_path / "trace", trace.lines)
    with path.open("a") as file:
        file.write('{"t": 1, "ev')
    assert len(verify_files([path]).lines) == len(trace.lines)


def test_a_bad_line_is_named_by_its_file(trace: Doctored, tmp_path: Path) -> None:
    good, bad = (_write(tmp_path / name, trace.lines[:3]) for name in ("good", "bad"))
    with bad.open("a") as file:
        file.write("{\n")
    with pytest.raises(TraceFileError, match=r"/bad:4 is not JSON$"):
        verify_files([good, bad])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not JSON"),
        ("hello\n", "is not JSON"),
        ('{"t": 1, "event": "start_held"}\n', 'without a "part" and a "time"'),
        ("\udcff\n", "is not JSON"),
    ],
)
def test_a_file_that_is_no_trace_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "other"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(TraceFileError, match=rf"/other:1 .*{why}.*; the first line of a trace is trace_begun$"):
        verify_files([path])
