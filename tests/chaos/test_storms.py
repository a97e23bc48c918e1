"""Seconds or minutes of everything going wrong at once: promises hold meanwhile, and nothing is left of it afterwards.

`CHAOS_SECONDS` says how long each storm lasts, `CHAOS_SEED` which one it is; `make chaos` has long ones.
"""

import asyncio
import contextlib
import gc
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from proxy.app import running
from proxy.config import ListenSettings, RelaySettings, Settings, UpstreamSettings
from proxy.demo import RELEASES, Backend, CancelOrder
from proxy.http.upstream.lanes import Lane
from tests.chaos.conftest import SECONDS, SEED, Measure
from tests.support.faults import NONE, FaultyNetwork
from tests.support.lab import FAST, OWNERSHIP, Browser, Lab

BROWSERS = 20
WARM_UP = 0.7
QUIET = 30.0
"""Seconds within which all is idle once the faults have stopped: a Stop may wait for 25 s for an agent, and some."""

GROWTH = 2 << 20
"""Bytes more that the proxy may hold after a storm: what it remembers of streams and Stops, which has bounds too."""

ACT = 3.0
"""Seconds after which a person gives up, and does something else."""


@dataclass
class Weather:
    """A lab in a faulty network, on both sides of its proxy."""

    lab: Lab
    before: FaultyNetwork
    behind: FaultyNetwork
    seed: int
    sessions: list[str] = field(default_factory=list)
    calm: set[asyncio.Task[object]] = field(default_factory=set)
    descriptors: int = 0

    async def clear_up(self) -> None:
        """The faults stop, and what they had in their grip is dropped."""
        for network in (self.before, self.behind):
            network.choose = lambda _: NONE
            await network.drop()

    def note_calm(self) -> None:
        """What there is while nothing happens."""
        self.calm, self.descriptors = asyncio.all_tasks(), open_descriptors()

    def left_over(self) -> dict[str, object]:
        """What there is besides, by name; empty once all is idle."""
        assert self.lab.proxy is not None
        proxy = self.lab.proxy
        proxy.upstream.close()  # what is kept for another request is no leak, and goes by itself after some seconds
        counted = {
            "tasks": [str(task.get_coro()) for task in asyncio.all_tasks() - self.calm],
            "descriptors": max(0, open_descriptors() - self.descriptors),
            "relays": proxy.guard.relays.total,
            "streams": len(self.lab.backend.ledger.open_streams),
            **{f"slots of {lane.value}": proxy.lanes.in_use(lane) for lane in Lane},
        }
        return {what: count for what, count in counted.items() if count}


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def held_by_the_proxy() -> int:
    """Bytes that were allocated in it, and not in what stands around it here."""
    gc.collect()
    mine = tracemalloc.Filter(inclusive=True, filename_pattern="*/proxy/*")
    others = tracemalloc.Filter(inclusive=False, filename_pattern="*/proxy/demo/*")
    statistics = tracemalloc.take_snapshot().filter_traces((mine, others)).statistics("filename")
    return sum(one.size for one in statistics)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.fixture(params=sorted(RELEASES))
