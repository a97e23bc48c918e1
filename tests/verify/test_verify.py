"""`verify` on good traces, recorded by `traces/record.py`, and on traces doctored so that one promise is broken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from proxy.core.observations import Observation
from proxy.events.catalogue import KINDS
from proxy.verify import TraceError, TraceFileError, known, verify, verify_files
from proxy.verify.lines import Field
from tests.verify.doctored import Doctored, close, hear, open_relay, promises, read, stream_of

RELEASES = ("v0.51.195", "v0.51.265", "v0.52.262")


@pytest.fixture
def trace() -> Doctored:
    return Doctored(read("v0.52.262"))


@pytest.fixture
def began(trace: Doctored) -> Doctored:
    """A trace of a proxy that has just begun."""
    trace.cut(1)
    return trace


# -- good traces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_a_good_trace_is_clean(release: str) -> None:
    lines = read(release)
    assert Doctored(lines).violations() == []
    seen = {line["event"] for line in lines}
    assert {"cancel_confirmed", "start_held", "cancel_repeated", "cancel_settled"} <= seen
    assert {name for name in KINDS if name.startswith(("upstream_", "relay_", "browser_"))} <= seen
    assert {line["joined"] for line in lines if line["event"] == "relay_opened"} == {"opened", "now", "cursor"}


@pytest.mark.no_cover  # it reads the same lines hundreds of times
@pytest.mark.parametrize("release", RELEASES)
def test_a_trace_that_begins_or_ends_anywhere_is_clean(release: str) -> None:
    """At every third line, in each release's trace at others: it takes minutes to read them all so often."""
    begun, *lines = read(release)
    said = [json.dumps(line) for line in lines]
    for cut in range(RELEASES.index(release), len(lines), len(RELEASES)):
        assert verify([json.dumps({**begun, "part": 2, "t": lines[cut]["t"]}), *said[cut:]]) == []
        assert verify([json.dumps(begun), *said[:cut]]) == []


def test_the_parts_of_a_rotation_are_one_trace(trace: Doctored) -> None:
    trace.lines.insert(trace.hide_belief(), {**trace.lines[0], "part": 2})
    assert promises(trace.violations()) == ["P3"]


@pytest.mark.parametrize("anew", [{"part": 3}, {"run": "another", "part": 1}])
def test_after_a_gap_or_a_restart_nothing_is_taken_for_known(trace: Doctored, anew: dict[str, Any]) -> None:
    index = trace.hide_belief()
    trace.lines.insert(index, {**trace.lines[0], "t": trace.lines[index - 1]["t"], **anew})
    assert trace.violations() == []


def test_what_waits_when_limits_change_is_measured_by_neither(trace: Doctored) -> None:
    """It goes on with the limit that it began with, and the trace does not say which that was."""
    settled = trace.find("cancel_settled")
    trace.delay(settled, 3.0)
    limits = {**trace.lines[0]["settings"], "stop_timeout": 0.1}
    begun = {**trace.lines[0], "part": 2, "settings": limits, "t": trace.lines[settled - 1]["t"]}
    trace.lines.insert(settled, begun)
    trace.cut(settled + 2)
    assert trace.violations() == []


def test_what_begins_afterwards_is_measured_by_the_new_limits(trace: Doctored) -> None:
    trace.drop_all("start_")
    settled = trace.find("cancel_settled")
    trace.delay(settled, 3.0)
    limits = {**trace.lines[0]["settings"], "stop_timeout": 0.1}
    trace.lines.insert(1, {**trace.lines[0], "part": 2, "settings": limits})
    trace.cut(settled + 2)
    assert promises(trace.violations()) == ["P7"]


def test_lost_events_are_a_gap(trace: Doctored) -> None:
    trace.insert(trace.hide_belief(), "trace_gap", dropped=1)
    assert trace.violations() == []


def test_unknown_events_say_nothing(trace: Doctored) -> None:
    trace.insert(5, "cancel_pondered")
    assert trace.violations() == []


def test_a_start_that_is_given_anothers_answer_begins_no_second_turn(trace: Doctored) -> None:
    index = trace.find("start_answered")
    stream_id = trace.lines[trace.find("observed", what="TurnStarted")]["stream_id"]
    trace.insert(index + 1, "start_replayed", stream=stream_id, why="connection_lost")
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


def test_every_field_that_is_read_is_one_that_is_written() -> None:
    """A misspelt one would never be found in a trace; mypy holds the readers to these names."""
    names = {name for part in get_args(Field) for name in get_args(part)}
    of_events = {field for kind in KINDS.values() for field in get_type_hints(kind)}
    of_observations = {field for kind in get_args(Observation) for field in get_type_hints(kind)}

    assert len(names) > 30
    assert names <= of_events | of_observations | {"what"}


# -- P1: no stale forward -------------------------------------------------------------------------


