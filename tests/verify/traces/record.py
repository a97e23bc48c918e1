"""Records the traces that the tests of `verify` start from: `python tests/verify/traces/record.py`.

Plays, through the proxy and with each release's habits, whatever the promises are about, and writes `<release>.jsonl`.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from proxy.app import running
from proxy.config import Settings
from proxy.demo import RELEASES, Backend, Pace
from proxy.ops.trace import Trace

QUICK = {"settle_timeout": 0.6, "stop_timeout": 1.6, "answer_timeout": 0.3, "linger": 0.3}
REATTACH = 0.3
PACE = Pace(token=0.02, first_token=0.02, unwind=0.05)
LONG = "hello n=800 d=0.02 tag=A"
SILENT = f"{LONG} first=9"
SHORT = "hello n=2 d=0.01 tag=B"
IDS = {"turn": r"\b[0-9a-f]{32}\b", "c": r"\bc-[0-9a-f]{12}\b", "session": r"\b[0-9a-f]{12}\b"}


class Browser:
    """Calls Hermes through the proxy."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._open: set[asyncio.Task[str]] = set()

    async def call(self, method: str, path: str, payload: Any = None, cookie: str = "") -> Any:
        headers = {"Cookie": cookie} if cookie else {}
        async with self._http.request(method, self._url + path, json=payload, headers=headers) as answer:
            return await answer.json()

    async def session(self) -> str:
        return str((await self.call("POST", "/api/session/new", {}))["session"]["session_id"])

    async def start(self, session_id: str, message: str) -> str:
        answer = await self.call("POST", "/api/chat/start", {"session_id": session_id, "message": message})
        return str(answer.get("stream_id"))

    async def stop(self, stream_id: str, cookie: str = "") -> Any:
        return await self.call("GET", f"/api/chat/cancel?stream_id={stream_id}", cookie=cookie)

    async def watch(self, stream_id: str, after: int | None = None) -> asyncio.Task[str]:
        """Subscribes, and reads what comes to the end, unless the task is cancelled."""
        first = asyncio.Event()
        cursor = "" if after is None else f"&replay=1&after_seq={after}"
        task = asyncio.create_task(self._read(f"/api/chat/stream?stream_id={stream_id}{cursor}", first))
        self._open.add(task)
        await first.wait()
        return task

    async def _read(self, path: str, first: asyncio.Event) -> str:
        got = b""
        try:
            async with self._http.get(self._url + path) as answer:
                async for chunk in answer.content.iter_any():
                    got += chunk
                    first.set()
        finally:
            first.set()
        return got.decode()

    async def close(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def proxied(backend: Backend, path: Path) -> AsyncIterator[Browser]:
    """A browser, and the proxy that traces to `path`, in front of `backend`."""
    near = {"listen": {"port": 0}, "upstream": {"url": backend.url}, "relay": {"reattach": REATTACH}}
    settings = Settings.model_validate({**near, "ownership": QUICK})
    clock = asyncio.get_running_loop().time
    limits = settings.ownership.model_dump()
    with Trace(path, max_size=1 << 20, keep=1, clock=clock, settings=limits) as trace:
        async with running(settings, trace) as proxy, aiohttp.ClientSession() as http:
            browser = Browser(http, proxy.url)
            try:
                yield browser
            finally:
                await browser.close()


async def play(browser: Browser, backend: Backend) -> None:
    """Every scene, one after the other."""
    await _complete_then_stop(browser)
    await _stop_then_send(browser)
    await _stop_three_times(browser, backend)
    await _leave(browser)
    await _come_back(browser)
    await _join_late(browser)
    await _hang(browser, backend)
    await _press_on(browser, backend)
    await _aside(browser)
    await _compress(browser)


async def _complete_then_stop(browser: Browser) -> None:
    """A turn ends, the next one starts, and late Stops are stale."""
    session_id = await browser.session()
    stream_id = await browser.start(session_id, SHORT)
    await (await browser.watch(stream_id))
    await browser.stop(stream_id)
    second = await browser.start(session_id, SHORT)
    await (await browser.watch(second))
    await browser.stop(stream_id)


async def _stop_then_send(browser: Browser) -> None:
    session_id = await browser.session()
    stream_id = await browser.start(session_id, LONG)
    await browser.watch(stream_id)
    await browser.stop(stream_id)
    await (await browser.watch(await browser.start(session_id, SHORT)))


async def _stop_three_times(browser: Browser, backend: Backend) -> None:
    """Two Stops at once, a stranger's beside them, and one more of each while the worker unwinds.

    Whoever of the last two was not the first waits until it is gone (F23).
    """
    session_id = await browser.session()
    stream_id = await browser.start(session_id, LONG)
    await browser.watch(stream_id)
    backend.faults = replace(backend.faults, hang=True)
    first = asyncio.create_task(browser.stop(stream_id))
    await asyncio.sleep(0)
    await asyncio.gather(first, browser.stop(stream_id), browser.stop(stream_id, cookie="who=else"))
    further = [asyncio.create_task(browser.stop(stream_id, cookie=cookie)) for cookie in ("", "who=else")]
    await asyncio.wait(further, return_when=asyncio.FIRST_COMPLETED)
    backend.faults = replace(backend.faults, hang=False)
    await asyncio.gather(*further)
    await (await browser.watch(await browser.start(session_id, SHORT)))


async def _leave(browser: Browser) -> None:
    """A browser leaves in mid-turn; another stays, by the same upstream."""
    session_id = await browser.session()
    stream_id = await browser.start(session_id, "hello n=20 d=0.02 tag=C")
    leaving = await browser.watch(stream_id)
    staying = await browser.watch(stream_id)
    await _close(leaving)
    await staying


async def _come_back(browser: Browser) -> None:
    """The only browser of a turn leaves, comes back, and leaves for good: its upstream is closed."""
    session_id = await browser.session()
    stream_id = await browser.start(session_id, LONG)
    await _close(await browser.watch(stream_id))
    await asyncio.sleep(REATTACH / 3)
    await _close(await browser.watch(stream_id))
    await asyncio.sleep(REATTACH + 0.1)
    await browser.stop(stream_id)
    await (await browser.watch(await browser.start(session_id, SHORT)))


async def _close(watching: asyncio.Task[str]) -> None:
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def _join_late(browser: Browser) -> None:
    """A browser comes back for the end of a turn once that is over."""
    stream_id = await browser.start(await browser.session(), SHORT)
    await (await browser.watch(stream_id))
    await (await browser.watch(stream_id, after=1))


async def _hang(browser: Browser, backend: Backend) -> None:
    """A cancel that says nothing more, and a worker that does not unwind: everything ends at its limit.

    The Stop is given up then, and a further one is forwarded as if it were the first.
    """
    session_id = await browser.session()
    stream_id = await browser.start(session_id, LONG)
    await browser.watch(stream_id)
    backend.faults = replace(backend.faults, hang=True, mute_cancel=True)
    began = asyncio.get_running_loop().time()
    await browser.stop(stream_id)
    await browser.start(session_id, SHORT)
    await asyncio.sleep(began + QUICK["stop_timeout"] + 0.3 - asyncio.get_running_loop().time())
    await browser.stop(stream_id)
    backend.faults = replace(backend.faults, hang=False, mute_cancel=False)
    await asyncio.sleep(0.2)


async def _press_on(browser: Browser, backend: Backend) -> None:
    """A worker that unwinds late: its cancel is repeated, and one more caller has it cancelled as well."""
    session_id = await browser.session()
    stream_id = await browser.start(session_id, SILENT)
    await browser.watch(stream_id)
    backend.faults = replace(backend.faults, hang=True)
    await browser.stop(stream_id)
    await asyncio.sleep(1.1)
    await browser.stop(stream_id, cookie="who=else")
    backend.faults = replace(backend.faults, hang=False)
    await (await browser.watch(await browser.start(session_id, SHORT)))


async def _aside(browser: Browser) -> None:
    """A side question, whose stream is not closed by the server."""
    session_id = await browser.session()
    answer = await browser.call("POST", "/api/btw", {"session_id": session_id, "question": SHORT})
    await (await browser.watch(str(answer["stream_id"])))


async def _compress(browser: Browser) -> None:
    """The conversation goes on under another id, and is stopped there."""
    session_id = await browser.session()
    text = await (await browser.watch(await browser.start(session_id, f"{SHORT} compress")))
    session_id = re.findall(r'"new_session_id": ?"(\w+)"', text)[0]
    stream_id = await browser.start(session_id, LONG)
    await browser.watch(stream_id)
    await browser.stop(stream_id)
    await (await browser.watch(await browser.start(session_id, SHORT)))


def readable(trace: str) -> str:
    """The trace with short ids, numbered as they appear, and times from 0."""
    for name, pattern in IDS.items():
        for number, found in enumerate(dict.fromkeys(re.findall(pattern, trace)), 1):
            trace = trace.replace(found, f"{name}-{number}")
    began = float(re.findall(r'^{"t":([0-9.]+)', trace)[0])
    return re.sub(r'"t":([0-9.]+)', lambda found: f'"t":{float(found[1]) - began:.6f}', trace)


async def record(release: str, to: Path) -> None:
    """Writes `<release>.jsonl`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        async with Backend(release, pace=PACE, heartbeat=0.5) as backend, proxied(backend, path) as browser:
            await play(browser, backend)
        (to / f"{release}.jsonl").write_text(readable(path.read_text()))


if __name__ == "__main__":
    for name in RELEASES:
        asyncio.run(record(name, Path(__file__).parent))
