"""`verify` on Stops that did not stop (P11): workers that ran on, and Stops that reached nobody."""

from typing import Any

import pytest

from tests.verify.doctored import Doctored, promises, read, stream_of

STAMP = 1_800_000_000.0
"""When a turn began on the backend's clock."""


@pytest.fixture
def trace() -> Doctored:
    return Doctored(read("v0.52.262"))


@pytest.fixture
def named() -> Doctored:
    """Of a release whose `/health` names streams."""
    return Doctored(read("v0.51.265"))


@pytest.fixture
def began(trace: Doctored) -> Doctored:
    """A trace of a proxy that has just begun, in which a turn runs."""
    trace.cut(1)
    trace.append(0, "observed", session="s", what="TurnStarted", stream_id="x", hosted=True, stamp=STAMP, took=0.1)
    return trace


def stop(began: Doctored, cancel: str = "c-1", *, said: bool | None = True, verdict: str = "forward") -> int:
    """A Stop that is judged, forwarded and answered; where the backend's answer is."""
    began.append(0, "cancel_judged", stream="x", cancel=cancel, verdict=verdict, first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel=cancel)
    began.append(0, "cancel_said", stream="x", cancel=cancel, status=200, cancelled=said)
    what = "CancelAccepted" if said else "CancelRefused"
    began.append(0, "observed", session="s", what=what, stream_id="x", cancel_id=cancel, gone=False)
    return len(began.lines) - 2


def answer(began: Doctored, cancel: str = "c-1", *, first: str | None = None, **said: Any) -> int:
    told = {"verdict": "forwarded", "reason": None, "status": 200, "cancelled": True, **said}
    began.append(0, "cancel_answered", stream="x", cancel=cancel, first=first or cancel, **told)
    return len(began.lines) - 1


def tell(began: Doctored) -> None:
    """Everybody is told of the Stop."""
    for what in ("RelaysEnded", "CancelAnswered"):
        began.append(0, "observed", session="s", what=what, stream_id="x")


def look(
    began: Doctored, /, seconds: float = 0.05, *, names: tuple[str, ...] = (), took: float = 0.0, **runs: Any
) -> int:
    """A look at `/health`, so much later."""
    listed = {"streams": list(names), "unnamed": 0, "began": [], "cancelled": [], **runs}
    began.append(seconds, "workers_listed", **listed, took=took)
    return len(began.lines) - 1


def see(began: Doctored, slot: str = "free", by: str = "health") -> int:
    """The guard believes that."""
    began.append(0, "observed", session="s", what="SlotSeen", stream_id="x", slot=slot, by=by)
    return len(began.lines) - 1


def settle(began: Doctored, *missing: str, seconds: float = 0.0) -> int:
    began.append(seconds, "cancel_settled", cancel="c-1", stream="x", ending="cancelled", missing=list(missing))
    return len(began.lines) - 1


def stopped(began: Doctored) -> int:
    """A turn whose Stop has settled, as its worker was seen gone; where the guard learned that."""
    stop(began)
    tell(began)
    look(began)
    free = see(began)
    settle(began)
    assert began.violations() == []
    return free


# -- a worker that ran on -------------------------------------------------------------------------


def test_p11_a_worker_that_was_believed_gone_is_listed_afterwards(began: Doctored) -> None:
    free = stopped(began)
    there = look(began, 1.0, names=("y", "x"))
    assert "was taken for gone, and ran on" in began.only("P11", free, there)


def test_p11_a_worker_that_ran_on_is_told_once(began: Doctored) -> None:
    free = stopped(began)
    there = look(began, names=("x",))
    look(began, names=("x",))
    assert "ran on" in began.only("P11", free, there)


def test_p11_what_was_listed_before_the_worker_was_seen_gone_may_be_read_later(began: Doctored) -> None:
    """Two questions may be under way at once."""
    stopped(began)
    look(began, 0.5, names=("x",), took=0.6)
    assert began.violations() == []


def test_p11_a_worker_that_was_believed_gone_takes_a_further_cancel(began: Doctored) -> None:
    free = stopped(began)
    said = stop(began, "c-2")
    tell(began)
    assert "ran on" in {v.lines: v.sentence for v in began.violations() if v.promise == "P11"}[(free + 1, said + 1)]