def _forward_stale(trace: Doctored) -> int:
    """Has the first stale cancel forwarded, and refused by the backend; where it is judged."""
    judged = trace.find("cancel_judged", verdict="stale")
    stream, cancel = stream_of(trace, judged), trace.lines[judged]["cancel"]
    trace.edit(judged, verdict="forward")
    trace.edit(judged + 1, event="cancel_forwarded")
    trace.edit(judged + 2, what="CancelRefused")
    assert trace.lines[judged + 3]["cancel"] == cancel
    trace.edit(judged + 3, verdict="forwarded")
    assert trace.find("observed", what="StreamEnded", stream_id=stream) < judged
    return judged


def test_p1_a_cancel_of_an_ended_stream_is_forwarded(trace: Doctored) -> None:
    judged = _forward_stale(trace)
    ended = trace.find("observed", what="StreamEnded", stream_id=stream_of(trace, judged))
    assert "had ended" in trace.only("P1", ended, judged, judged + 1)


def test_p1_a_cancel_of_a_superseded_stream_is_forwarded_rightly_as_nothing_proves_its_end(began: Doctored) -> None:
    """F20: where a runner runs the turns, one begins beside the other."""
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="old")
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="new")
    began.append(0, "cancel_judged", stream="old", cancel="c-1", verdict="stale", shared=None)
    began.append(0, "cancel_forwarded", stream="old", cancel="c-1")
    assert began.violations() == []


@pytest.mark.parametrize("verdict", ["forward", "repeat"])
def test_p1_a_cancel_is_forwarded_after_its_worker_was_seen_gone(trace: Doctored, verdict: str) -> None:
    free = trace.find("observed", what="SlotSeen", slot="free")
    stream = stream_of(trace, free)
    trace.insert(free + 2, "cancel_judged", stream=stream, cancel="c-0", verdict=verdict, first="c-3", shared=True)
    trace.insert(free + 3, "cancel_forwarded", stream=stream, cancel="c-0")
    trace.insert(free + 4, "cancel_said", stream=stream, cancel="c-0", status=200, cancelled=False)
    assert "had ended" in trace.only("P1", free, free + 2, free + 3)


def test_p1_a_cancel_is_repeated_after_its_worker_was_seen_gone(trace: Doctored) -> None:
    """F23: it would be left to the session's next turn."""
    listed, free = trace.last_look(), trace.find("observed", what="SlotSeen", slot="free")
    trace.insert(free + 1, "cancel_repeated", stream=stream_of(trace, free), cancelled=False, took=0.0)
    assert "had been seen gone" in trace.only("P1", listed, free + 1)


def test_p1_a_repetition_that_was_under_way_when_the_worker_was_seen_gone_is_right(trace: Doctored) -> None:
    free = trace.find("observed", what="SlotSeen", slot="free")
    trace.insert(free + 1, "cancel_repeated", stream=stream_of(trace, free), cancelled=True, took=0.01)
    assert trace.violations() == []


def test_p1_an_end_of_its_own_that_a_cancel_meets_on_its_way_lets_another_callers_follow(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="x")
    for number in (1, 2):
        began.append(0, "cancel_judged", stream="x", cancel=f"c-{number}", verdict="forward", shared=None)
        began.append(0, "observed", session="s", what="StreamEnded", stream_id="x", ending="finished")
        began.append(0, "cancel_forwarded", stream="x", cancel=f"c-{number}")
    assert began.violations() == []


@pytest.mark.parametrize("ending", ["cancelled", "lost", "unknown"])
def test_p1_an_end_that_no_event_of_its_own_told_does_not_make_a_forward_stale(began: Doctored, ending: str) -> None:
    """A `cancel` event tells that a turn was stopped, and not that its worker is gone."""
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="x")
    began.append(0, "observed", session="s", what="StreamEnded", stream_id="x", ending=ending)
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-1")
    assert began.violations() == []


def test_p1_an_end_while_the_cancel_is_on_its_way_is_none_of_its_faults(trace: Doctored) -> None:
    forwarded = trace.find("cancel_forwarded")
    ended = dict(trace.lines[trace.find("observed", what="StreamEnded", stream_id=stream_of(trace, forwarded))])
    trace.insert(forwarded, **{name: value for name, value in ended.items() if name != "t"})
    assert trace.violations() == []


def test_p1_a_record_that_the_backend_corrected_is_forwarded_rightly(trace: Doctored) -> None:
    judged = _forward_stale(trace)
    stream, session = stream_of(trace, judged), trace.lines[judged + 2]["session"]
    status = {"what": "StatusSeen", "session": session, "stream_id": stream, "active": True, "ending": None}
    trace.insert(judged, "observed", **status)
    assert trace.violations() == []


