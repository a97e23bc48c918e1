"""What happens, as it happens: at every watcher's own pace, and never in the guard's way."""

import asyncio

import pytest

from proxy.ops.feed import BACKLOG, WATCHERS, Feed, TooManyWatchersError
from tests.support.happenings import happened
from tests.support.virtual_time import in_virtual_time

STREAM = "0123456789abcdef"


def feed() -> Feed:
    return Feed(lambda: 1000.5)


@in_virtual_time
async def test_a_watcher_is_told_what_is_reported_from_then_on() -> None:
    told = feed()
    told(happened("relay_opened"))
    with told.watched() as watcher:
        told(happened("cancel_said", stream=STREAM, cancel="c-1", status=200, cancelled=False))
        lost, (happening,) = await watcher.take(1)

    assert lost == 0
    assert (happening.at, happening.event) == (1000.5, "cancel_said")
    assert happening.fields == {"stream": "01234567", "cancel": "c-1", "status": 200, "cancelled": False}


@in_virtual_time
async def test_nothing_comes_when_nothing_happens() -> None:
    with feed().watched() as watcher:
        assert await watcher.take(10) == (0, [])
        assert asyncio.get_running_loop().time() == 10


@in_virtual_time
async def test_a_watcher_that_waits_is_told_at_once() -> None:
    told = feed()
    with told.watched() as watcher:
        asyncio.get_running_loop().call_later(2, told, happened("drain_began"))
        _, (happening,) = await watcher.take(10)

    assert happening.event == "drain_began"
    assert asyncio.get_running_loop().time() == 2


@in_virtual_time
async def test_a_slow_watcher_loses_the_oldest_and_is_told_how_many() -> None:
    told = feed()
    with told.watched() as slow, told.watched() as quick:
        for number in range(BACKLOG + 3):
            told(happened("drain_began", relays=number))
            if number < 3:
                await quick.take(1)
        lost, happenings = await slow.take(1)
        assert lost == 3
        assert [one.fields["relays"] for one in happenings] == list(range(3, BACKLOG + 3))
        assert (await quick.take(1))[0] == 0
        assert await slow.take(1) == (0, [])


@in_virtual_time
async def test_only_so_many_watch_at_once() -> None:
    told = feed()
    watched = [told.watched() for _ in range(WATCHERS)]
    for one in watched:
        one.__enter__()
    with pytest.raises(TooManyWatchersError):
        told.watched().__enter__()
    watched[0].__exit__(None, None, None)
    with told.watched():
        pass


@in_virtual_time
@pytest.mark.parametrize(
    "event",
    [
        "observed",
        "relay_wrote",
        "upstream_opened",
        "upstream_heard",
        "upstream_kept",
        "workers_listed",
        "workers_unknown",
    ],
)
async def test_what_comes_many_times_a_second_is_not_told(event: str) -> None:
    told = feed()
    with told.watched() as watcher:
        told(happened(event))
        assert await watcher.take(1) == (0, [])


@in_virtual_time
async def test_a_long_text_is_clipped() -> None:
    told = feed()
    with told.watched() as watcher:
        told(happened("request_refused", code="cross_site", path="/" + "a" * 1000, client="10.0.0.1"))
        _, (happening,) = await watcher.take(1)

    assert happening.fields == {"code": "cross_site", "path": "/" + "a" * 199 + "…", "client": "10.0.0.1"}


@in_virtual_time
async def test_its_end_is_every_watchers() -> None:
    told = feed()
    with told.watched() as watcher:
        asyncio.get_running_loop().call_later(1, told.close)
        assert await watcher.take(10) == (0, [])
        assert watcher.over
        assert asyncio.get_running_loop().time() == 1