def test_p11_a_late_answer_to_another_callers_cancel_says_nothing_of_a_worker_that_is_gone_since(
    began: Doctored,
) -> None:
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-2")
    stopped(began)
    began.append(0.1, "cancel_said", stream="x", cancel="c-2", status=200, cancelled=True)
    began.append(0, "observed", session="s", what="CancelAccepted", stream_id="x", cancel_id="c-2")
    began.append(0.1, "start_received", start="s-1", session="s")
    began.append(0, "start_forwarded", start="s-1", session="s", held=False)
    assert began.violations() == []


def test_p11_a_worker_that_was_believed_gone_takes_a_repetition(began: Doctored) -> None:
    stop(began)
    tell(began)
    free = see(began)
    began.append(0.1, "cancel_repeated", stream="x", cancelled=True, took=0.01)
    assert "ran on" in began.only("P11", free, len(began.lines) - 1)


@pytest.mark.parametrize(
    ("cancelled", "stamps", "broken"),
    [
        (True, (STAMP,), ["P11"]),
        (False, (STAMP,), []),
        (True, (STAMP, STAMP + 0.5), []),
        (True, (STAMP + 60,), []),
    ],
)
def test_p11_a_cancelled_worker_without_a_name_is_the_one_turns_that_began_then(
    began: Doctored,
    cancelled: bool,  # noqa: FBT001 - a test's parameter
    stamps: tuple[float, ...],
    broken: list[str],
) -> None:
    """F15: where several began at once, it may be any of them."""
    began.edit(1, stamp=stamps[0])
    for number, stamp in enumerate(stamps[1:]):
        what = {"what": "TurnStarted", "stream_id": f"y-{number}", "hosted": True, "stamp": stamp, "took": 0.1}
        began.append(0, "observed", session=f"s-{number}", **what)
    stopped(began)
    look(began, unnamed=1, began=[STAMP + 0.1], cancelled=[cancelled])
    assert promises(began.violations()) == broken


def test_p11_a_worker_that_ends_by_itself_may_be_listed_for_a_moment(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="StreamEnded", stream_id="x", ending="finished")
    look(began, names=("x",))
    assert began.violations() == []


def test_p11_a_next_turn_that_begins_beside_a_worker_is_a_reason_to_give_up_and_none_to_settle(
    began: Doctored,
) -> None:
    """F1: before v0.51.294 Hermes starts it all the same."""
    said = stop(began)
    tell(began)
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="y", hosted=True)
    settled = settle(began, "slot_free")
    look(began, names=("x", "y"))
    assert began.violations() == []
    began.edit(settled, missing=[])
    assert "nothing showed" in {v.lines: v.sentence for v in began.violations()}[(said + 1, settled + 1)]


def test_p11_a_cancel_is_given_up_before_its_time(patient: Doctored) -> None:
    said = stop(patient)
    tell(patient)
    look(patient, names=("x",))
    given_up = settle(patient, "slot_free", seconds=2.0)
    assert "given up after 2.050s of 30s" in patient.only("P11", said, given_up)


# -- what settles ---------------------------------------------------------------------------------


def test_p11_a_cancel_settles_with_nothing_to_show_for_it(began: Doctored) -> None:
    said = stop(began)
    tell(began)
    see(began)
    assert "nothing showed that its worker was gone" in began.only("P11", said, settle(began))


def test_p11_a_recorded_cancel_settles_though_its_worker_is_listed(trace: Doctored) -> None:
    trace.hide_end()
    settled = trace.find("cancel_settled")
    trace.cut(settled + 1)
    trace.only("P11", trace.find("cancel_said"), settled)


def test_p11_a_recorded_cancel_settles_though_its_worker_is_named(named: Doctored) -> None:
    said = named.find("cancel_said")
    gone = named.find("workers_listed", after=said, streams=[])
    named.edit(gone, streams=[stream_of(named, said)])
    settled = named.find("cancel_settled")
    named.cut(settled + 1)
    named.only("P11", said, settled)