async def weather(request: pytest.FixtureRequest) -> AsyncIterator[Weather]:
    """Each release's habits, in a network that does its worst."""
    seed = SEED + sorted(RELEASES).index(request.param)
    async with contextlib.AsyncExitStack() as stack:
        backend = await stack.enter_async_context(
            Backend(request.param, pace=FAST, heartbeat=0.3, order=CancelOrder.EITHER, seed=seed)
        )
        behind = await stack.enter_async_context(FaultyNetwork(backend.port, seed))
        upstream = UpstreamSettings(url=behind.url, connect_timeout=1.0, response_timeout=2.0, lane_wait=1.0)
        settings = Settings(
            listen=ListenSettings(port=0),
            upstream=upstream,
            ownership=OWNERSHIP,
            relay=RelaySettings(stall_timeout=1.0, idle_timeout=2.0, reattach=0.5),
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        lab = Lab(backend, session)
        proxy = await stack.enter_async_context(running(settings, lab.report))
        proxy.server.rules = replace(proxy.server.rules, head_timeout=1.0)
        lab.guarded_by(proxy)
        before = await stack.enter_async_context(FaultyNetwork(int(lab.browser.base.rpartition(":")[2]), seed + 1))
        yield Weather(lab, before, behind, seed)


class Person:
    """Does what people do with a chat page, in any order, whatever comes of it."""

    def __init__(self, browser: Browser, session_id: str, chance: random.Random) -> None:
        self.browser = browser
        self.session_id = session_id
        self.chance = chance
        self.done = 0

    async def stay(self, until: float) -> None:
        acts = (self.watch, self.stop, self.stop_twice, self.stop_then_send, self.leave, self.reload, self.look_around)
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError, LookupError, AssertionError):
                async with asyncio.timeout(min(ACT, left)):
                    await self.chance.choice(acts)()
            self.done += 1

    async def begin(self) -> str:
        """A turn's stream; a LookupError if it was refused."""
        count, tag = self.chance.randrange(1, 60), self.chance.choice("ABC")
        reply = await self.browser.start(self.session_id, f"n={count} tag={tag}")
        return str(reply.json["stream_id"])

    async def watch(self) -> None:
        await self.browser.open(await self.begin()).ended()

    async def stop(self) -> None:
        stream_id = await self.begin()
        tab = self.browser.open(stream_id)
        await asyncio.sleep(self.chance.uniform(0.0, 0.3))
        await self.browser.cancel(stream_id)
        await tab.ended()

    async def stop_twice(self) -> None:
        stream_id = await self.begin()
        await asyncio.gather(*(self.browser.cancel(stream_id) for _ in range(2)))

    async def stop_then_send(self) -> None:
        await self.stop()
        await self.watch()

    async def leave(self) -> None:
        tab = self.browser.open(await self.begin())
        await asyncio.sleep(self.chance.uniform(0.0, 0.2))
        await tab.leave()

    async def reload(self) -> None:
        stream_id = await self.begin()
        await self.browser.open(stream_id).leave()
        await self.browser.call("GET", f"/api/session?session_id={self.session_id}")
        await self.browser.call("GET", f"/api/chat/stream/status?stream_id={stream_id}")
        await self.browser.open(stream_id).ended()

    async def look_around(self) -> None:
        channel = self.browser.watch("/api/sessions/events")
        await self.browser.call("GET", "/health")
        await channel.leave()


async def storm(weather: Weather, seconds: float) -> int:
    """So many people in the bad weather; how much they did."""
    until = time.monotonic() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        people = [
            Person(Browser(weather.before.url, session), session_id, random.Random(weather.seed + number))  # noqa: S311 - no secret
            for number, session_id in enumerate(weather.sessions)
        ]
        await asyncio.gather(*(person.stay(until) for person in people))
        for tab in (tab for person in people for tab in person.browser.tabs):
            await tab.leave()
    return sum(person.done for person in people)


async def becomes(condition: Callable[[], object], within: float) -> float:
    """Seconds until nothing of it is left; what is, if it does not go."""
    since = time.monotonic()
    while left := condition():
        assert time.monotonic() - since < within, left
        await asyncio.sleep(0.02)
    return time.monotonic() - since


@pytest.mark.timeout(120 + 4 * SECONDS)
async def test_a_storm_passes_and_leaves_nothing(weather: Weather, traced: None, measure: Measure) -> None:
    """P1 to P11 in faults of every kind on both sides; then no task, socket, slot or relay is left, and Stop works."""
    lab = weather.lab
    weather.sessions = [await lab.direct.new_session() for _ in range(BROWSERS)]
    faults = weather.before.choose
    await lab.session.close()
    weather.note_calm()
    await storm(weather, WARM_UP)
    await weather.clear_up()
    await becomes(weather.left_over, QUIET)
    assert not lab.reported("internal_error")
    lab.forget()
    held = held_by_the_proxy()

    weather.before.choose = weather.behind.choose = faults
    acts = await storm(weather, SECONDS)
    await weather.clear_up()
    measure("idle after a storm", await becomes(weather.left_over, QUIET))

    assert acts > BROWSERS
    assert not lab.reported("internal_error")
    assert lab.broken_promises(OWNERSHIP) == []
    lab.forget()
    assert held_by_the_proxy() - held < GROWTH
    await check_that_all_is_well(weather)


async def check_that_all_is_well(weather: Weather) -> None:
    """Every session takes a turn; it is stopped, and the next one is its own."""
    async with aiohttp.ClientSession() as session:
        browser = Browser(weather.before.url, session)
        await asyncio.gather(*(check_that_a_stop_works(browser, session_id) for session_id in weather.sessions))


async def check_that_a_stop_works(browser: Browser, session_id: str) -> None:
    stream_id = await browser.start_when_accepted(session_id, "n=400 tag=A")
    tab = await browser.open(stream_id).until(lambda tab: "token" in tab.names)
    assert (await browser.cancel(stream_id)).json["cancelled"] is True
    assert (await tab.ended()).endings == ["cancel"]
    following = await browser.start(session_id, "n=3 tag=B")
    assert (await browser.open(following.json["stream_id"]).ended()).text == "B0 B1 B2 "