def test_p1_a_cancel_judged_stale_is_forwarded(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="stale")
    line = trace.lines[judged]
    trace.insert(judged + 1, "cancel_forwarded", stream=line["stream"], cancel=line["cancel"])
    ended = trace.find("observed", what="StreamEnded", stream_id=line["stream"])
    assert "had ended" in trace.only("P1", ended, judged, judged + 1)


def test_p1_a_cancel_that_waits_for_anothers_answer_is_forwarded(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="coalesce")
    trace.cut(judged + 1)
    line = trace.lines[judged]
    trace.append(0, "cancel_forwarded", stream=line["stream"], cancel=line["cancel"])
    assert "judged coalesce, and forwarded" in trace.only("P1", judged, judged + 1)


@pytest.mark.parametrize("verdict", ["forward", "repeat"])
def test_p1_a_cancel_is_forwarded_beside_another_while_that_settles(trace: Doctored, verdict: str) -> None:
    """P11: its worker may still be there."""
    accepted = trace.find("observed", what="CancelAccepted")
    stream = stream_of(trace, accepted)
    trace.insert(accepted + 1, "cancel_judged", stream=stream, cancel="c-0", verdict=verdict, shared=None)
    trace.insert(accepted + 2, "cancel_forwarded", stream=stream, cancel="c-0")
    trace.insert(accepted + 3, "cancel_said", stream=stream, cancel="c-0", status=200, cancelled=True)
    what = {"session": trace.lines[accepted]["session"], "stream_id": stream, "cancel_id": "c-0"}
    trace.insert(accepted + 4, "observed", what="CancelAccepted", **what)
    assert trace.violations() == []


# -- P2: honest answer ----------------------------------------------------------------------------


def test_p2_true_though_the_backend_accepted_nothing(trace: Doctored) -> None:
    trace.edit(trace.find("cancel_said"), cancelled=False)
    answered = trace.find("cancel_answered", verdict="forwarded")
    assert "accepted none" in {v.lines: v.sentence for v in trace.violations() if v.promise == "P2"}[(answered + 1,)]


def test_p2_true_on_the_guards_own_word(trace: Doctored) -> None:
    """Whatever it believes of the stream: what counts is what the backend was seen to say."""
    trace.drop("cancel_said")
    answered = trace.find("cancel_answered", verdict="forwarded")
    assert "accepted none" in trace.only("P2", answered)


def test_p2_false_though_the_backend_accepted_it(trace: Doctored) -> None:
    said = trace.find("cancel_said", cancelled=True)
    ended = trace.find("observed", what="StreamEnded", ending="cancelled", stream_id=stream_of(trace, said))
    trace.edit(ended, what="StreamSpoke")
    answered = trace.find("cancel_answered", verdict="forwarded")
    trace.edit(answered, cancelled=False)
    assert "was answered false" in trace.only("P2", said, answered)


def test_p2_true_though_the_turn_had_ended_by_itself(trace: Doctored) -> None:
    said = trace.find("cancel_said")
    ended = trace.find("observed", what="StreamEnded", stream_id=stream_of(trace, said))
    trace.edit(ended, ending="finished")
    answered = trace.find("cancel_answered", after=said)
    assert "had ended before" in trace.only("P2", ended, said, answered)


def test_p2_true_for_a_duplicate_that_came_after_the_settling(trace: Doctored) -> None:
    cancel = trace.lines[trace.find("cancel_judged", verdict="repeat", shared=True)]["cancel"]
    replay = [line for line in trace.lines if line.get("cancel") == cancel]
    assert [line["event"] for line in replay] == ["cancel_judged", "cancel_confirmed", "cancel_answered"]
    trace.lines = [line for line in trace.lines if line not in replay]
    settled = trace.find("cancel_settled", stream=replay[0]["stream"])
    for number, line in enumerate(replay, 1):
        trace.insert(settled + number, **{name: value for name, value in line.items() if name != "t"})
    assert "after its settling" in trace.only("P2", settled, settled + 3)


def test_p2_what_became_of_a_first_cancel_that_is_not_in_the_trace_is_not_known(began: Doctored) -> None:
    began.edit(0, part=2)
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="coalesce", first="c-1", shared=True)
    answer = {"verdict": "coalesced", "reason": None, "status": 200, "cancelled": True}
    began.append(0, "cancel_answered", stream="x", cancel="c-2", first="c-1", **answer)
    assert began.violations() == []
    began.edit(0, part=1)
    began.only("P2", 2)


@pytest.mark.parametrize("reason", ["superseded", "lost"])
def test_p2_a_stream_is_called_over_though_it_went_on_since_it_was_taken_for_that(began: Doctored, reason: str) -> None:
    _supersede(began, reason)
    hear(began, "token", seconds=0.1)
    began.append(0, "cancel_judged", stream="old", cancel="c-1", verdict="stale", shared=None)
    began.append(0, "cancel_confirmed", stream="old", cancel="c-1", status=200)
    answer = {"verdict": "stale", "reason": reason, "status": 200, "cancelled": False}
    began.append(0, "cancel_answered", stream="old", cancel="c-1", first="c-1", **answer)
    found = {v.promise: v for v in began.violations()}
    assert "called" in found["P2"].sentence
    assert found["P2"].lines == (5, 6, 9)


