"""A Hermes that asks for no login, where others can reach the proxy, is warned of."""

import asyncio
import logging
from typing import TYPE_CHECKING, cast

import pytest

from proxy.app.exposure import AGAIN, warning_if_exposed
from proxy.config import ListenSettings
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.gate.authentication import Authentication

EVERYWHERE = ListenSettings(host="0.0.0.0")
LOGIN, NO_LOGIN, SILENCE = True, False, None


class Says:
    """Whether there is a login, as Hermes says it one time after the other."""

    def __init__(self, *answers: bool | None) -> None:
        self._answers = list(answers)

    async def enabled(self) -> bool | None:
        return self._answers.pop(0)


async def warnings(listen: ListenSettings, *answers: bool | None, seconds: float = 0.0) -> list[str]:
    """What is announced within so many seconds."""
    said: list[str] = []
    async with warning_if_exposed([ListenSettings(), listen], cast("Authentication", Says(*answers)), said.append):
        await asyncio.sleep(seconds)
        await asyncio.sleep(0)
    return said


@in_virtual_time
async def test_it_is_warned_of_on_the_terminal() -> None:
    first, *_, last = await warnings(EVERYWHERE, NO_LOGIN)
    assert first == "WARNING: http://0.0.0.0:8788 can be reached from elsewhere, and Hermes asks for no login."
    assert "HERMES_WEBUI_PASSWORD" in last


@in_virtual_time
async def test_no_warning_is_given_where_none_is_due() -> None:
    assert await warnings(EVERYWHERE, LOGIN) == []
    assert await warnings(ListenSettings()) == []


@in_virtual_time
async def test_it_is_warned_of_once_hermes_can_be_asked() -> None:
    """It may start after the proxy."""
    early = await warnings(EVERYWHERE, SILENCE, SILENCE, NO_LOGIN, seconds=AGAIN + 1)
    assert [line.partition("Hermes ")[2] for line in early] == ["does not say whether it asks for a login."]
    assert len(await warnings(EVERYWHERE, SILENCE, SILENCE, NO_LOGIN, seconds=2 * AGAIN + 1)) == 1 + 3


def test_the_log_says_so_too(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def warn() -> None:
        await warnings(EVERYWHERE, SILENCE, NO_LOGIN, seconds=AGAIN + 1)

    with caplog.at_level(logging.WARNING):
        warn()
    assert [record.getMessage().partition(", and ")[2] for record in caplog.records] == [
        "Hermes does not say whether it asks for a login",
        "Hermes asks for no login",
    ]
