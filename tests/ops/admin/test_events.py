"""Following what happens."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from proxy.core.records import Ending
from proxy.events.cancels import CancelAnswered
from proxy.ops.admin import events as module
from proxy.ops.feed import BACKLOG, WATCHERS
from tests.support.happenings import happened
from tests.support.raw import RawBrowser

if TYPE_CHECKING:
    from tests.ops.admin.conftest import Guard, Operator

PATIENCE = 10.0


async def frame(response: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await response.content.readuntil(b"\n\n")).decode()


def parsed(text: str) -> tuple[str, Any]:
    event, data = text.strip().split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_what_happens_is_told_as_it_happens(guard: "Guard", operator: "Operator") -> None:
    async with operator.session.get(f"{operator.url}/api/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await frame(response) == ": following\n\n"
        guard.report(CancelAnswered("0123456789abcdef", "c-1", None, "stale", Ending.FINISHED, 200, cancelled=False))
        event, data = parsed(await frame(response))

    assert event == "cancel_answered"
    assert data == {
        "at": "2027-01-15T08:00:00.000Z",
        "stream": "01234567",
        "cancel": "c-1",
        "first": None,
        "verdict": "stale",
        "reason": "finished",
        "status": 200,
        "cancelled": False,
    }


async def test_silence_is_broken_by_a_comment(
    guard: "Guard", operator: "Operator", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    async with operator.session.get(f"{operator.url}/api/events") as response:
        assert await frame(response) == ": following\n\n"
        assert await frame(response) == ": heartbeat\n\n"


async def test_a_gap_is_told_before_what_comes_after_it(guard: "Guard", operator: "Operator") -> None:
    async with operator.session.get(f"{operator.url}/api/events") as response:
        await frame(response)
        for number in range(BACKLOG + 5):  # without a pause: the watcher has no time to take any
            guard.report(happened("relay_opened", relay=f"r-{number}"))
        assert parsed(await frame(response)) == ("lost", {"lost": 5})
        event, data = parsed(await frame(response))

    assert (event, data["relay"]) == ("relay_opened", "r-5")


async def is_let_in(operator: "Operator") -> bool:
    async with operator.session.get(f"{operator.url}/api/events") as response:
        return response.status == 200


async def test_only_so_many_follow_at_once_and_who_leaves_makes_room(operator: "Operator") -> None:
    async with AsyncExitStack() as stack:
        for _ in range(WATCHERS):
            await frame(await stack.enter_async_context(operator.session.get(f"{operator.url}/api/events")))
        refused = await operator.ask("/api/events")
        assert (refused.status, refused.code) == (503, "too_many_watchers")
        assert refused.headers["Retry-After"] == "10"

    async with asyncio.timeout(PATIENCE):
        while not await is_let_in(operator):
            pass


async def test_a_watcher_that_reads_nothing_is_dropped(
    guard: "Guard", operator: "Operator", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    sleeper = RawBrowser(operator.port, receive_buffer=4096)
    await sleeper.connect()
    await sleeper.send(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await sleeper.until(b": following")
    refused = happened("request_refused", code="cross_site", path="/" + "a" * 190)
    async with asyncio.timeout(PATIENCE):
        while guard.feed._watchers:
            guard.report(refused)
            await asyncio.sleep(0)
    sleeper.close()


async def test_its_end_is_everybodys(guard: "Guard", operator: "Operator") -> None:
    async with operator.session.get(f"{operator.url}/api/events") as response:
        await frame(response)
        guard.feed.close()
        async with asyncio.timeout(PATIENCE):
            assert await response.content.read() == b""
