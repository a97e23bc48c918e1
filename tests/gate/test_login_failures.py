"""F9: one guesser is stopped before Hermes counts his failures against everybody."""

import pytest

from proxy.gate.login_failures import FAILURES, REMEMBERED, SPENDABLE, LoginFailures
from proxy.hermes.precautions import LOGIN_FAILURES, LOGIN_WINDOW


def fail(logins: LoginFailures, client: str, *times: float) -> None:
    for at in times:
        assert logins.wait(client, at) == 0
        logins.began(client)
        logins.failed(client, at)


def log_in(logins: LoginFailures, *clients: str) -> None:
    for client in clients:
        logins.began(client)
        logins.succeeded(client)


@pytest.fixture
def logins() -> LoginFailures:
    return LoginFailures()


def test_one_client_alone_cannot_use_up_what_strangers_may_fail() -> None:
    """F9: the fifth failure shuts everybody out."""
    assert FAILURES < SPENDABLE


def test_a_client_may_fail_so_often_and_then_waits(logins: LoginFailures) -> None:
    fail(logins, "guesser", 0.0, 1.0, 2.0)
    assert logins.wait("guesser", 2.0) == LOGIN_WINDOW - 2.0
    assert logins.wait("guesser", 59.5) == 0.5


def test_a_failure_counts_for_as_long_as_at_hermes(logins: LoginFailures) -> None:
    fail(logins, "guesser", 0.0, 1.0, 2.0, LOGIN_WINDOW)
    assert logins.wait("guesser", LOGIN_WINDOW) == 1.0


def test_others_may_go_on(logins: LoginFailures) -> None:
    fail(logins, "guesser", 0.0, 1.0, 2.0)
    assert logins.wait("other", 2.0) == 0


def test_nobody_tries_many_passwords_at_once(logins: LoginFailures) -> None:
    for _ in range(FAILURES):
        assert logins.wait("guesser", 0.0) == 0
        logins.began("guesser")
    assert logins.wait("guesser", 0.0) > 0
    logins.gave_up("guesser")
    assert logins.wait("guesser", 0.0) == 0


def test_who_gets_in_has_his_failures_forgotten(logins: LoginFailures) -> None:
    fail(logins, "clumsy", 0.0, 1.0)
    log_in(logins, "clumsy")
    fail(logins, "clumsy", 2.0, 3.0, 4.0)
    assert logins.wait("clumsy", 4.0) > 0


def test_strangers_together_never_spend_the_last_failure_before_hermes_shuts_out_all(
    logins: LoginFailures,
) -> None:
    for number in range(SPENDABLE):
        fail(logins, f"stranger {number}", float(number))
    assert SPENDABLE < LOGIN_FAILURES
    assert logins.wait("stranger", 4.0) == LOGIN_WINDOW - 4.0
    assert logins.wait("stranger", LOGIN_WINDOW) == 0


def test_who_has_logged_in_before_is_not_kept_out_by_strangers(logins: LoginFailures) -> None:
    log_in(logins, "known")
    for number in range(SPENDABLE):
        fail(logins, f"stranger {number}", 1.0)
    assert logins.wait("known", 1.0) == 0
    fail(logins, "known", 1.0, 1.0, 1.0)
    assert logins.wait("known", 1.0) == LOGIN_WINDOW


def test_what_is_tried_by_known_clients_counts_against_strangers(logins: LoginFailures) -> None:
    """Hermes counts everybody together."""
    log_in(logins, "a", "b")
    fail(logins, "a", 1.0, 1.0)
    fail(logins, "b", 1.0)
    logins.began("b")
    assert logins.wait("stranger", 1.0) == LOGIN_WINDOW


def test_so_many_are_remembered_and_the_one_longest_away_is_forgotten_first(logins: LoginFailures) -> None:
    """P7."""
    log_in(logins, "returns", "leaves", *(f"client {number}" for number in range(REMEMBERED - 2)), "returns", "new")
    for _ in range(SPENDABLE):
        logins.began("crowd")
    assert [logins.wait(client, 0.0) > 0 for client in ("returns", "leaves", "new")] == [False, True, False]


def test_nothing_is_kept_about_those_who_have_failed_long_ago(logins: LoginFailures) -> None:
    fail(logins, "guesser", 0.0, 1.0)
    logins.wait("other", 2 * LOGIN_WINDOW)
    assert not logins._failures
    assert not logins._trying
