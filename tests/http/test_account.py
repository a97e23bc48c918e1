"""One request's account: how long the backend was waited for, and whose the last word was."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from proxy.http.account import Account, asking, detach_from_request
from proxy.http.errors import BackendBrokenError, BadRequestError, NoCapacityError, ProxyError
from proxy.http.writer import PeerStalledError


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> Account:
    return Account(clock)


def test_it_counts_from_its_beginning(account: Account, clock: Clock) -> None:
    clock.now += 3
    assert (account.began, account.seconds, account.backend) == (100, 3, 0)


def test_several_asks_add_up(account: Account, clock: Clock) -> None:
    for _ in range(2):
        account.ask()
        clock.now += 2
        account.hear()
        clock.now += 5
    assert (account.backend, account.seconds) == (4, 14)


def test_an_ask_under_way_counts(account: Account, clock: Clock) -> None:
    """What is slow is told before the answer is there."""
    account.ask()
    clock.now += 7
    assert account.backend == 7


def test_two_asks_at_once_count_once(account: Account, clock: Clock) -> None:
    account.ask()
    clock.now += 1
    account.ask()
    clock.now += 1
    account.hear()
    clock.now += 1
    account.hear()
    clock.now += 1
    assert account.backend == 3


def test_asking_for_nobody_is_nobodys_time() -> None:
    with asking():
        pass


async def test_what_a_task_asks_is_on_the_account_of_the_request_that_started_it(
    account: Account, clock: Clock
) -> None:
    """P10: a start goes on in a task of its own."""

    async def ask() -> None:
        with asking():
            clock.now += 2

    async def carry_out() -> None:
        account.make_current()
        await asyncio.create_task(ask())

    await asyncio.create_task(carry_out())
    await ask()
    assert account.backend == 2


async def test_what_outlasts_a_request_is_on_nobodys_account(account: Account, clock: Clock) -> None:
    async def settle() -> None:
        detach_from_request()
        with asking():
            clock.now += 2

    account.make_current()
    await asyncio.create_task(settle())
    assert account.backend == 0
    with asking():
        clock.now += 1
    assert account.backend == 1


def test_whoever_was_asked_last_has_the_last_word(account: Account) -> None:
    def carry_out() -> None:
        account.make_current()
        with asking():
            pass

    before = account.ended_by
    contextvars.copy_context().run(carry_out)
    assert (before, account.ended_by) == ("proxy", "backend")


def test_an_ask_that_fails_is_waited_for_and_answers_nothing(account: Account, clock: Clock) -> None:
    def carry_out() -> None:
        account.make_current()
        with asking():
            clock.now += 2
            raise BackendBrokenError("why")

    with pytest.raises(BackendBrokenError):
        contextvars.copy_context().run(carry_out)
    assert (account.backend, account.ended_by) == (2, "proxy")


@pytest.mark.parametrize(
    ("cause", "told", "error", "ended_by"),
    [
        (BackendBrokenError("why"), BackendBrokenError("why"), "backend_broken", "backend"),
        (NoCapacityError("", retry_after=1), NoCapacityError("", retry_after=1), "no_capacity", "proxy"),
        (ValueError(), BadRequestError("why"), "bad_request", "proxy"),
        (ZeroDivisionError(), ProxyError("why"), "internal_error", "proxy"),
        (None, ProxyError("why"), "internal_error", "proxy"),
        (PeerStalledError(), ProxyError("why"), "browser_stalled", "proxy"),
    ],
)
def test_a_failure_has_a_code_and_somebody_who_caused_it(
    account: Account, cause: Exception | None, told: ProxyError, error: str, ended_by: str
) -> None:
    account.fail(cause, told)
    assert (account.error, account.ended_by, account.left) == (error, ended_by, False)


def test_a_connection_that_breaks_is_a_browser_that_left(account: Account) -> None:
    account.fail(ConnectionResetError(), ProxyError("why"))
    assert (account.error, account.left) == (None, True)


def test_bytes_written_add_up(account: Account) -> None:
    account.wrote(5)
    account.wrote(7)
    assert account.sent == 12
