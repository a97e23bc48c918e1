"""F9: guessed passwords are counted for each client, before they count against everybody."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.gate.login import LoginGuard
from proxy.hermes.precautions import LOGIN_FAILURES
from proxy.http.errors import BackendBrokenError, BackendUnreachableError, TooManyLoginsError
from proxy.http.message import Answer, Body, RequestHead
from proxy.tasks import Tasks
from tests.support.clients import FRONT, HOST, LAN, STRANGER, coming_from
from tests.support.lab import Lab, MakeLab, Reply
from tests.support.raw import RawBrowser
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend
    from proxy.http.downstream.request import Request

LOGIN = "/api/auth/login"
PASSWORD = "secret"
LET_IN = Answer(200, b"OK", (), b"{}")
REFUSED = Answer(401, b"", (), b"{}")


async def log_in(lab: Lab, password: str, *chain: str, path: str = LOGIN) -> Reply:
    headers = coming_from(*chain) if chain else {}
    return await lab.browser.call("POST", path, json={"password": password}, headers=headers)


async def test_one_guesser_is_stopped_and_nobody_else(make_lab: MakeLab, release: str) -> None:
    lab = await make_lab(release, client=FRONT, password=PASSWORD)

    assert [(await log_in(lab, "guess", STRANGER)).status for _ in range(3)] == [401] * 3
    refused = await log_in(lab, PASSWORD, STRANGER)
    assert (refused.status, refused.json["code"]) == (429, "too_many_logins")
    wait = int(dict(refused.headers)["Retry-After"])
    assert 50 < wait <= 60
    assert refused.json["error"] == f"Too many failed logins; try again in {wait} s."
    assert lab.notices.of("request_refused") == [{"code": "too_many_logins", "path": LOGIN, "client": STRANGER}]

    assert len(lab.backend.ledger.requests_for(LOGIN)) == 3
    assert (await log_in(lab, PASSWORD, LAN)).status == 200
    assert (await log_in(lab, PASSWORD, HOST)).status == 200


async def test_guessers_in_a_crowd_keep_out_nobody_who_has_been_in_before(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT, password=PASSWORD)
    await log_in(lab, PASSWORD, LAN)

    statuses = [(await log_in(lab, "guess", f"203.0.113.{number}")).status for number in range(10)]

    assert statuses == [401] * (LOGIN_FAILURES - 1) + [429] * (11 - LOGIN_FAILURES)
    assert len(lab.backend.ledger.requests_for(LOGIN)) == LOGIN_FAILURES
    assert (await log_in(lab, PASSWORD, LAN)).status == 200


async def test_guesses_of_one_ipv6_network_are_counted_together(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT, password=PASSWORD)
    statuses = [(await log_in(lab, "guess", f"2001:db8:0:1::{number}")).status for number in range(4)]
    assert statuses == [401, 401, 401, 429]


async def test_what_hermes_answers_is_passed_on_as_it_is(make_lab: MakeLab) -> None:
    lab = await make_lab(password=PASSWORD)
    for password in ("guess", PASSWORD):
        direct = await lab.direct.call("POST", LOGIN, json={"password": password})
        guarded = await log_in(lab, password)
        assert (guarded.status, guarded.json) == (direct.status, direct.json)
        assert [name for name, _ in guarded.headers] == [name for name, _ in direct.headers]


async def test_a_login_whose_body_never_comes_keeps_nobody_out(make_lab: MakeLab) -> None:
    lab = await make_lab(client=FRONT, password=PASSWORD)
    slow = [RawBrowser(int(lab.browser.base.rpartition(":")[2])) for _ in range(2 * LOGIN_FAILURES)]
    for number, browser in enumerate(slow):
        await browser.connect()
        head = f"POST {LOGIN} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.{number}\r\nContent-Length: 9\r\n\r\n{{"
        await browser.send(head.encode())
    assert (await log_in(lab, PASSWORD, STRANGER)).status == 200
    for browser in slow:
        browser.close()


async def test_a_body_that_is_no_login_is_not_held(make_lab: MakeLab) -> None:
    """P7."""
    lab = await make_lab(password=PASSWORD)
    assert (await log_in(lab, "x" * 100_000)).status == 413


async def test_a_login_without_a_body_is_the_backends_to_refuse(make_lab: MakeLab) -> None:
    lab = await make_lab(password=PASSWORD)
    assert (await lab.browser.call("POST", LOGIN)).status == 401


class Asked:
    """A Hermes that takes a second over a login, and then does the same every time."""

    def __init__(self, outcome: Answer | Exception) -> None:
        self._outcome = outcome
        self.times = 0

    async def ask(self, _head: RequestHead, _body: Body | None) -> Answer:
        self.times += 1
        await asyncio.sleep(1.0)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class Attempt:
    """A login as it arrives."""

    client = STRANGER

    async def buffered(self, _limit: int) -> bytes:
        return b'{"password": "guess"}'

    def head(self) -> RequestHead:
        return RequestHead("POST", LOGIN.encode())


def attempt(guard: LoginGuard) -> Any:
    return guard.answer(cast("Request", Attempt()))


async def times_that_hermes_is_asked(outcome: Answer | Exception, *, tries: int = 9) -> int:
    asked = Asked(outcome)
    async with Tasks() as tasks:
        guard = LoginGuard(cast("Backend", asked), tasks, asyncio.get_running_loop().time)
        for _ in range(tries):
            await asyncio.wait({asyncio.create_task(attempt(guard))})
    return asked.times


@pytest.mark.parametrize(
    ("outcome", "times"),
    [
        (REFUSED, 3),
        (BackendBrokenError("it may have heard"), 3),
        (BackendUnreachableError("it has not"), 9),
        (LET_IN, 9),
        (Answer(400, b"", (), b""), 9),
        (Answer(429, b"", (), b""), 9),
    ],
)
def test_what_is_taken_for_a_failure(outcome: Answer | Exception, times: int) -> None:
    @in_virtual_time
    async def count() -> None:
        assert await times_that_hermes_is_asked(outcome) == times

    count()


@in_virtual_time
async def test_who_guesses_and_leaves_before_the_answer_has_guessed_all_the_same() -> None:
    asked = Asked(REFUSED)
    async with Tasks() as tasks:
        guard = LoginGuard(cast("Backend", asked), tasks, asyncio.get_running_loop().time)
        for _ in range(3):
            leaving = asyncio.create_task(attempt(guard))
            await asyncio.sleep(0.1)
            leaving.cancel()
        await asyncio.sleep(2.0)
        with pytest.raises(TooManyLoginsError):
            await attempt(guard)


@in_virtual_time
async def test_who_leaves_before_the_answer_has_been_let_in_all_the_same() -> None:
    """Programs close their connection as soon as they have read enough."""
    asked = Asked(LET_IN)
    async with Tasks() as tasks:
        guard = LoginGuard(cast("Backend", asked), tasks, asyncio.get_running_loop().time)
        for _ in range(9):
            leaving = asyncio.create_task(attempt(guard))
            await asyncio.sleep(0.9)
            leaving.cancel()
            await asyncio.sleep(0.2)
    assert asked.times == 9
