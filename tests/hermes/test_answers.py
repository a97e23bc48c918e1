"""Hermes' answers, read and written; one of any other shape teaches nothing (P8: transparent when unsure)."""

import json
from typing import Any

import pytest

from proxy.core.records import Ending
from proxy.hermes.answers import (
    Conflict,
    Login,
    SessionAnswer,
    Started,
    StatusAnswer,
    is_missing,
    is_stranger,
    read_cancel,
    read_login,
    read_session,
    read_start,
    read_status,
    refused_cancel,
    stale_cancel,
    stream_begun,
    takes_page,
)

RUBBISH = [b"", b"<html>", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"{}", b"[" * 200_000, b"9" * 5000]
rubbish = pytest.mark.parametrize("body", RUBBISH, ids=lambda body: repr(body[:9]))


def answer(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@rubbish
@pytest.mark.parametrize("status", [200, 401, 409, 500])
def test_an_answer_of_another_shape_teaches_nothing(status: int, body: bytes) -> None:
    assert read_start(status, body, "s") is None
    assert stream_begun(status, body) is None
    assert read_cancel(status, body) is None
    assert read_status(status, body) is None
    assert read_session(status, body) is None
    assert read_login(status, body) is None
    assert not is_missing(status, body)


# -- starts ---------------------------------------------------------------------------------------


def test_a_start_was_accepted() -> None:
    assert read_start(200, answer(stream_id="x", session_id="s"), None) == Started("s", "x")


@pytest.mark.parametrize(("status", "begun"), [(200, "x"), (202, None), (409, None), (500, None)])
def test_only_hermes_own_word_for_it_says_that_a_stream_has_begun(status: int, begun: str | None) -> None:
    assert stream_begun(status, answer(stream_id="x")) == begun


def test_a_start_says_when_its_turn_began() -> None:
    """On Hermes' clock, by which `/health` may know the turn again (F15)."""
    started = read_start(200, answer(stream_id="x", session_id="s", pending_started_at=1700.5), None)
    assert started == Started("s", "x", 1700.5)
    assert isinstance(started, Started)
    assert started.is_hosted


@pytest.mark.parametrize("stamp", [{}, {"pending_started_at": None}, {"pending_started_at": "1700"}])
def test_a_turn_without_a_beginning_is_a_runners(stamp: dict[str, object]) -> None:
    """F20: no cancel reaches it."""
    started = read_start(200, answer(stream_id="x", session_id="s", **stamp), None)
    assert isinstance(started, Started)
    assert not started.is_hosted


def test_a_side_stream_names_a_session_of_its_own() -> None:
    body = answer(stream_id="x", session_id="ephemeral", parent_session_id="s")
    assert read_start(200, body, "s") == Started("ephemeral", "x")


@pytest.mark.parametrize("session_id", [None, "", 7])
def test_the_session_that_was_asked_for_stands_in(session_id: object) -> None:
    body = answer(stream_id="x", session_id=session_id)
    assert read_start(200, body, "s") == Started("s", "x")
    assert read_start(200, body, None) is None


def test_a_goal_that_starts_no_turn() -> None:
    assert read_start(200, answer(ok=True, session_id="s"), "s") is None


def test_a_start_was_refused() -> None:
    body = answer(error="session already has an active stream", active_stream_id="x")
    assert read_start(409, body, "s") == Conflict("x")
    assert read_start(409, answer(error="not now"), "s") is None


@pytest.mark.parametrize("status", [201, 202, 400, 404, 500])
def test_any_other_status_of_a_start_teaches_nothing(status: int) -> None:
    assert read_start(status, answer(stream_id="x", session_id="s", active_stream_id="x"), "s") is None


# -- cancels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_cancel_was_answered(*, cancelled: bool) -> None:
    assert read_cancel(200, answer(ok=True, cancelled=cancelled, stream_id="x")) is cancelled


@pytest.mark.parametrize("cancelled", [None, 1, "true"])
def test_a_cancel_whose_answer_is_neither(cancelled: object) -> None:
    assert read_cancel(200, answer(cancelled=cancelled)) is None


def test_a_gateway_that_could_not_cancel() -> None:
    assert read_cancel(502, answer(ok=False, cancelled=False, error="Gateway stop failed")) is None


def test_a_stale_cancel_is_answered_in_hermes_shape() -> None:
    body = stale_cancel("x", Ending.SUPERSEDED, "y")
    assert json.loads(body) == {
        "ok": True,
        "cancelled": False,
        "stream_id": "x",
        "reason": "superseded",
        "active_stream_id": "y",
    }
    assert read_cancel(200, body) is False


def test_a_stale_cancel_names_an_owner_only_if_there_is_one() -> None:
    assert "active_stream_id" not in json.loads(stale_cancel("x", Ending.FINISHED, None))


def test_a_stale_cancel_repeats_whatever_stream_was_asked_for() -> None:
    assert json.loads(stale_cancel('x"\n…', Ending.LOST, None))["stream_id"] == 'x"\n…'


def test_a_refused_cancel_of_a_superseded_stream_names_the_one_that_took_over() -> None:
    body = refused_cancel(answer(ok=True, cancelled=False, stream_id="x"), Ending.SUPERSEDED, "y")
    assert json.loads(body)["active_stream_id"] == "y"


def test_a_refused_cancel_keeps_what_the_backend_said() -> None:
    body = refused_cancel(answer(ok=True, cancelled=True, stream_id="x", extra=[1]), Ending.FINISHED)
    assert json.loads(body) == {
        "ok": True,
        "cancelled": False,
        "stream_id": "x",
        "extra": [1],
        "reason": "finished",
    }


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff x"])
def test_half_a_surrogate_pair_goes_on_as_it_came(half: str) -> None:
    """JSON can escape one (RFC 8259 section 8.2), and UTF-8 cannot spell it."""
    said = json.loads(f'"{half}"')
    refused = refused_cancel(b'{"cancelled": true, "title": "%b"}' % half.encode(), Ending.FINISHED)
    assert json.loads(refused)["title"] == said
    assert json.loads(stale_cancel("x", Ending.LOST, said))["active_stream_id"] == said


# -- status ---------------------------------------------------------------------------------------


def test_an_active_stream() -> None:
    body = answer(active=True, stream_id="x", journal={"terminal": False, "session_id": "s"})
    assert read_status(200, body) == StatusAnswer(active=True, ending=None, session_id="s")


@pytest.mark.parametrize("journal", [None, [], "text", {}, {"terminal": "yes", "terminal_state": "completed"}])
def test_an_inactive_stream_without_proof_of_its_end(journal: object) -> None:
    """F3: `active: false` alone is no proof."""
    body = answer(active=False, stream_id="x", journal=journal)
    is_open = isinstance(journal, dict) and bool(journal)
    assert read_status(200, body) == StatusAnswer(active=False, ending=None, session_id=None, is_open=is_open)


@pytest.mark.parametrize(
    ("active", "journal", "is_open"),
    [
        (False, {"terminal": False}, True),
        (False, {"terminal": True, "terminal_state": "completed"}, False),
        (False, {}, False),
        (True, {"terminal": False}, False),
    ],
)
def test_a_journal_is_open_if_it_has_no_end_and_nobody_can_subscribe(
    journal: dict[str, object], *, active: bool, is_open: bool
) -> None:
    """F3: the worker still unwinds, or was lost."""
    status = read_status(200, answer(active=active, journal=journal))
    assert status is not None
    assert status.is_open is is_open


@pytest.mark.parametrize(
    ("terminal_state", "ending"),
    [
        ("completed", Ending.FINISHED),
        ("tool_limit_reached", Ending.FINISHED),
        ("interrupted-by-user", Ending.CANCELLED),
        ("interrupted-by-crash", Ending.FAILED),
        ("errored", Ending.FAILED),
        ("another", Ending.UNKNOWN),
        (None, Ending.UNKNOWN),
    ],
)
def test_a_journal_that_has_ended(terminal_state: str | None, ending: Ending) -> None:
    journal = {"terminal": True, "terminal_state": terminal_state, "session_id": "s"}
    assert read_status(200, answer(active=False, journal=journal)) == StatusAnswer(
        active=False, ending=ending, session_id="s"
    )


def test_a_status_that_was_refused_teaches_nothing() -> None:
    assert read_status(401, answer(active=True)) is None


@pytest.mark.parametrize(("status", "missing"), [(404, True), (200, False), (401, False), (503, False)])
def test_a_stream_that_could_not_be_opened(status: int, *, missing: bool) -> None:
    assert is_missing(status, answer(error="stream not found")) is missing


def test_a_session_that_is_hidden_from_the_caller_says_nothing_about_its_stream() -> None:
    assert not is_missing(404, answer(error="Session not found"))


# -- sessions -------------------------------------------------------------------------------------


def test_a_session_says_when_it_was_last_saved() -> None:
    """F22: a worker saves it right before its agent begins."""
    body = answer(session={"session_id": "s", "updated_at": 1700.25})
    assert read_session(200, body) == SessionAnswer(1700.25)


@pytest.mark.parametrize("saved", [None, "1700", True])
def test_a_session_that_does_not_say_when_it_was_saved(saved: object) -> None:
    assert read_session(200, answer(session={"updated_at": saved})) == SessionAnswer(None)
    assert read_session(200, answer(session={})) == SessionAnswer(None)


@pytest.mark.parametrize("session", [None, [], "text", 7])
def test_an_answer_without_a_session(session: object) -> None:
    assert read_session(200, answer(session=session)) is None


def test_a_session_that_was_refused_teaches_nothing() -> None:
    assert read_session(404, answer(session={"updated_at": 1700.25})) is None


# -- logins ---------------------------------------------------------------------------------------


def test_whether_a_login_is_needed_and_there_is_one() -> None:
    old = answer(auth_enabled=True, logged_in=False)
    new = answer(auth_enabled=False, logged_in=False, oidc_enabled=False)
    assert read_login(200, old) == Login(needed=True, done=False, knows_oidc=False)
    assert read_login(200, new) == Login(needed=False, done=False, knows_oidc=True)


def test_whether_a_header_says_who_is_logged_in() -> None:
    told = answer(auth_enabled=True, logged_in=False, trusted_auth_enabled=True)
    assert read_login(200, told) == Login(needed=True, done=False, knows_oidc=False, goes_by_header=True)


@pytest.mark.parametrize("fields", [{"auth_enabled": True}, {"logged_in": True}, {"auth_enabled": 1, "logged_in": 0}])
def test_a_login_status_of_another_shape_says_nothing(fields: dict[str, object]) -> None:
    assert read_login(200, answer(**fields)) is None


# -- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "taken"),
    [
        (400, "Missing required field(s): session_id", True),
        (403, "Session expired - reload the page", True),
        (403, "Cross-origin mismatch - check reverse proxy headers", False),
        (403, "Cross-origin request rejected", False),
        (403, "Profile access forbidden", False),
        (401, "Authentication required", False),
        (404, "not found", False),
        (200, None, False),
        (503, None, False),
    ],
)
def test_a_start_without_a_session_shows_whether_its_page_is_taken(status: int, error: str, *, taken: bool) -> None:
    """F10."""
    assert takes_page(status, answer(error=error)) is taken


def test_a_stranger_is_told_so_before_anything_else() -> None:
    assert is_stranger(401)
    assert not is_stranger(403)
