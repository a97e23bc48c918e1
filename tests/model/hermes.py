"""Hermes as the shell meets it, in memory and in virtual time: what it answers, streams, and leaves undone."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

from proxy.http.errors import BackendUnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.http.message import Body, RequestHead
    from proxy.http.upstream.lanes import Lane
    from proxy.http.upstream.stream import Sink

SPEAKS_EVERY = 0.3
TITLE_TAKES = 0.2
START_TAKES = 0.02
HEARTBEAT = 5.0


@dataclass(frozen=True)
class Habits:
    """How this Hermes behaves, all times in seconds.

    Attributes:
        fences: A start is refused while a cancelled worker unwinds (F2), instead of sharing its fate (F1).
        repeats: A second cancel is `true` until the worker has gone (F4).
        unwind: From an accepted cancel to the worker's end; None never.
        event_after: From an accepted cancel to its event; None never (F4).
        answer_after: From a cancel's effect to its answer (F5).
        finishes: A turn that is cancelled ends as if it had not been: its own end came first (P2).
        lingers: Nothing follows `done` but heartbeats (F6).
        health: `/health` can be read (F3).
        deaf: From a turn's start on, a cancel is accepted and lost: its worker runs to the turn's end, unless another
            cancel finds it when it listens (F13, F14). The session is saved when it begins to listen (F22).
        tail: The last part of `unwind`, in which a further cancel spoils the session's next turn (F23).
        runner: Turns run elsewhere: nothing lists them, no cancel reaches them, and one begins beside another (F20).
    """

    fences: bool
    repeats: bool
    unwind: float | None
    event_after: float | None
    answer_after: float
    finishes: bool
    lingers: bool
    health: bool
    deaf: float
    tail: float = 0.01
    runner: bool = False


@dataclass
class Turn:
    """One run: what it says, and to whom."""

    stream_id: str
    session_id: str
    length: float
    began: float
    asked_at: float
    active: bool = True
    worker: bool = True
    poisoned: bool = False
    """It was asked for, and began, while a cancelled worker of its session still ran (F1)."""
    spoiled: bool = False
    """A cancel came while the worker of the turn before was on its way out (F23)."""
    cancelled: bool = False
    ran_on: bool = False
    """Its worker ran to the turn's end though the turn had been cancelled."""
    gone_at: float | None = None
    """When its worker, which heard the cancel, is gone."""
    journal: list[bytes] = field(default_factory=list)
    ending: str | None = None
    tabs: set[Stream] = field(default_factory=set)


