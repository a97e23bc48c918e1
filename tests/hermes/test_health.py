"""What `/health` tells of the backend's process and of its workers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.records import Slot
from proxy.hermes.health import (
    Run,
    Runs,
    ServerStart,
    Turn,
    read_runs,
    read_server_start,
    read_unstopped,
    tells_server_start,
)

RUBBISH = [b"", b"<html>", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"{}", b"[" * 200_000, b"9" * 5000]


def answer(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def runs_of(*runs: Mapping[str, object]) -> Runs:
    read = read_runs(200, answer(runs=runs))
    assert read is not None
    return read


@pytest.mark.parametrize("body", RUBBISH, ids=lambda body: repr(body[:9]))
@pytest.mark.parametrize("status", [200, 401, 500])
def test_an_answer_of_another_shape_teaches_nothing(status: int, body: bytes) -> None:
    """P8: transparent when unsure."""
    assert read_runs(status, body) is None
    assert read_server_start(status, body, 10, 11) is None
    assert not tells_server_start(body)


# -- when the process began -----------------------------------------------------------------------


@pytest.mark.parametrize("uptime", [0, 2, 2.5])
def test_how_old_the_process_is(uptime: float) -> None:
    start = read_server_start(200, answer(uptime_seconds=uptime), 10, 11)
    assert start == ServerStart(10, 11, None, uptime)
    assert start is not None
    assert start.at == 10 - uptime, "the earliest moment that it may have begun"


def test_when_the_process_began() -> None:
    start = read_server_start(200, answer(server_started_at=1700.5), 10, 11)
    assert start == ServerStart(10, 11, 1700.5, None)
    assert start is not None
    assert start.at == 10, "it says nothing about the reader's clock"


@pytest.mark.parametrize("uptime", [None, "2", True, [2]])
def test_an_uptime_that_is_no_number(uptime: object) -> None:
    assert read_server_start(200, answer(uptime_seconds=uptime), 10, 11) is None


@pytest.mark.parametrize("uptime", [b"9" * 400, b"1e999", b"-1e999", b"NaN"])
def test_an_uptime_that_nobody_can_count(uptime: bytes) -> None:
    assert read_server_start(200, b'{"uptime_seconds": %b}' % uptime, 10, 11) is None


def test_health_that_is_not_well_says_no_uptime() -> None:
    assert read_server_start(503, answer(uptime_seconds=2, server_started_at=1700), 10, 11) is None


def test_a_later_release_tells_when_its_process_began() -> None:
    assert tells_server_start(answer(server_started_at=1.0))
    assert not tells_server_start(answer(uptime_seconds=1.0))


# -- another process ------------------------------------------------------------------------------


def by_stamp(stamp: float | None, uptime: float | None = None) -> ServerStart:
    return ServerStart(10, 10, stamp, uptime)


@pytest.mark.parametrize(
    ("before", "now", "is_another"),
    [(1700.0, 1700.0, False), (1700.0, 1700.3, True), (1700.0, 1701.5, True), (1700.0, 1600.0, False)],
)
def test_another_process_began_later_by_its_own_clock(before: float, now: float, *, is_another: bool) -> None:
    """A process names the same moment for as long as it lives; an earlier one is an old answer, or a clock was set."""
    assert by_stamp(now).is_later_than(by_stamp(before)) is is_another


def test_its_own_clock_goes_before_its_age() -> None:
    assert not by_stamp(1700, uptime=0).is_later_than(by_stamp(1700, uptime=500))


def test_an_age_that_went_back_is_another_process() -> None:
    before = ServerStart(asked=10, answered=10.1, stamp=None, uptime=500)
    assert ServerStart(asked=20, answered=20.1, stamp=None, uptime=3).is_later_than(before)
    assert not ServerStart(asked=20, answered=20.1, stamp=None, uptime=510).is_later_than(before)


def test_a_process_that_names_its_beginning_is_compared_with_one_that_did_not_by_age() -> None:
    before = ServerStart(asked=10, answered=10, stamp=None, uptime=500)
    assert ServerStart(asked=20, answered=20, stamp=1700, uptime=3).is_later_than(before)


@pytest.mark.parametrize(("before", "now"), [(None, 3.0), (500.0, None), (None, None)])
def test_what_does_not_say_its_age_is_not_known_to_be_another(before: float | None, now: float | None) -> None:
    assert not ServerStart(20, 20, 1700, now).is_later_than(ServerStart(10, 10, None, before))


@given(
    began=st.floats(0, 100),
    delays=st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(0, 60), st.floats(0, 60)),
    pause=st.floats(0, 60),
)
def test_the_same_process_is_never_taken_for_another_however_late_it_answers(
    began: float, delays: tuple[float, float, float, float], pause: float
) -> None:
    """A busy backend reckons its age at any moment between a question and its answer."""
    to_first, from_first, to_second, from_second = delays
    asked = began + 200
    first = ServerStart(asked, asked + to_first + from_first, None, asked + to_first - began)
    again = first.answered + pause
    second = ServerStart(again, again + to_second + from_second, None, again + to_second - began)
    assert not second.is_later_than(first)
    assert not first.is_later_than(second)


@given(delay=st.floats(0, 60), age=st.floats(0, 60), down=st.floats(1.1, 60))
def test_a_process_that_certainly_began_later_is_another(delay: float, age: float, down: float) -> None:
    first = ServerStart(asked=100, answered=100 + delay, stamp=None, uptime=50)
    began = first.answered - 50 + down
    asked = max(first.answered, began) + age
    second = ServerStart(asked, asked + delay, None, asked - began)
    assert second.is_later_than(first)


# -- workers --------------------------------------------------------------------------------------


def test_nobody_runs() -> None:
    runs = runs_of()
    assert runs == Runs()
    assert runs.is_empty
    assert runs.slot(Turn("x")) is Slot.FREE


def test_what_is_said_of_a_worker_is_read() -> None:
    said = {"stream_id": "x", "started_at": 1700.5, "phase": "cancelling", "backend": "gateway"}
    assert runs_of(said) == Runs((Run("x", 1700.5, is_cancelled=True, is_gateway=True),))
    assert runs_of({}) == Runs((Run(),))
    assert runs_of({"phase": "running", "backend": "local"}) == Runs((Run(),))


@pytest.mark.parametrize("mark", [{"phase": "cancelling"}, {"phase": "finalizing"}, {"cancelled_at": None}])
def test_a_worker_may_be_marked_as_cancelled(mark: dict[str, object]) -> None:
    """F15."""
    assert runs_of(mark).marks_cancelled
    assert runs_of({}, mark).marks_cancelled
    assert not runs_of({}).marks_cancelled


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        ({"started_at": 100.0, "cancelled_at": 160.0, "age_seconds": 95.0, "phase": "running"}, (35.0,)),
        ({"started_at": 100.0, "age_seconds": 95.0, "phase": "cancelling"}, (95.0,)),
        ({"cancelled_at": 160.0, "age_seconds": 95.0}, (95.0,)),
        ({"started_at": 100.0, "cancelled_at": 160.0}, ()),
        ({"started_at": 100.0, "age_seconds": 95.0, "phase": "finalizing"}, ()),
        ({"started_at": 100.0, "age_seconds": 95.0, "phase": "running", "cancelled_at": None}, ()),
    ],
)
def test_for_how_long_a_run_has_gone_on_since_it_was_cancelled(
    run: dict[str, object], seconds: tuple[float, ...]
) -> None:
    """A long turn that comes to its end by itself is none."""
    assert read_unstopped(200, answer(runs=[run, 7])) == seconds
    assert read_unstopped(500, answer(runs=[run])) == ()


@pytest.mark.parametrize("body", RUBBISH)
def test_no_run_goes_on_in_what_cannot_be_read(body: bytes) -> None:
    assert read_unstopped(200, body) == ()


@pytest.mark.parametrize("runs", [None, {}, "text", [1], [{"stream_id": "x"}, None]])
def test_runs_that_cannot_be_read(runs: object) -> None:
    assert read_runs(200, answer(runs=runs)) is None


def test_health_that_is_not_well_says_nothing_of_runs() -> None:
    assert read_runs(500, answer(runs=[])) is None


@pytest.mark.parametrize("runs", [runs_of({"stream_id": "x"}), runs_of({})])
def test_somebody_works_named_or_not(runs: Runs) -> None:
    assert not runs.is_empty


@pytest.mark.parametrize(
    ("runs", "includes"),
    [
        (runs_of({"stream_id": "x"}), True),
        (runs_of({}, {"stream_id": "x"}), True),
        (runs_of({"stream_id": "y"}), False),
        (runs_of(), False),
        (runs_of({"stream_id": "y"}, {}), None),
    ],
)
def test_somebody_works_on_a_stream_unless_it_cannot_be_told(runs: Runs, includes: bool | None) -> None:  # noqa: FBT001 - a column of the table above
    assert runs.includes("x") is includes


# -- the worker of a cancelled turn ---------------------------------------------------------------

TURN = Turn("x", stamp=1700.0, known_for=10.0)


def test_a_worker_that_is_named_is_known_by_its_name() -> None:
    """F3: up to v0.51.762 a run is named by its stream, whatever its times are."""
    assert runs_of({"stream_id": "x", "started_at": 9.0}, {"stream_id": "y"}).slot(TURN) is Slot.BUSY
    assert runs_of({"stream_id": "y", "started_at": 1700.0}).slot(TURN) is Slot.FREE


def test_a_named_worker_needs_no_mark() -> None:
    assert runs_of({"stream_id": "x"}).slot(TURN, marked=True) is Slot.BUSY


@pytest.mark.parametrize(
    ("began", "slot"),
    [
        (1698.5, Slot.FREE),
        (1699.5, Slot.BUSY),
        (1700.0, Slot.BUSY),
        (1710.0, Slot.BUSY),
        (1714.5, Slot.BUSY),
        (1715.5, Slot.FREE),
        (None, Slot.BUSY),
    ],
)
def test_a_nameless_worker_may_be_the_turns_if_it_began_while_that_was_known(began: float | None, slot: Slot) -> None:
    """F15: what may be its worker counts as its worker."""
    assert runs_of({"started_at": began}).slot(TURN) is slot


@pytest.mark.parametrize("began", [9.0, 1700.0, None])
def test_of_a_turn_without_a_beginning_any_nameless_worker_may_be_it(began: float | None) -> None:
    assert runs_of({"started_at": began}).slot(Turn("x")) is Slot.BUSY


def test_where_cancelled_workers_are_marked_another_is_not_it() -> None:
    """F15: the next turn's worker, which nobody cancelled."""
    unmarked, marked = {"started_at": 1700.0}, {"started_at": 1700.0, "phase": "cancelling"}
    assert runs_of(unmarked).slot(TURN, marked=True) is Slot.FREE
    assert runs_of(unmarked).slot(TURN, marked=False) is Slot.BUSY
    assert runs_of(unmarked, marked).slot(TURN, marked=True) is Slot.BUSY


def test_a_gateways_worker_takes_no_slot() -> None:
    """F19: the next start is accepted beside it, or refused by the backend itself."""
    gateway = {"stream_id": "x", "backend": "gateway"}
    assert runs_of(gateway).slot(TURN) is Slot.FENCED
    assert runs_of(gateway, {"started_at": 1700.0}).slot(TURN) is Slot.BUSY