@pytest.mark.parametrize(
    "shown",
    [
        ("cancel_repeated", {"stream": "x", "cancelled": False, "took": 0.0}),
        ("workers_listed", {"streams": [], "unnamed": 0, "took": 0.0}),
        ("workers_listed", {"streams": ["y"], "unnamed": 0, "took": 0.0}),
        ("observed", {"session": "s", "what": "BackendRestarted"}),
    ],
)
def test_p11_a_worker_is_gone_by_what_the_backend_said(began: Doctored, shown: tuple[str, dict[str, Any]]) -> None:
    stop(began)
    tell(began)
    began.append(0.1, shown[0], **shown[1])
    see(began)
    settle(began)
    assert began.violations() == []


@pytest.mark.parametrize(
    "shown",
    [
        ("cancel_repeated", {"stream": "x", "cancelled": True, "took": 0.0}),
        ("cancel_repeated", {"stream": "x", "cancelled": None, "took": 0.0}),
        ("workers_unknown", {"took": 0.0}),
        ("workers_listed", {"streams": ["x"], "unnamed": 0, "took": 0.0}),
        ("workers_listed", {"streams": [], "unnamed": 1, "took": 0.0}),
        ("workers_listed", {"streams": [], "unnamed": 0, "took": 0.2}),
        ("observed", {"session": "s", "what": "TurnStarted", "stream_id": "y", "hosted": True}),
        ("observed", {"session": "t", "what": "TurnStarted", "stream_id": "y", "hosted": True}),
        ("observed", {"session": "s", "what": "StatusSeen", "stream_id": "x", "active": False, "ending": "cancelled"}),
        ("observed", {"session": "s", "what": "StreamEnded", "stream_id": "x", "ending": "cancelled"}),
    ],
)
def test_p11_a_worker_is_not_gone_by_anything_else(began: Doctored, shown: tuple[str, dict[str, Any]]) -> None:
    """Such as a `/health` that was asked for before the cancel was accepted, or a turn that begins beside it (F1)."""
    stop(began)
    tell(began)
    began.append(0.1, shown[0], **shown[1])
    see(began)
    settle(began)
    assert promises(began.violations()) == ["P11"]


