"""Writing SSE responses: a turn's stream, live or from its journal, and the long-lived others."""

import asyncio
from typing import NoReturn

from proxy.demo.exchange import Exchange
from proxy.demo.habits import Faults, Release
from proxy.demo.responses import error_answer
from proxy.demo.sessions import Session, Turn
from proxy.demo.streams import Frame, Stream, Subscriber, Topic, render_frame, sequence_of
from proxy.demo.wire import Request
from proxy.demo.world import World


class SseWriter:
    """Streams events to one browser at a time, with heartbeats in between."""

    def __init__(self, world: World, heartbeat: float) -> None:
        self._world = world
        self._heartbeat = heartbeat

    @property
    def _habits(self) -> Release:
        return self._world.habits

    async def chat(self, exchange: Exchange) -> None:
        """``GET /api/chat/stream``: live if it still can be, else from the journal, else 404."""
        stream_id = exchange.request.query("stream_id")
        turn, stream = self._world.audible(stream_id), self._world.journals.get(stream_id)
        if stream is None:
            await exchange.answer(error_answer("stream not found", 404))
        elif turn is None:
            await exchange.open_sse(closing=True)
            await self._replay_ended(exchange, stream)
        else:
            await self._follow(exchange, turn)

    async def _replay_ended(self, exchange: Exchange, stream: Stream) -> None:
        after = cursor(exchange.request, stream, self._habits) or 0
        after = 0 if self._habits.resumes and after > stream.last_seq else after
        for frame in stream.replay(after):
            await self._send(exchange, frame, frame.event_id)
        if not stream.terminal and stream.last_seq >= after and stream.last_seq:
            frame = stream.interrupted(marks_recovery=self._habits.marks_recovery)
            await self._send(exchange, frame, frame.event_id)

    async def _follow(self, exchange: Exchange, turn: Turn) -> None:
        stream = turn.stream
        subscriber = stream.channel.subscribe()
        try:
            await exchange.open_sse(closing=True)
            seen = await self._catch_up(exchange, stream)
            await self._relay_live(exchange, stream, subscriber, seen)
        finally:
            stream.channel.unsubscribe(subscriber)

    async def _catch_up(self, exchange: Exchange, stream: Stream) -> int:
        """F12: what the journal has after the cursor; the last number that it sent. A runner sends all (F20)."""
        after = cursor(exchange.request, stream, self._habits)
        if stream.stream_id in self._world.remote:
            after = after or 0
        elif after is None or not self._habits.resumes:
            return 0
        newest = stream.last_seq
        for frame in stream.replay(0 if after > newest else after, newest):
            await self._send(exchange, frame, frame.event_id)
        return newest

    async def _relay_live(self, exchange: Exchange, stream: Stream, subscriber: Subscriber, seen: int) -> None:
        tokens = 0
        while True:
            frame = await subscriber.get(self._heartbeat)
            if frame is None:
                await self._comment(exchange, "heartbeat")
                continue
            event_id = frame.event_id or stream.newest_id
            if 0 < sequence_of(event_id) <= seen:  # a Stop's cancel, with its borrowed id, too
                continue
            await self._send(exchange, frame, event_id)
            tokens += frame.event == "token"
            if frame.event in self._habits.closing_events or self._cut(tokens):
                return

    async def session_turns(self, exchange: Exchange, session: Session) -> None:
        """``GET /api/sessions/ID/events``: keepalives until a turn runs, and then that turn to its end (F21)."""
        await exchange.open_sse(closing=False)
        while (turn := self._world.streams.get(session.active_stream_id or "")) is None:
            await self._comment(exchange, "keepalive")
            await asyncio.sleep(self._heartbeat)
        subscriber = turn.stream.channel.subscribe()
        try:
            await self._relay_live(exchange, turn.stream, subscriber, 0)
        finally:
            turn.stream.channel.unsubscribe(subscriber)

    def _cut(self, tokens: int) -> bool:
        faults: Faults = self._world.faults
        return faults.cut_after is not None and tokens >= faults.cut_after

    async def topic(self, exchange: Exchange, topic: Topic, *hello: Frame, closing: bool = False) -> NoReturn:
        """A long-lived stream: ``hello`` first, then what ``topic`` publishes, for ever."""
        subscriber = topic.subscribe()
        try:
            await exchange.open_sse(closing=closing)
            for frame in hello:
                await self._send(exchange, frame, None)
            while True:
                live = await subscriber.get(self._heartbeat)
                if live is None:
                    await self._comment(exchange, "keepalive")
                else:
                    await self._send(exchange, live, live.event_id)
        finally:
            topic.unsubscribe(subscriber)

    async def _send(self, exchange: Exchange, frame: Frame, event_id: str | None) -> None:
        await exchange.send(render_frame(frame, event_id), deadline=self._habits.write_deadline)

    async def _comment(self, exchange: Exchange, text: str) -> None:
        await exchange.send(f": {text}\n\n".encode(), deadline=self._habits.write_deadline)


def cursor(request: Request, stream: Stream, habits: Release) -> int | None:
    """The event number after which a browser wants to go on; ``None`` if it names no cursor.

    ``after_event_id`` goes before ``after_seq``, and both before ``Last-Event-ID``, which only
    later releases look at. One that cannot be used asks for everything.
    """
    event_id = request.query("after_event_id")
    if not event_id and not request.query("after_seq") and habits.resumes:
        event_id = request.header("Last-Event-ID")
    if event_id:
        run_id, _, number = event_id.rpartition(":")
        return _number(number) if run_id in {"", stream.stream_id} else 0
    if request.query("after_seq"):
        return _number(request.query("after_seq"))
    return 0 if request.query("replay") == "1" else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