@pytest.mark.parametrize("reason", ["superseded", "lost"])
@pytest.mark.parametrize("events", [["reasoning"], []])
def test_p2_a_stream_that_was_called_over_goes_on(began: Doctored, reason: str, events: list[str]) -> None:
    """Its words are told without their names, as they pass by."""
    _supersede(began, reason)
    began.append(0, "observed", session="s", what="StatusSeen", stream_id="old", active=False, ending="finished")
    began.append(0, "cancel_judged", stream="old", cancel="c-1", verdict="stale", shared=None)
    began.append(0, "cancel_confirmed", stream="old", cancel="c-1", status=200)
    answer = {"verdict": "stale", "reason": reason, "status": 200, "cancelled": False}
    began.append(0, "cancel_answered", stream="old", cancel="c-1", first="c-1", **answer)
    assert began.violations() == []
    for _ in range(2):
        hear(began, *events, seconds=0.1)
    assert "and went on" in began.only("P2", 8, 9)


def test_p2_a_stream_whose_past_is_shown_did_not_go_on(began: Doctored) -> None:
    _supersede(began, "superseded")
    open_relay(began, "r-2", upstream="u-2", seconds=0.1)
    hear(began, "token", upstream="u-2", seconds=0.1)
    close(began, None)
    began.append(0, "cancel_judged", stream="old", cancel="c-1", verdict="forward", shared=None)
    began.append(0, "cancel_forwarded", stream="old", cancel="c-1")
    began.append(0, "cancel_said", stream="old", cancel="c-1", status=200, cancelled=False)
    answer = {"verdict": "forwarded", "reason": "superseded", "status": 200, "cancelled": False}
    began.append(0, "cancel_answered", stream="old", cancel="c-1", first="c-1", **answer)
    assert began.violations() == []


def _supersede(began: Doctored, reason: str) -> None:
    """A turn that is followed, and taken for over as another one begins, or as the backend was started anew."""
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="old")
    open_relay(began)
    if reason == "superseded":
        began.append(0, "observed", session="s", what="TurnStarted", stream_id="new")
    else:
        began.append(0, "observed", session="s", what="BackendRestarted")


def test_p2_the_backends_own_answer_passes_after_an_internal_error(trace: Doctored) -> None:
    accepted = trace.find("observed", what="CancelAccepted")
    stream = stream_of(trace, accepted)
    cancel = trace.lines[trace.find("cancel_forwarded", stream=stream)]["cancel"]
    del trace.lines[accepted]
    trace.insert(accepted, "internal_error", step="learning", stream=stream, cancel=cancel)
    assert trace.violations() == []


# -- P3: settle before start ----------------------------------------------------------------------


def test_p3_a_start_goes_on_while_the_cancelled_turn_is_unsettled(trace: Doctored) -> None:
    forwarded = trace.hide_belief()
    accepted = trace.find("cancel_said")
    assert "was not held to its limit" in trace.only("P3", accepted, forwarded)


def test_p3_a_start_goes_on_as_the_guard_believes_the_worker_gone_that_the_backend_lists(trace: Doctored) -> None:
    trace.hide_end()
    forwarded = trace.find("start_forwarded", held=True)
    trace.cut(forwarded + 1)
    assert promises(trace.violations()) == ["P11", "P3"]


def test_p3_what_the_backend_accepted_holds_a_start_though_the_guard_took_no_note_of_it(trace: Doctored) -> None:
    forwarded = trace.hide_belief()
    trace.drop("observed", what="CancelAccepted")
    trace.only("P3", trace.find("cancel_said"), forwarded - 1)


@pytest.mark.parametrize("step", ["RelaysEnded", "CancelAnswered"])
def test_p3_every_step_but_a_fenced_slot_holds_a_start(trace: Doctored, step: str) -> None:
    trace.drop("observed", what=step)
    trace.drop("cancel_settled")
    forwarded = trace.find("start_forwarded", held=True)
    trace.cut(forwarded + 1)
    trace.only("P3", trace.find("cancel_said"), forwarded)


@pytest.mark.parametrize(("slot", "broken"), [("fenced", []), ("busy", ["P3"])])
def test_p3_a_fenced_slot_holds_no_start(trace: Doctored, slot: str, broken: list[str]) -> None:
    """Nothing tells of the worker, or the backend sees to it by itself (F3)."""
    trace.edit(trace.find("observed", what="SlotSeen", slot="free"), slot=slot)
    del trace.lines[trace.last_look()]
    trace.drop("cancel_settled")
    trace.cut(trace.find("start_forwarded", held=True) + 1)
    assert promises(trace.violations()) == broken


