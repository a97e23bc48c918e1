"""The embedded backend, the proxy in front of it, and browsers, all over real TCP."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from proxy.app import Running
from proxy.config import OwnershipSettings
from proxy.demo import Backend, Pace
from proxy.events.event import Event
from proxy.guard.drain import Drain
from proxy.ops.trace import UNTRACED
from proxy.relay.logs import Logs
from proxy.verify import verify
from tests.support.notes import Notes

PATIENCE = 10.0
UNHURRIED = Pace(token=0.01, first_token=0.01, unwind=0.5, spoil=0.02, gap=0.005)
"""Here a worker takes so long to unwind that whatever is sent after its Stop has to wait."""

FAST = Pace(token=0.01, first_token=0.01, unwind=0.05, spoil=0.02, gap=0.005)


@dataclass
class Reply:
    """A whole JSON answer."""

    status: int
    headers: list[tuple[str, str]]
    json: Any
    at: float

    @property
    def guard(self) -> dict[str, str]:
        """The members of `Stream-Guard`."""
        values = [value for name, value in self.headers if name == "Stream-Guard"]
        members = (member.partition("=") for member in ", ".join(values).split(", ") if member)
        return {name: value.strip('"') for name, _, value in members}


@dataclass
class Tab:
    """One browser's subscription to a stream, read until its end."""

    frames: list[tuple[str, Any, float]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    status: int = 0
    broken: bool = False
    ended_at: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.frames]

    @property
    def text(self) -> str:
        return "".join(data["text"] for name, data, _ in self.frames if name in {"token", "reasoning"})

    @property
    def endings(self) -> list[str]:
        return [name for name in self.names if name in {"stream_end", "cancel", "apperror", "error"}]

    def at(self, name: str) -> float:
        return next(at for event, _, at in self.frames if event == name)

    async def until(self, condition: Callable[["Tab"], bool]) -> "Tab":
        async with asyncio.timeout(PATIENCE):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()
        return self

    async def ended(self) -> "Tab":
        return await self.until(lambda tab: tab.ended_at is not None)

    async def leave(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})