@pytest.mark.parametrize(
    ("unnamed", "is_gone"),
    [
        ({"began": [STAMP - 60.0], "cancelled": [True]}, True),
        ({"began": [STAMP + 0.1], "cancelled": [True]}, False),
        ({"began": [STAMP + 0.1], "cancelled": [False]}, False),
        ({"began": [None], "cancelled": [True]}, False),
        ({"began": [STAMP - 60.0, STAMP + 0.1], "cancelled": [True, False]}, False),
        ({"began": [STAMP - 60.0, STAMP + 20.0], "cancelled": [True, False]}, True),
        ({"began": [STAMP - 60.0], "cancelled": "?"}, False),
    ],
)
def test_p11_a_worker_without_a_name_is_anothers_by_its_beginning_or_for_want_of_a_mark(
    began: Doctored,
    unnamed: dict[str, Any],
    is_gone: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    stop(began)
    tell(began)
    look(began, unnamed=len(unnamed["began"]), **unnamed)
    see(began)
    settle(began)
    assert promises(began.violations()) == ([] if is_gone else ["P11"])


def test_p11_a_refusal_is_no_proof_on_a_backend_that_was_seen_to_refuse_while_the_worker_was_there(
    began: Doctored,
) -> None:
    """F14: up to v0.51.236 a cancel has one shot."""
    stop(began)
    tell(began)
    for _ in range(2):
        began.append(0.1, "cancel_repeated", stream="x", cancelled=False, took=0.0)
        look(began, names=("x",))
    began.append(0.1, "cancel_repeated", stream="x", cancelled=False, took=0.0)
    see(began)
    settle(began)
    assert promises(began.violations()) == ["P11"]


def test_p11_a_cancel_that_is_given_up_claims_nothing(began: Doctored) -> None:
    stop(began)
    tell(began)
    for _ in range(8):
        look(began, 0.2, names=("x",))
    settle(began, "slot_free")
    look(began, 0.2, names=("x",))
    assert began.violations() == []


def test_p11_a_worker_without_a_mark_may_be_of_another_turn_that_began_at_the_same_time(began: Doctored) -> None:
    other = {"what": "TurnStarted", "stream_id": "y", "hosted": True, "stamp": STAMP + 0.3, "took": 0.1}
    began.append(0, "observed", session="t", **other)
    stop(began)
    tell(began)
    look(began, unnamed=2, began=[STAMP + 0.1, STAMP + 0.4], cancelled=[True, False])
    look(began, unnamed=1, began=[STAMP + 0.4], cancelled=[False])
    see(began)
    settle(began)
    assert began.violations() == []


# -- a pursuit that rests -------------------------------------------------------------------------


@pytest.fixture
def patient(began: Doctored) -> Doctored:
    """With the limits that people have."""
    began.lines[0]["settings"].update(stop_timeout=30.0, settle_timeout=10.0, answer_timeout=1.0)
    return began


def test_p11_nobody_looks_for_the_worker_for_a_while(patient: Doctored) -> None:
    stop(patient)
    tell(patient)
    last = look(patient, 0.5, names=("x",))
    late = look(patient, 3.5, names=("x",))
    assert "nobody looked for the worker of x for 3.500s" in patient.only("P11", last, late)


def test_p11_nobody_looks_for_the_worker_at_all(patient: Doctored) -> None:
    said = stop(patient)
    tell(patient)
    given_up = settle(patient, "slot_free", seconds=30.0)
    assert "for 30.000s" in patient.only("P11", said, given_up)


def test_p11_nobody_looks_for_the_worker_any_more(patient: Doctored) -> None:
    stop(patient)
    tell(patient)
    last = look(patient, names=("x",))
    patient.append(8.0, "cancel_pondered")
    assert "for 8.000s" in patient.only("P11", last, last + 1)


def test_p11_a_look_for_anothers_worker_is_none_for_this_one(patient: Doctored) -> None:
    said = stop(patient)
    tell(patient)
    what = {"what": "TurnStarted", "stream_id": "y", "hosted": True}
    patient.append(0, "observed", session="t", **what)
    for _ in range(4):
        patient.append(1.0, "cancel_repeated", stream="y", cancelled=True, took=0.0)
    late = look(patient, names=("x",))
    found = [v for v in patient.violations() if v.promise == "P11"]
    assert [v.lines for v in found] == [(said + 1, late + 1)]


@pytest.mark.parametrize(
    "slow",
    [
        ("workers_unknown", {"took": 2.0}),
        ("workers_listed", {"streams": ["x"], "unnamed": 0, "took": 2.0}),
        ("cancel_repeated", {"stream": "x", "cancelled": None, "took": 2.0}),
    ],
)
def test_p11_a_backend_that_takes_its_time_is_looked_at_all_the_same(
    patient: Doctored, slow: tuple[str, dict[str, Any]]
) -> None:
    stop(patient)
    tell(patient)
    for _ in range(6):
        patient.append(4.5, slow[0], **slow[1])
    settle(patient, "slot_free", seconds=3.0)
    assert patient.violations() == []


def test_p11_after_an_internal_error_nobody_is_held_to_the_pursuit(patient: Doctored) -> None:
    stop(patient)
    tell(patient)
    patient.append(0, "internal_error", step="stopping a turn", stream="x")
    settle(patient, "slot_free", seconds=20.0)
    assert patient.violations() == []


# -- a Stop that reaches nobody -------------------------------------------------------------------


def refuse(began: Doctored, **said: Any) -> tuple[int, int]:
    """A Stop that is answered stale; where it is judged and answered."""
    judged = len(began.lines)
    began.append(0, "cancel_judged", stream="x", cancel="c-9", verdict="stale", first=None, shared=None)
    began.append(0, "cancel_confirmed", stream="x", cancel="c-9", status=200)
    return judged, answer(began, "c-9", verdict="stale", cancelled=False, **said)


@pytest.mark.parametrize(
    "told",
    [
        {"what": "StreamEnded", "stream_id": "x", "ending": "cancelled"},
        {"what": "StreamEnded", "stream_id": "x", "ending": "unknown"},
        {"what": "StatusSeen", "stream_id": "x", "active": False, "ending": None},
        {"what": "StatusSeen", "stream_id": "x", "active": False, "ending": "cancelled"},
        {"what": "TurnStarted", "stream_id": "y", "hosted": True},
    ],
)
def test_p11_a_stop_is_called_stale_though_nothing_shows_that_its_worker_is_gone(
    began: Doctored, told: dict[str, Any]
) -> None:
    began.append(0, "observed", session="s", **told)
    judged, answered = refuse(began, reason="cancelled")
    assert "was answered stale, though its worker may be there" in began.only("P11", judged, answered)


@pytest.mark.parametrize(
    "told",
    [
        {"what": "StreamEnded", "stream_id": "x", "ending": "finished"},
        {"what": "StreamEnded", "stream_id": "x", "ending": "failed"},
        {"what": "StatusSeen", "stream_id": "x", "active": False, "ending": "finished"},
        {"what": "StreamMissing", "stream_id": "x"},
        {"what": "BackendRestarted"},
    ],
)
def test_p11_a_stop_is_stale_by_what_the_backend_said_of_its_turn(began: Doctored, told: dict[str, Any]) -> None:
    began.append(0, "observed", session="s", **told)
    refuse(began, reason="finished")
    assert began.violations() == []


def test_p11_a_stop_of_a_superseded_turn_is_stale_by_its_journal_or_by_health(began: Doctored) -> None:
    began.append(0, "observed", session="s", what="TurnStarted", stream_id="y", hosted=True)
    began.append(0, "cancel_judged", stream="x", cancel="c-8", verdict="stale", first=None, shared=None)
    began.append(0, "cancel_confirmed", stream="x", cancel="c-8", status=200)
    look(began, names=("y",))
    answer(began, "c-8", verdict="stale", cancelled=False, reason="superseded")
    began.append(0, "observed", session="s", what="StatusSeen", stream_id="x", active=False, ending="cancelled")
    refuse(began, reason="superseded")
    assert began.violations() == []


def test_p11_a_stop_is_stale_once_its_worker_was_seen_gone(began: Doctored) -> None:
    stopped(began)
    refuse(began, reason="cancelled")
    assert began.violations() == []


@pytest.mark.parametrize(
    ("said", "hosted", "named", "broken"),
    [
        (False, True, (), []),
        (False, None, (), []),
        (False, False, (), ["P11"]),
        (False, True, ("x",), ["P11"]),
        (None, True, (), ["P11"]),
    ],
)
def test_p11_a_first_refusal_is_believed_but_of_a_runner_and_against_health(
    began: Doctored,
    said: bool | None,  # noqa: FBT001 - a test's parameter
    hosted: bool | None,  # noqa: FBT001 - a test's parameter
    named: tuple[str, ...],
    broken: list[str],
) -> None:
    """F20: a runner's turn is always refused, and goes on."""
    began.edit(1, hosted=hosted)
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-1")
    began.append(0, "cancel_said", stream="x", cancel="c-1", status=200, cancelled=said)
    look(began, names=named)
    began.append(0, "observed", session="s", what="CancelRefused", stream_id="x", cancel_id="c-1", gone=True)
    refuse(began, reason="lost")
    assert promises(began.violations()) == broken


def test_p11_a_stop_of_a_turn_that_was_given_up_is_called_stale(began: Doctored) -> None:
    stop(began)
    tell(began)
    settle(began, "slot_free", seconds=1.6)
    judged, answered = refuse(began, reason="cancelled")
    assert "may be there" in began.only("P11", judged, answered)


@pytest.mark.parametrize("verdict", ["coalesced", "replayed"])
def test_p11_a_stop_is_given_the_answer_of_one_that_was_refused(began: Doctored, verdict: str) -> None:
    said = stop(began, said=False)
    answer(began, cancelled=False)
    judged = len(began.lines)
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="coalesce", first="c-1", shared=True)
    began.append(0, "cancel_confirmed", stream="x", cancel="c-2", status=200)
    answered = answer(began, "c-2", first="c-1", verdict=verdict, cancelled=False)
    assert "which the backend had not accepted" in began.only("P11", said, judged, answered)