@pytest.mark.parametrize("slot", ["fenced", "busy"])
def test_p3_a_change_of_the_session_waits_until_the_worker_is_gone(trace: Doctored, slot: str) -> None:
    """F17: it would be undone."""
    trace.edit(trace.find("observed", what="SlotSeen", slot="free"), slot=slot)
    del trace.lines[trace.last_look()]
    trace.drop("cancel_settled")
    forwarded = trace.find("start_forwarded", held=True)
    session = trace.lines[forwarded]["session"]
    trace.cut(forwarded)
    trace.append(0, "change_received", change="m-1", session=session, call="/api/session/undo")
    trace.append(0, "change_forwarded", change="m-1", session=session, held=False)
    assert "change m-1 was forwarded" in trace.only("P3", trace.find("cancel_said"), forwarded + 1)


def test_p3_a_cancel_that_was_given_up_holds_nothing(trace: Doctored) -> None:
    given_up = trace.find("cancel_settled", missing=["slot_free"])
    session = trace.lines[given_up - 1]["session"]
    for number, what in enumerate(("start", "change")):
        about = {what: "x-1", "session": session}
        trace.insert(given_up + 1 + 2 * number, f"{what}_received", **about)
        trace.insert(given_up + 2 + 2 * number, f"{what}_forwarded", held=False, **about)
    assert trace.violations() == []


def test_p3_a_hold_that_is_given_up_too_early(trace: Doctored) -> None:
    forwarded = trace.hide_belief()
    start = {name: trace.lines[forwarded][name] for name in ("start", "session")}
    trace.insert(forwarded, "start_hold_expired", **start)
    accepted, received = trace.find("cancel_said"), trace.find("start_received", **start)
    assert "of 0.6s" in trace.only("P3", accepted, received, forwarded, forwarded + 1)
    trace.delay(forwarded, 0.6)
    assert trace.violations() == []


def test_p3_a_rotated_sessions_start_is_held_under_both_ids(trace: Doctored) -> None:
    old = [line for line in trace.lines if line.get("what") == "SessionRotated"]
    rotated = next(line for line in old if line["session"].startswith("session-"))
    free = [i for i, line in enumerate(trace.lines) if line.get("slot") == "free"][-1]
    assert trace.lines[free]["session"] == rotated["new_session_id"]
    forwarded = trace.find("start_forwarded", after=free)
    trace.edit(forwarded, session=rotated["session"])
    del trace.lines[free - 1 : forwarded]
    trace.cut(free)
    assert promises(trace.violations()) == ["P3"]


def test_p3_rotations_that_lead_nowhere_are_survived(trace: Doctored) -> None:
    forwarded = trace.find("start_forwarded", held=True)
    session = trace.lines[forwarded]["session"]
    trace.insert(forwarded, "observed", session=session, what="SessionRotated", new_session_id=session)
    assert trace.violations() == []


def test_p3_after_an_internal_error_a_start_goes_on(trace: Doctored) -> None:
    forwarded = trace.hide_belief()
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
    trace.insert(terminal + 1, **{**line, "events": ["token"]})
    trace.only("P4", terminal, terminal + 1)


# -- P5: exactly one ending -----------------------------------------------------------------------


def test_p5_two_endings(trace: Doctored) -> None:
    terminal = trace.find("relay_wrote", events=["cancel"])
    line = trace.lines[terminal]
    trace.insert(terminal + 1, **{**line, "events": ["stream_end"]})
    assert "2 terminal events" in trace.only("P5", terminal, terminal + 1)


@pytest.mark.parametrize("why", ["no terminal event in time", "terminal event"])
def test_p5_no_ending(trace: Doctored, why: str) -> None:
    ended = trace.find("relay_ended", why=why)
    relay = trace.lines[ended]["relay"]
    assert trace.lines[ended - 1]["event"] == "relay_wrote"
    del trace.lines[ended - 1]
    assert "without a terminal event" in trace.only("P5", trace.find("relay_opened", relay=relay), ended - 1)


def test_p5_no_ending_for_a_cancelled_stream_that_the_backend_closed(trace: Doctored) -> None:
    ended = _end_at_eof(trace)
    trace.only("P5", trace.find("relay_opened", relay=trace.lines[ended]["relay"]), ended)


def _end_at_eof(trace: Doctored) -> int:
    """Has the backend close a cancelled stream, whose browser is given no ending; where its relay ends."""
    closed = trace.find("upstream_closed", why="no terminal event in time")
    trace.edit(closed, why="the backend closed it", overdue=None)
    trace.edit(closed - 1, events=["title"])
    trace.edit(closed + 1, events=["title"])
    trace.edit(closed + 2, why="the backend closed it")
    assert [line["event"] for line in trace.lines[closed - 1 : closed + 3]] == [
        "upstream_heard",
        "upstream_closed",
        "relay_wrote",
        "relay_ended",
    ]
    return closed + 2


