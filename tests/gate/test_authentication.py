"""Whether Hermes asks for a login is asked once for everybody, and never taken for granted for long."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from proxy.gate.authentication import KEPT, PATIENCE, Authentication
from proxy.http.errors import BackendUnreachableError
from proxy.http.message import Answer
from proxy.tasks import Tasks
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend

ENABLED = Answer(200, b"OK", (), b'{"auth_enabled": true, "logged_in": false}')
DISABLED = Answer(200, b"OK", (), b'{"auth_enabled": false, "logged_in": false}')
UNREADABLE = Answer(404, b"", (), b"{}")


class Asked:
    """A backend that gives its answers one after the other, and its last one again and again."""

    def __init__(self, *answers: Answer | Exception, seconds: float = 0.0) -> None:
        self.times = 0
        self._answers = list(answers)
        self._seconds = seconds

    async def ask_auth_status(self) -> Answer:
        self.times += 1
        await asyncio.sleep(self._seconds)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def authentication(asked: Asked, tasks: Tasks) -> Authentication:
    return Authentication(cast("Backend", asked), tasks, asyncio.get_running_loop().time)


@pytest.mark.parametrize(
    ("answer", "enabled"),
    [(ENABLED, True), (DISABLED, False), (UNREADABLE, None), (BackendUnreachableError("away"), None)],
)
def test_what_hermes_says(answer: Answer | Exception, *, enabled: bool | None) -> None:
    @in_virtual_time
    async def ask() -> None:
        async with Tasks() as tasks:
            assert await authentication(Asked(answer), tasks).enabled() is enabled

    ask()


@in_virtual_time
async def test_an_answer_is_good_for_a_few_seconds() -> None:
    asked = Asked(ENABLED, DISABLED)
    async with Tasks() as tasks:
        known = authentication(asked, tasks)
        assert await known.enabled()
        await asyncio.sleep(KEPT - 0.1)
        assert await known.enabled()
        assert asked.times == 1
        await asyncio.sleep(0.1)
        assert await known.enabled() is False


@in_virtual_time
async def test_no_answer_is_good_for_nothing() -> None:
    """It fails closed, and recovers at once."""
    asked = Asked(UNREADABLE, ENABLED)
    async with Tasks() as tasks:
        known = authentication(asked, tasks)
        assert await known.enabled() is None
        assert await known.enabled()


@in_virtual_time
async def test_an_answer_that_has_grown_old_is_not_fallen_back_on() -> None:
    asked = Asked(ENABLED, BackendUnreachableError("away"))
    async with Tasks() as tasks:
        known = authentication(asked, tasks)
        assert await known.enabled()
        await asyncio.sleep(KEPT)
        assert await known.enabled() is None


@in_virtual_time
async def test_everybody_shares_one_question() -> None:
    asked = Asked(ENABLED, seconds=1.0)
    async with Tasks() as tasks:
        known = authentication(asked, tasks)
        assert await asyncio.gather(*(known.enabled() for _ in range(50))) == [True] * 50
    assert asked.times == 1


@in_virtual_time
async def test_who_leaves_takes_nobody_elses_answer_along() -> None:
    asked = Asked(ENABLED, seconds=1.0)
    async with Tasks() as tasks:
        known = authentication(asked, tasks)
        leaving, staying = asyncio.create_task(known.enabled()), asyncio.create_task(known.enabled())
        await asyncio.sleep(0.5)
        leaving.cancel()
        assert await staying
    assert asked.times == 1


@in_virtual_time
async def test_a_question_is_not_waited_for_for_ever() -> None:
    async with Tasks() as tasks:
        began = asyncio.get_running_loop().time()
        assert await authentication(Asked(ENABLED, seconds=1e6), tasks).enabled() is None
        assert asyncio.get_running_loop().time() - began == PATIENCE