class Stream:
    """An answer as it arrives, as `proxy.http.stream.ResponseStream`."""

    def __init__(self, status: int, content: bytes = b"", *, streams: bool = False) -> None:
        self.status = status
        self.is_replay = False
        self.is_event_stream = streams
        self.reason = b""
        kind = b"text/event-stream" if streams else b"application/json"
        self.headers = ((b"Content-Type", kind),)
        self._arrived: list[bytes | None] = []
        self._sink: Sink | None = None
        if not streams:
            self.put(content)
            self.put(None)

    def put(self, chunk: bytes | None) -> None:
        """A piece arrives; None is the end."""
        if self._sink is None:
            self._arrived.append(chunk)
        elif chunk is None:
            sink, self._sink = self._sink, None
            sink.ended(None)
        else:
            self._sink.data(chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        """A whole answer."""
        for chunk in self._arrived:
            if chunk is not None:
                yield chunk

    def follow(self, sink: Sink) -> None:
        arrived, self._arrived, self._sink = self._arrived, [], sink
        for chunk in arrived:
            self.put(chunk)

    def pause(self) -> None:
        raise AssertionError("a tab that reads at once has nothing to hold back")

    def abort(self) -> None:
        self._sink = None


class Exchange:
    """As `proxy.http.upstream.exchange.Exchange`."""

    def __init__(self, answer: AbstractAsyncContextManager[Stream]) -> None:
        self._answer = answer

    async def open(self) -> Stream:
        return await self._answer.__aenter__()

    def hand_over(self, holder: object) -> None:
        """There are slots for all."""

    async def close(self) -> None:
        await self._answer.__aexit__(None, None, None)

    async def __aenter__(self) -> Stream:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Hermes:
    """A server with its sessions' turns."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.turns: dict[str, Turn] = {}
        self.started: set[int] = set()
        """The numbers of the starts that arrived."""
        self.overlapping: set[str] = set()
        """Sessions that had two starts under way at once."""
        self.unreachable = 0
        """So many of the next requests find no connection."""
        self.undone: set[str] = set()
        """Sessions whose change was made while a cancelled worker could undo it (F17)."""
        self._spoiled: set[str] = set()
        self._starting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Everything that runs is lost."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for turn in self.turns.values():
            turn.active = turn.worker = False
            for tab in tuple(turn.tabs):
                tab.put(None)

    def request(self, head: RequestHead, _lane: Lane, *, body: Body | None = None, **_: Any) -> Exchange:
        """As `proxy.http.upstream.upstream.Upstream.request`."""
        return Exchange(self._request(head, body))

    @asynccontextmanager
    async def _request(self, head: RequestHead, body: Body | None) -> AsyncIterator[Stream]:
        sent = b"".join([chunk async for chunk in body.chunks]) if body else b""
        url = urlparse(head.target.decode())
        stream_id = parse_qs(url.query).get("stream_id", [""])[0]
        await asyncio.sleep(0.001)
        if self.unreachable:
            self.unreachable -= 1
            raise BackendUnreachableError("no connection")
        if (b"Cookie", b"stranger") in head.headers:
            yield _json(401, error="Authentication required")
            return
        match url.path:
            case "/api/chat/start":
                yield await self._start(json.loads(sent))
            case "/api/chat/cancel":
                yield await self._cancel(stream_id)
            case "/api/chat/stream":
                async with self._open(stream_id) as stream:
                    yield stream
            case "/api/chat/stream/status":
                yield self._status(stream_id)
            case "/api/session/undo":
                yield await self._undo(json.loads(sent)["session_id"])
            case "/api/session":
                yield self._session(parse_qs(url.query)["session_id"][0])
            case "/health":
                yield self._health()

    async def _start(self, fields: dict[str, Any]) -> Stream:
        session_id = fields["session_id"]
        self.started.add(fields["number"])
        if session_id in self._starting:
            self.overlapping.add(session_id)
        self._starting.add(session_id)
        mine = [turn for turn in self.turns.values() if turn.session_id == session_id]
        unwinding = [turn for turn in mine if turn.worker and not turn.active]
        await asyncio.sleep(START_TAKES)
        self._starting.discard(session_id)
        for turn in () if self.habits.runner else mine:
            if turn.active or (turn.worker and self.habits.fences):
                return _json(409, error="busy", active_stream_id=turn.stream_id, real=turn.active)
        turn = Turn(f"x{len(self.turns) + 1}", session_id, fields["length"], _now(), asked_at=_now() - START_TAKES)
        turn.poisoned = any(old.worker for old in unwinding)
        turn.spoiled = session_id in self._spoiled
        self._spoiled.discard(session_id)
        self.turns[turn.stream_id] = turn
        self._spawn(self._run(turn))
        stamp = {} if self.habits.runner else {"pending_started_at": turn.began}
        return _json(200, stream_id=turn.stream_id, session_id=session_id, **stamp)

    async def _undo(self, session_id: str) -> Stream:
        mine = [turn for turn in self.turns.values() if turn.session_id == session_id]
        if any(turn.cancelled and turn.worker for turn in mine):
            self.undone.add(session_id)
        await asyncio.sleep(START_TAKES)
        return _json(200, ok=True)

    async def _run(self, turn: Turn) -> None:
        await asyncio.sleep(self.habits.deaf)
        left = turn.length
        while left > 0 and turn.active:
            self._say(turn, "token", text=f"{turn.stream_id} ")
            await asyncio.sleep(SPEAKS_EVERY)
            left -= SPEAKS_EVERY
        if turn.cancelled and turn.worker and turn.gone_at is None:
            await asyncio.sleep(max(left, 0.0))
            turn.ran_on = turn.gone_at is None
        if not turn.active:
            if turn.gone_at is None:
                turn.worker = False
            return
        turn.active = turn.worker = False
        self._end(turn, "done")
        while self.habits.lingers:
            await asyncio.sleep(HEARTBEAT)
            for tab in tuple(turn.tabs):
                tab.put(b": heartbeat\n\n")
        await asyncio.sleep(TITLE_TAKES)
        self._say(turn, "stream_end")
        self._close(turn)

    async def _cancel(self, stream_id: str) -> Stream:
        turn = None if self.habits.runner else self.turns.get(stream_id)
        cancelled = turn is not None and (turn.active or (self.habits.repeats and turn.worker))
        if turn is not None and turn.active:
            turn.active, turn.cancelled = False, True
            self._spawn(self._announce_end(turn))
            self._interrupt(turn)
        elif turn is not None and turn.worker and self.habits.repeats:
            self._interrupt(turn)
        await asyncio.sleep(self.habits.answer_after)
        return _json(200, ok=True, cancelled=cancelled, stream_id=stream_id)

    def _interrupt(self, turn: Turn) -> None:
        """Lost while the agent does not listen; a nuisance once it has listened (F13, F23)."""
        if turn.gone_at is not None:
            if _now() >= turn.gone_at - self.habits.tail:
                self._spoiled.add(turn.session_id)
        elif _now() >= turn.began + self.habits.deaf and self.habits.unwind is not None:
            turn.gone_at = _now() + self.habits.unwind
            self._spawn(self._unwind(turn, self.habits.unwind))

    async def _unwind(self, turn: Turn, takes: float) -> None:
        await asyncio.sleep(takes)
        turn.worker = False

    async def _announce_end(self, turn: Turn) -> None:
        if self.habits.event_after is None:
            return
        await asyncio.sleep(self.habits.event_after)
        self._end(turn, "done" if self.habits.finishes else "cancel")
        if self.habits.finishes:
            self._say(turn, "stream_end")
        self._close(turn)

    @asynccontextmanager
    async def _open(self, stream_id: str) -> AsyncIterator[Stream]:
        turn = self.turns.get(stream_id)
        if turn is None:
            yield _json(404, error="stream not found")
            return
        stream = Stream(200, streams=True)
        stream.is_replay = not turn.active
        for frame in () if turn.active else turn.journal:
            stream.put(frame)
        if not turn.active:
            stream.put(None)
        turn.tabs.add(stream)
        try:
            yield stream
        finally:
            turn.tabs.discard(stream)

    def _status(self, stream_id: str) -> Stream:
        turn = self.turns.get(stream_id)
        if turn is None or self.habits.runner:
            return _json(200, active=False, stream_id=stream_id, replay_available=False)
        state = {"cancel": "interrupted-by-user", None: "running"}.get(turn.ending, "completed")
        journal = {"session_id": turn.session_id, "terminal": turn.ending is not None, "terminal_state": state}
        return _json(200, active=turn.active, stream_id=stream_id, journal=journal)

    def _session(self, session_id: str) -> Stream:
        """The session's last turn saves it with its start, and when its agent begins to listen (F22)."""
        turns = [turn for turn in self.turns.values() if turn.session_id == session_id]
        listens = turns[-1].began + self.habits.deaf
        saved = listens if _now() >= listens > turns[-1].began else turns[-1].began
        return _json(200, session={"session_id": session_id, "updated_at": saved})

    def _health(self) -> Stream:
        if not self.habits.health:
            return _json(500, error="Internal server error")
        runs: list[dict[str, object]] = []
        for turn in self.turns.values():
            if turn.worker and not self.habits.runner:
                phase = "running" if turn.active else "cancelling"
                unnamed: dict[str, object] = {"phase": phase, "started_at": turn.began + 0.05}
                runs.append(unnamed if self.habits.fences else {"stream_id": turn.stream_id})
        stamp = {"server_started_at": -1000.0} if self.habits.fences else {}  # newer releases do both
        return _json(200, runs=runs, uptime_seconds=_now() + 1000.0, **stamp)

    def _say(self, turn: Turn, event: str, **fields: Any) -> None:
        data = json.dumps({"session_id": turn.session_id, **fields})
        frame = f"event: {event}\ndata: {data}\n\n".encode()
        turn.journal.append(frame)
        for tab in turn.tabs:
            tab.put(frame)

    def _end(self, turn: Turn, event: str) -> None:
        turn.ending = "stream_end" if event == "done" else event
        self._say(turn, event)

    def _close(self, turn: Turn) -> None:
        for tab in turn.tabs:
            tab.put(b'event: token\ndata: {"text": "said too late"}\n\n')
            tab.put(None)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _json(status: int, **fields: Any) -> Stream:
    return Stream(status, json.dumps(fields).encode())