def test_p5_a_stream_that_runs_is_owed_no_ending_at_its_eof(trace: Doctored) -> None:
    closed = trace.find("upstream_closed", why=None)
    trace.edit(closed, why="the backend closed it")
    relay = trace.lines[trace.last("browser_left", before=closed)]["relay"]
    trace.drop("browser_left", relay=relay)
    ended = trace.lines.pop(trace.find("relay_ended", relay=relay))
    trace.insert(closed - 1, **{**ended, "why": "the backend closed it"})
    assert trace.lines[closed - 2]["event"] == "upstream_closed"
    assert trace.violations() == []


@pytest.mark.parametrize("name", ["upstream", "stream"])
def test_p5_after_an_internal_error_what_the_backend_sent_passes(trace: Doctored, name: str) -> None:
    closed = trace.find("upstream_closed", why="no terminal event in time")
    trace.insert(closed, "internal_error", step="ending a relay", **{name: trace.lines[closed][name]})
    trace.drop("relay_wrote", upstream=trace.lines[closed + 1]["upstream"], events=["cancel"])
    if name == "stream":
        trace.edit(closed + 2, why="the backend closed it")
        trace.edit(closed + 1, why="the backend closed it")
    assert trace.violations() == []


@pytest.mark.parametrize("reason", ["superseded", "lost"])
@pytest.mark.parametrize("events", [["tool"], []])
def test_p5_a_turn_is_cut_that_went_on_since_it_was_taken_for_over(
    began: Doctored, reason: str, events: list[str]
) -> None:
    """F20: a runner's, for example, beside which another one begins."""
    _supersede(began, reason)
    hear(began, *events, seconds=0.1)
    hear(began, "stream_end", seconds=0.3)
    close(began, "no terminal event in time", overdue=reason)
    assert "though that went on" in began.only("P5", 4, 5, 7)


def test_p5_a_turn_that_the_guard_saw_go_on_may_be_superseded_again(began: Doctored) -> None:
    _supersede(began, "superseded")
    began.append(0.1, "observed", session="s", what="StreamSpoke", stream_id="old")
    hear(began, "token")
    began.append(3, "observed", session="s", what="TurnStarted", stream_id="newer")
    hear(began, "stream_end", seconds=0.3)
    close(began, "no terminal event in time", overdue="superseded")
    assert began.violations() == []


def test_p5_a_turn_is_cut_within_the_silence_that_it_is_given(trace: Doctored) -> None:
    closed = trace.find("upstream_closed", overdue="cancelled")
    line = trace.lines[closed]
    about = {name: line[name] for name in ("upstream", "stream")}
    trace.insert(closed - 1, "upstream_heard", events=["token"], count=1, **about)
    trace.edit(closed - 1, t=line["t"] - 0.3)
    assert "0.300s after its last event, not 0.6s" in trace.only("P5", closed - 1, closed + 1)


def test_p5_what_the_guard_writes_of_its_own_accord_is_no_sign_of_a_turn(trace: Doctored) -> None:
    closed = trace.find("upstream_closed", overdue="cancelled")
    for passed in (closed - 1, closed + 1):
        assert trace.lines[passed]["events"] == ["cancel"]
        trace.edit(passed, events=["pending_steer_leftover", "cancel"], count=2)
    assert trace.violations() == []


# -- P6: no orphan --------------------------------------------------------------------------------


def _left_for_good(trace: Doctored, *, kept: bool) -> int:
    """Where the last browser of an upstream leaves, as it is closed soon after; it may have been kept or not."""
    left = trace.last("browser_left", before=trace.find("upstream_closed", why=None))
    assert trace.lines[left + 1]["event"] == "upstream_kept"
    if not kept:
        del trace.lines[left + 1]
    return left


@pytest.mark.parametrize("kept", [True, False])
def test_p6_an_upstream_outlives_its_browser(trace: Doctored, *, kept: bool) -> None:
    """By more than what it is kept for, if it is."""
    left = _left_for_good(trace, kept=kept)
    closed = trace.find("upstream_closed", why=None)
    trace.delay(closed, trace.lines[left]["t"] + 0.41 - trace.lines[closed]["t"])
    assert trace.lines[left + 1]["event"] == ("upstream_kept" if kept else "relay_ended")
    assert "outlived its last browser by 0.410s" in trace.only("P6", left, closed)


def test_p6_an_upstream_that_is_never_closed_after_its_browser_left(trace: Doctored) -> None:
    left = _left_for_good(trace, kept=False)
    trace.drop("relay_ended", relay=trace.lines[left]["relay"])
    trace.cut(left + 1)
    trace.append(0.2, "cancel_pondered")
    assert "by 0.200s" in trace.only("P6", left, left + 1)