class Browser:
    """Speaks Hermes' API at one base URL."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.session = session
        self.tabs: list[Tab] = []

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        async with asyncio.timeout(PATIENCE), self.session.request(method, self.base + path, **options) as response:
            body = await response.read()
            loaded = json.loads(body) if body[:1] in b"{[" and body else body
            return Reply(response.status, list(response.headers.items()), loaded, asyncio.get_running_loop().time())

    async def new_session(self) -> str:
        return str((await self.call("POST", "/api/session/new", json={})).json["session"]["session_id"])

    async def start(self, session_id: str, message: str, **options: Any) -> Reply:
        return await self.call(
            "POST", "/api/chat/start", json={"session_id": session_id, "message": message}, **options
        )

    async def turn(self, message: str = "n=400 tag=A", session_id: str | None = None) -> tuple[str, str, Tab]:
        """A session, a running turn in it, and a tab that has seen its first token."""
        session_id = session_id or await self.new_session()
        reply = await self.start(session_id, message)
        assert reply.status == 200, reply
        tab = await self.open(reply.json["stream_id"]).until(lambda tab: "token" in tab.names)
        return session_id, reply.json["stream_id"], tab

    async def start_when_accepted(self, session_id: str, message: str) -> str:
        """The new turn's stream, tried for until the session's worker is gone."""
        async with asyncio.timeout(PATIENCE):
            while (reply := await self.start(session_id, message)).status != 200:  # noqa: ASYNC110 - HTTP has no event for it
                await asyncio.sleep(0.01)
        return str(reply.json["stream_id"])

    async def cancel(self, stream_id: str, **options: Any) -> Reply:
        return await self.call("GET", f"/api/chat/cancel?stream_id={stream_id}", **options)

    def open(self, stream_id: str, query: str = "", **options: Any) -> Tab:
        return self.watch(f"/api/chat/stream?stream_id={stream_id}{query}", **options)

    def watch(self, path: str, **options: Any) -> Tab:
        tab = Tab()
        tab.task = asyncio.create_task(self._read(tab, path, options))
        self.tabs.append(tab)
        return tab

    async def _read(self, tab: Tab, path: str, options: dict[str, Any]) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with self.session.get(self.base + path, timeout=timeout, **options) as response:
                tab.status = response.status
                tab.changed.set()
                async for chunk in response.content.iter_any():
                    tab.raw += chunk
                    self._parse(tab)
        except aiohttp.ClientError:
            tab.broken = True
        finally:
            tab.ended_at = asyncio.get_running_loop().time()
            tab.changed.set()

    def _parse(self, tab: Tab) -> None:
        whole = bytes(tab.raw).split(b"\n\n")[:-1]
        events = [frame for frame in whole if b"event: " in frame]
        for frame in events[len(tab.frames) :]:
            lines = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
            event, data = lines[b"event"].decode(), json.loads(lines[b"data"])
            tab.frames.append((event, data, asyncio.get_running_loop().time()))
        tab.changed.set()


class Lab:
    """A backend, the proxy in front of it, a browser on either side, and what the guard reported."""

    def __init__(self, backend: Backend, session: aiohttp.ClientSession) -> None:
        self.backend = backend
        self.session = session
        self.direct = Browser(backend.url, session)
        self.browser = self.direct
        self.proxy: Running | None = None
        self.reports: list[tuple[str, dict[str, object]]] = []
        self.trace: list[str] = []
        self.notices = Notes()
        self.changed = asyncio.Event()

    @property
    def logs(self) -> Logs:
        assert self.proxy is not None
        return self.proxy.guard.logs

    @property
    def drain(self) -> Drain:
        assert self.proxy is not None
        return self.proxy.guard.drain

    def guarded_by(self, proxy: Running) -> None:
        self.browser = Browser(proxy.url, self.session)
        self.proxy = proxy
        self.gate = proxy.guard.gate

    def broken_promises(self, settings: OwnershipSettings) -> list[str]:
        """What `verify` finds in this lab's trace; the 100 ms of P6 are measured where nothing else runs."""
        if self.reported("internal_error"):
            return []
        bounds = settings.model_dump()
        begun = {"t": 0.0, "event": "trace_begun", "run": "lab", "part": 1, "time": 0.0, "settings": bounds}
        found = verify([json.dumps(begun), *self.trace])
        return [f"{one.promise}: {one.sentence}" for one in found if one.promise != "P6"]

    def reported(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.reports if name == event]

    def traced(self, event: str) -> list[dict[str, Any]]:
        """What was reported by that name, with its time `t` by the guard's clock: no busy machine reorders it."""
        return [line for line in map(json.loads, self.trace) if line["event"] == event]

    def wrote(self, event: str) -> float:
        """When a relay was first given that event to write, by the guard's clock."""
        return next(float(line["t"]) for line in self.traced("relay_wrote") if event in line["events"])

    def answered(self) -> float:
        """When a cancel was first answered, by the guard's clock."""
        return float(self.traced("cancel_answered")[0]["t"])

    def report(self, event: Event, /) -> None:
        """Takes note, as `proxy.reporting.Report`, and keeps a trace of what belongs into one."""
        if type(event) in UNTRACED:
            self.notices(event)
        else:
            fields = event.fields()
            self.reports.append((event.name, fields))
            self.trace.append(json.dumps({"t": asyncio.get_running_loop().time(), "event": event.name, **fields}))
        self.changed.set()

    def forget(self) -> None:
        """Drops the notes so far, though not the trace: their fields count as the memory of whoever made them."""
        self.reports.clear()
        self.notices.said.clear()

    async def ended(self, call: str, count: int = 1) -> list[dict[str, object]]:
        """What became of every request of that call, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(told := [said for said in self.notices.of("request_ended") if said["call"] == call]) < count:
                self.changed.clear()
                await self.changed.wait()
        return told

    async def until_observed(self, what: str) -> None:
        """Waits until the guard has observed something of that kind."""
        async with asyncio.timeout(PATIENCE):
            while not any(said["what"] == what for said in self.reported("observed")):
                self.changed.clear()
                await self.changed.wait()

    async def until_reported(self, event: str, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.reported(event)) < count:
                self.changed.clear()
                await self.changed.wait()


MakeLab = Callable[..., Awaitable[Lab]]

OWNERSHIP = OwnershipSettings(
    settle_timeout=1.0,
    answer_timeout=0.5,
    answer_gap=0.015,
    stop_timeout=2.0,
    linger=0.3,
)
