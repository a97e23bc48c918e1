"""Harmless questions, and which answers are Hermes' own."""

import json

import pytest

from proxy.hermes.answers import Login
from proxy.hermes.contract import Cancel, OpenStream, SessionChannel, Start, Status, classify
from proxy.hermes.probe import (
    HEALTH,
    LOCAL_ONLY,
    LOGIN,
    PREFLIGHT,
    Forwarded,
    Heard,
    Identity,
    Question,
    questions,
    read_forwarded,
    read_identity,
)

NOBODY = "check-1"


def heard(status: int = 200, **fields: object) -> Heard:
    return Heard(status, is_stream=False, body=json.dumps(fields).encode())


STREAM = Heard(200, is_stream=True, body=b"event: initial\n")
SILENT = Heard(200, is_stream=True, body=b"")
PAGE = Heard(200, is_stream=False, body=b"<html>")
MISSING = heard(404, error="stream not found")


def question(call: str) -> Question:
    return next(one for one in questions(NOBODY) if one.call == call)


def test_each_is_about_nobody_and_is_the_call_it_says() -> None:
    calls = {one.call: classify(one.method, one.target, "text/event-stream") for one in questions(NOBODY)}
    assert {call: type(made).__name__ for call, made in calls.items()} == {call: call for call in calls}
    assert calls["Cancel"] == Cancel(NOBODY)
    assert calls["Status"] == Status(NOBODY)
    assert calls["OpenStream"] == OpenStream(NOBODY)
    assert calls["SessionChannel"] == SessionChannel(NOBODY)
    assert calls["Start"] == Start(takes_turn=True)
    assert question("Start").body == b"{}", "it names no session, so that nothing starts"


@pytest.mark.parametrize(
    ("call", "good", "bad"),
    [
        ("Start", [heard(400, error="Missing required field(s): session_id")], [heard(stream_id="x"), MISSING]),
        ("Cancel", [heard(cancelled=False)], [heard(cancelled=True), heard(), PAGE, heard(404)]),
        ("Status", [heard(active=False)], [heard(active=True), heard(), PAGE, heard(500)]),
        ("OpenStream", [MISSING], [heard(404, error="not found"), STREAM, PAGE]),
        ("SessionChannel", [STREAM, SILENT, heard(404)], [PAGE, heard(500)]),
        ("EventStream", [STREAM], [SILENT, PAGE, MISSING]),
    ],
)
def test_an_answer_fits_or_not(call: str, good: list[Heard], bad: list[Heard]) -> None:
    assert [question(call).fits(each) for each in good] == [True] * len(good)
    assert [question(call).fits(each) for each in bad] == [False] * len(bad)


def test_health_fits_if_runs_and_uptime_can_be_read() -> None:
    assert HEALTH.fits(heard(runs=[], uptime_seconds=1))
    assert not HEALTH.fits(heard(runs=[]))
    assert not HEALTH.fits(heard(uptime_seconds=1))
    assert not HEALTH.fits(PAGE)


def test_the_login_fits_if_it_says_whether_it_is_needed() -> None:
    assert LOGIN.fits(heard(auth_enabled=True, logged_in=False))
    assert not LOGIN.fits(PAGE)


def test_the_others_fit_by_their_status() -> None:
    for other in (LOCAL_ONLY, PREFLIGHT):
        assert other.fits(PAGE)
        assert not other.fits(MISSING)


@pytest.mark.parametrize(
    ("far", "near", "said"),
    [
        (403, 200, Forwarded.BELIEVED),
        (200, 200, Forwarded.IGNORED),
        (403, 403, Forwarded.REFUSED),
        (404, 404, None),
        (200, 403, None),
    ],
)
def test_who_is_local_tells_what_becomes_of_forwarded_addresses(far: int, near: int, said: Forwarded | None) -> None:
    """F9."""
    assert read_forwarded(far, near) is said


@pytest.mark.parametrize(
    ("needed", "done", "by_header", "said"),
    [
        (True, True, True, Identity.BELIEVED),
        (True, True, False, Identity.BELIEVED),
        (True, False, True, Identity.ANOTHER),
        (True, False, False, Identity.NOT_BELIEVED),
        (False, False, False, Identity.NOT_BELIEVED),
    ],
)
def test_the_login_of_somebody_made_up_tells_what_becomes_of_headers_that_name_one(
    *, needed: bool, done: bool, by_header: bool, said: Identity
) -> None:
    assert read_identity(Login(needed, done, knows_oidc=True, goes_by_header=by_header)) is said
    assert read_identity(None) is None