def test_p6_a_relay_that_ended_is_a_browser_less(trace: Doctored) -> None:
    """Whether it is told before that it left or not."""
    left = _left_for_good(trace, kept=False)
    del trace.lines[left]
    assert "outlived its last browser" in trace.only("P6", left, trace.find("upstream_closed", why=None))


def test_p6_an_upstream_that_is_closed_is_none_that_is_left_open(trace: Doctored) -> None:
    closed = trace.find("upstream_closed", why=None)
    left = trace.last("browser_left", before=closed)
    trace.cut(closed + 1)
    trace.append(9, "cancel_pondered")
    assert trace.violations() == []
    del trace.lines[closed]
    trace.only("P6", left, closed)


def test_p6_an_upstream_outlives_its_streams_end(trace: Doctored) -> None:
    closed = trace.last("upstream_closed", why="no terminal event in time")
    about = {name: trace.lines[closed][name] for name in ("upstream", "stream")}
    ended = trace.last("observed", before=closed, what="StreamEnded", stream_id=about["stream"])
    assert trace.lines[ended]["ending"] == "finished"
    first = trace.find("observed", what="StreamEnded", stream_id=about["stream"])
    del trace.lines[closed + 1]
    trace.edit(closed + 1, why="silence")
    trace.edit(closed, why="silence")
    own = trace.last("upstream_heard", **about)
    assert trace.lines[own]["events"][-1] == "stream_end"
    del trace.lines[own]
    heard = trace.last("upstream_heard", **about)
    closed = trace.find("upstream_closed", **about)
    trace.delay(closed, 2.0)
    assert "outlived the end" in trace.only("P6", first, heard, closed)


def test_p6_an_upstream_of_a_superseded_stream_is_never_closed(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="old")
    open_relay(began)
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="new")
    open_relay(began, "r-2", upstream="u-2", stream="new", seconds=2)
    began.cut(6)
    began.only("P6", 2, 4, 5)


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
    forwarded = trace.find("start_forwarded", held=True)
    start = trace.lines[forwarded]["start"]
    trace.cut(forwarded + 1)
    trace.append(2.0, "start_conflict_spurious", start=start, session=trace.lines[forwarded]["session"], tries=1)
    trace.only("P7", trace.find("start_received", start=start), forwarded + 1)


def test_p7_a_change_is_held_too_long(trace: Doctored) -> None:
    trace.cut(1)
    trace.append(0, "change_received", change="m-1", session="s", call="/api/session/undo")
    trace.append(2.0, "change_forwarded", change="m-1", session="s", held=True)
    assert "change m-1 waited 2.000s" in trace.only("P7", 1, 2)


def test_p7_a_change_is_never_forwarded(trace: Doctored) -> None:
    trace.cut(1)
    trace.append(0, "change_received", change="m-1", session="s", call="/api/session/undo")
    trace.append(2.0, "cancel_pondered")
    assert "change m-1 was never forwarded" in trace.only("P7", 1, 2)


def test_p7_a_cancel_waits_too_long_for_its_turn_to_listen(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="forward")
    trace.delay(judged + 1, 26.0)
    trace.cut(1 + trace.find("cancel_forwarded"))
    assert "25s is the limit" in trace.only("P7", judged, trace.find("cancel_forwarded"))


@pytest.mark.parametrize(("seconds", "broken"), [(26.0, ["P7"]), (25.0, [])])
def test_p7_a_cancel_is_never_forwarded(trace: Doctored, seconds: float, broken: list[str]) -> None:
    judged = trace.find("cancel_judged", verdict="forward")
    trace.cut(judged + 1)
    trace.append(seconds, "cancel_pondered")
    assert promises(trace.violations()) == broken


def test_p7_a_turn_that_ends_before_its_cancel_could_go_ends_its_wait(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="forward")
    line = trace.lines[judged]
    trace.cut(judged + 1)
    trace.append(0, "cancel_judged", stream=line["stream"], cancel=line["cancel"], verdict="stale", shared=None)
    trace.append(29.0, "cancel_pondered")
    assert trace.violations() == []


def test_p7_an_accepted_cancel_is_answered_too_late(trace: Doctored) -> None:
    trace.drop_all("start_")
    said = trace.find("cancel_said")
    answered = trace.find("observed", what="CancelAnswered")
    trace.delay(answered, 0.9)
    assert "0.315s is the limit" in trace.only("P7", said, answered)


def test_p7_only_the_first_answer_is_measured_by_the_first_acceptance(trace: Doctored) -> None:
    """Another caller's cancel may be answered by the backend as late as it likes."""
    first = trace.find("observed", what="CancelAnswered")
    line = trace.lines[first]
    trace.drop_all("start_")
    settled = trace.find("cancel_settled")
    trace.insert(settled, "observed", what="CancelAnswered", session=line["session"], stream_id=line["stream_id"])
    trace.delay(settled, 1.0)
    assert trace.violations() == []