@pytest.mark.parametrize(("verdict", "told"), [("coalesce", "coalesced"), ("repeat", "replayed")])
def test_p11_a_stop_is_given_the_answer_of_one_that_was_given_up(began: Doctored, verdict: str, told: str) -> None:
    stop(began)
    tell(began)
    given_up = settle(began, "slot_free", seconds=1.6)
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict=verdict, first="c-1", shared=True)
    began.append(0, "cancel_confirmed", stream="x", cancel="c-2", status=200)
    answered = answer(began, "c-2", first="c-1", verdict=told)
    assert "which had been given up" in began.only("P11", given_up, given_up + 1, answered)


def test_p11_two_further_stops_of_a_turn_that_was_given_up_may_share_an_answer(began: Doctored) -> None:
    stop(began)
    tell(began)
    settle(began, "slot_free", seconds=1.6)
    began.append(0, "cancel_judged", stream="x", cancel="c-3", verdict="coalesce", first="c-2", shared=None)
    stop(began, "c-2")
    answer(began, "c-2")
    answer(began, "c-3", first="c-2", verdict="coalesced")
    assert began.violations() == []


def test_p11_a_recorded_further_stop_of_a_turn_that_was_given_up_is_forwarded(trace: Doctored) -> None:
    given_up = trace.find("cancel_settled", missing=["slot_free"])
    judged = trace.find("cancel_judged", after=given_up, stream=trace.lines[given_up]["stream"])
    assert trace.lines[judged]["verdict"] == "forward"
    about = {name: trace.lines[judged][name] for name in ("stream", "cancel")}
    trace.cut(judged)
    trace.append(0, "cancel_judged", verdict="stale", **about)
    trace.append(0, "cancel_confirmed", status=200, **about)
    told = {"first": about["cancel"], "verdict": "stale", "reason": "cancelled", "status": 200, "cancelled": False}
    trace.append(0, "cancel_answered", **told, **about)
    trace.only("P11", judged, judged + 2)


