"""Everything at once that a stranger without a login can do, and one person who chats, stops and sends meanwhile."""

import asyncio
import contextlib
import io
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp

from tests.chaos.conftest import SECONDS, Measure, Pair
from tests.support.lab import Browser
from tests.support.raw import RawBrowser
from tests.support.standin import KEPT

LASTS = max(6.0, min(SECONDS, 60.0))
"""Seconds."""

CAP = 512 << 20
"""Bytes of memory that the process may have, as `deploy/` has it."""

FLAT = 1.3
"""How much more memory may be held in the last third of the siege than before."""

LARGE = 8 << 20
PAUSE = 0.5
"""Seconds after which whoever was ended is there again."""

HOST = b" HTTP/1.1\r\nHost: hermes\r\n"
START = b"POST /api/chat/start" + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
UPLOAD = b"POST /api/upload" + HOST + b"Content-Length: %d\r\n\r\n"
FILE = f"/api/file/raw?session_id={KEPT}&path=large.bin".encode()
DOWNLOAD = b"GET " + FILE + HOST + b"\r\n"
PAGE = b"GET " + FILE + HOST + b"Range: bytes=0-49999\r\n\r\n"
OBSERVE = f"GET /api/sessions/{KEPT}/events".encode() + HOST + b"Accept: */*\r\n\r\n"

Attack = Callable[[RawBrowser], Awaitable[None]]


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def saying(said: bytes) -> Attack:
    """Says it, and then neither says nor takes anything."""

    async def attack(stranger: RawBrowser) -> None:
        await stranger.send(said)
        await for_ever()

    return attack


def dripping(said: bytes) -> Attack:
    """The same, and then a byte now and then."""

    async def attack(stranger: RawBrowser) -> None:
        await stranger.send(said)
        while True:
            await stranger.send(b" ")
            await asyncio.sleep(0.2)

    return attack


async def pipeline(stranger: RawBrowser) -> None:
    await stranger.send_until_blocked(PAGE * 1000, blocked_for=LASTS)


async def send_large_starts(stranger: RawBrowser) -> None:
    await stranger.send(START % LARGE)
    for _ in range(128):
        await stranger.send(b" " * (LARGE // 128))
    await stranger.rest()


async def observe(stranger: RawBrowser) -> None:
    await stranger.send(OBSERVE)
    await stranger.rest()


ATTACKS: dict[str, tuple[int, Attack]] = {
    "pipelines and takes no answers": (8, pipeline),
    "announces a body": (48, saying(UPLOAD % 10)),
    "sends the beginning of a body": (24, dripping(UPLOAD % 100_000 + bytes(70_000))),
    "sends large starts": (60, send_large_starts),
    "takes no download": (24, saying(DOWNLOAD)),
    "trickles starts over the limit": (24, dripping(START % (LARGE + 1000) + b" " * 100_000)),
    "observes": (24, observe),
}
AT_THE_ADMIN = (128, saying(b""))


async def besiege(port: int, attack: Attack) -> None:
    """One stranger, who comes again whenever the connection ends."""
    while True:
        stranger = RawBrowser(port, receive_buffer=4096)
        try:
            with contextlib.suppress(OSError, TimeoutError):
                await stranger.connect()
                await attack(stranger)
        finally:
            stranger.close()
        await asyncio.sleep(PAUSE)


@contextlib.asynccontextmanager
async def siege(port: int, admin: int) -> AsyncIterator[None]:
    places = [(port, *each) for each in ATTACKS.values()] + [(admin, *AT_THE_ADMIN)]
    strangers = [asyncio.create_task(besiege(at, attack)) for at, count, attack in places for _ in range(count)]
    try:
        yield
    finally:
        for stranger in strangers:
            stranger.cancel()
        await asyncio.gather(*strangers, return_exceptions=True)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def sample(pid: int, sizes: list[int]) -> None:
    while True:
        sizes.append(resident(pid))
        await asyncio.sleep(0.05)


async def share_a_file(browser: Browser) -> None:
    """One that no buffer on the way holds."""
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    session, file = (b"session_id", KEPT.encode()), (b'file"; filename="large.bin', bytes(2 * LARGE))
    form = io.BytesIO(part % session + part % file + b"--b--\r\n")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = await browser.call("POST", "/api/upload", data=form, headers=headers)
    assert (reply.status, reply.json["size"]) == (200, 2 * LARGE)


async def chat(browser: Browser, admin: str, number: int) -> None:
    """A turn, its Stop, and the next turn, to its end; and what else a page asks."""
    session_id = await browser.new_session()
    _, stream_id, tab = await browser.turn(f"n=4000 tag=A{number}x", session_id)
    stopped = await browser.cancel(stream_id)
    assert (stopped.status, stopped.json.get("cancelled")) == (200, True)
    started = await browser.start(session_id, f"n=3 tag=B{number}x")
    assert started.status == 200, started
    assert (await browser.open(started.json["stream_id"]).ended()).text == f"B{number}x0 B{number}x1 B{number}x2 "
    assert (await tab.ended()).endings == ["cancel"]
    assert (await browser.call("GET", "/api/auth/status")).status == 200
    async with aiohttp.ClientSession() as fresh, fresh.get(f"{admin}/healthz") as health:
        assert health.status == 200


async def test_a_person_chats_as_ever_while_strangers_do_all_they_can(pair: Pair, measure: Measure) -> None:
    await pair.start()
    pid, browser = pair.proxy.process.pid, pair.browser
    resource.prlimit(pid, resource.RLIMIT_DATA, (CAP, CAP))
    admin = str(pair.proxy.logged("started")[0]["admin"])
    await share_a_file(browser)
    sizes: list[int] = []
    sampling, number = asyncio.create_task(sample(pid, sizes)), 0
    async with siege(int(pair.proxy.url.rpartition(":")[2]), int(admin.rpartition(":")[2])):
        until = time.monotonic() + LASTS
        while time.monotonic() < until:
            since, number = time.monotonic(), number + 1
            await chat(browser, admin, number)
            measure("a round of chat under siege", time.monotonic() - since)
    sampling.cancel()

    last = 2 * len(sizes) // 3
    assert max(sizes) < CAP
    assert max(sizes[last:]) < FLAT * max(sizes[:last])