def test_p7_a_cancel_settles_too_late(trace: Doctored) -> None:
    trace.drop_all("start_")
    said, settled = trace.find("cancel_said"), trace.find("cancel_settled")
    trace.delay(settled, 3.0)
    assert "stayed unsettled" in trace.only("P7", said, settled)


def test_p7_a_cancel_never_settles(trace: Doctored) -> None:
    trace.drop_all("start_")
    settled = trace.find("cancel_settled")
    trace.cut(settled)
    trace.append(9, "cancel_pondered")
    sentence = trace.only("P7", trace.find("cancel_said"), settled)
    assert "never settled" in sentence


def test_p7_an_accepted_cancel_is_never_answered(trace: Doctored) -> None:
    accepted = trace.find("observed", what="CancelAccepted")
    trace.cut(accepted + 1)
    trace.append(0.9, "cancel_pondered")
    assert "never answered" in trace.only("P7", trace.find("cancel_said"), accepted + 1)


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
    trace.insert(answered + 1, "cancel_unguarded", stream=stream_of(trace, answered + 1), cancel=cancel)
    assert "after an internal error" in trace.only("P8", answered, answered + 2)


def test_p8_a_cancel_does_not_go_on_after_an_internal_error(trace: Doctored) -> None:
    judged = trace.find("cancel_judged")
    cancel = trace.lines[judged]["cancel"]
    trace.cut(judged + 1)
    trace.append(0, "internal_error", step="judging a cancel", cancel=cancel)
    trace.append(0, "cancel_unguarded", stream=stream_of(trace, judged), cancel=cancel)
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
    judged = trace.find("cancel_judged", verdict="coalesce")
    trace.edit(judged, shared=False)
    cancel = trace.lines[judged]["cancel"]
    assert "answered coalesced" in trace.only("P9", judged, trace.find("cancel_answered", cancel=cancel))


def test_p9_an_answer_is_given_again_without_asking_who_calls(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="repeat", shared=True)
    cancel = trace.lines[judged]["cancel"]
    trace.drop("cancel_confirmed", cancel=cancel)
    assert "answered replayed" in trace.only("P9", judged, trace.find("cancel_answered", cancel=cancel))


def test_p9_the_backends_answer_to_a_repetition_tells_who_calls(trace: Doctored) -> None:
    judged = trace.find("cancel_judged", verdict="repeat", shared=True)
    about = {name: trace.lines[judged][name] for name in ("stream", "cancel")}
    trace.drop("cancel_confirmed", **about)
    trace.insert(judged + 1, "cancel_forwarded", **about)
    trace.insert(judged + 2, "cancel_said", status=200, cancelled=True, **about)
    assert trace.violations() == []


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
    trace.insert(left + 1, "cancel_forwarded", stream=stream_of(trace, left), cancel="c-0")
    trace.cut(left + 3)
    assert "nobody had asked for" in trace.only("P10", left, left + 1)


def test_p10_a_cancel_is_forwarded_that_was_not_judged(trace: Doctored) -> None:
    trace.drop("cancel_judged", verdict="forward")
    trace.only("P10", trace.find("cancel_forwarded"))


def test_p10_a_cancel_is_repeated_that_the_backend_never_accepted(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="x")
    began.append(0, "cancel_repeated", stream="x", cancelled=True, took=0.0)
    assert "had never accepted" in began.only("P10", 2)


def test_p10_a_cancel_is_repeated_after_it_was_given_up(trace: Doctored) -> None:
    given_up = trace.find("cancel_settled", missing=["slot_free"])
    stream = stream_of(trace, given_up)
    trace.insert(given_up + 1, "cancel_repeated", stream=stream, cancelled=True, took=0.0)
    assert "after it had been given up" in trace.only("P10", trace.find("cancel_said", stream=stream), given_up + 1)


def test_p10_a_repetition_that_was_under_way_as_it_was_given_up_is_right(trace: Doctored) -> None:
    given_up = trace.find("cancel_settled", missing=["slot_free"])
    stream = stream_of(trace, given_up)
    trace.insert(given_up + 1, "cancel_repeated", stream=stream, cancelled=True, took=0.1)
    assert trace.violations() == []


def test_p10_what_a_trace_shows_of_a_repetition_may_have_begun_before_it(began: Doctored) -> None:
    began.edit(0, part=2)
    began.append(1, "cancel_repeated", stream="x", cancelled=True, took=0.0)
    assert began.violations() == []


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
        ('{"t": 1, "event": "upstream_heard", "relay": "r"}', 'is upstream_heard without a "upstream"'),
        ('{"t": 1, "event": "upstream_closed", "upstream": 1}', 'is upstream_closed without a "upstream"'),
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