def test_p11_a_stop_is_answered_as_if_it_had_been_forwarded(began: Doctored) -> None:
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", first=None, shared=None)
    answered = answer(began, cancelled=False)
    assert "as if it had been forwarded" in began.only("P11", answered - 1, answered)


@pytest.mark.parametrize("then", ["answered", "judged again", "the end", "said late"])
def test_p11_a_stop_waits_for_long_on_one_that_the_backend_does_not_answer(began: Doctored, then: str) -> None:
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-1")
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="coalesce", first="c-1", shared=None)
    began.append(3.5, "cancel_pondered")
    match then:
        case "answered":
            began.append(0, "cancel_failed", stream="x", cancel="c-2", code="backend_too_slow")
        case "judged again":
            began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="forward", first=None, shared=None)
        case "said late":
            began.append(0, "cancel_said", stream="x", cancel="c-1", status=200, cancelled=True)
            answer(began, "c-2", first="c-1", verdict="coalesced")
    assert "cancel c-2 waited 3.500s for an answer to c-1" in {
        v.sentence for v in began.violations() if v.promise == "P11"
    }


@pytest.mark.parametrize(("waited", "found"), [(1.0, 0), (3.5, 1)])
def test_p11_a_stop_whose_browser_left_waits_for_nothing_any_more(began: Doctored, waited: float, found: int) -> None:
    """Though the backend never answers the one that it waited for; until then it counts."""
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-1")
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="coalesce", first="c-1", shared=None)
    began.append(waited, "cancel_abandoned", stream="x", cancel="c-2")
    began.append(5.0, "cancel_failed", stream="x", cancel="c-1", code="backend_too_slow")
    assert promises(began.violations()) == ["P11"] * found


@pytest.mark.parametrize("first", ["c-1", None])
def test_p11_a_stop_waits_for_one_that_waits_for_its_turn_to_listen(began: Doctored, first: str | None) -> None:
    """And goes beside it once the backend has let both wait."""
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="coalesce", first=first, shared=None)
    began.append(4.5, "cancel_forwarded", stream="x", cancel="c-1")
    began.append(2.1, "observed", session="s", what="CancelOverdue", stream_id="x", cancel_id="c-1")
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-2")
    assert began.violations() == []


def test_p11_a_stop_waits_for_another_that_is_not_told(began: Doctored) -> None:
    began.append(0, "cancel_judged", stream="x", cancel="c-1", verdict="forward", first=None, shared=None)
    began.append(0, "cancel_forwarded", stream="x", cancel="c-1")
    began.append(0, "cancel_judged", stream="x", cancel="c-2", verdict="coalesce", shared=None)
    began.append(3.5, "cancel_pondered")
    began.only("P11", 3, 4, 5)
