"""The chat's own calls: sessions, starts, and what is asked about turns."""

import asyncio

from proxy.demo.exchange import Exchange, required
from proxy.demo.habits import Mode
from proxy.demo.reports import describe
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import NOT_FOUND, Session, Turn
from proxy.demo.turns import Turns
from proxy.demo.world import World

QUEUED = "gateway_steer_queued"


class Chat:
    """Answers these calls."""

    def __init__(self, world: World, turns: Turns) -> None:
        self._world = world
        self._turns = turns

    async def new_session(self, exchange: Exchange) -> Answer:
        """``POST /api/session/new``."""
        await exchange.body()
        session = self._world.new_session()
        return json_answer({"session": describe(session, self._world)})

    async def show_session(self, exchange: Exchange) -> Answer:
        """``GET /api/session``."""
        session_id = exchange.request.query("session_id")
        if not session_id:
            return error_answer("session_id is required")
        session = self._world.sessions.get(session_id)
        if session is None:
            return error_answer(NOT_FOUND, 404)
        full = exchange.request.query("messages", "1") != "0"
        return json_answer({"session": describe(session, self._world, with_messages=full)})

    async def start(self, exchange: Exchange) -> Answer:
        """``POST /api/chat/start``."""
        body = await exchange.json_body()
        session = self._world.sessions.get(required(body, "session_id"))
        if session is None:
            return error_answer(NOT_FOUND, 404)
        message = str(body.get("message", "")).strip()
        if not message:
            return error_answer("message is required")
        answer = self._turns.start(session, message)
        await asyncio.sleep(self._world.faults.start_delay)
        return answer

    async def steer(self, exchange: Exchange) -> Answer:
        """``POST /api/chat/steer``: whether it is accepted; whether it reaches the model is another matter (F18)."""
        body = await exchange.json_body()
        said = {name: str(body.get(name) or "").strip() for name in ("session_id", "text")}
        for name, value in said.items():
            if not value:
                return error_answer(f"{name} required")
        session = self._world.sessions.get(said["session_id"])
        turn = self._world.streams.get(session.active_stream_id or "") if session else None
        refusal = self._steer_refusal(session, turn)
        if turn and not refusal:
            turn.steers.append(said["text"])
        stream_id = turn.stream_id if turn and refusal in {None, QUEUED} else None
        return json_answer({"accepted": not refusal, "fallback": refusal, "stream_id": stream_id})

    def _steer_refusal(self, session: Session | None, turn: Turn | None) -> str | None:
        if session is None or not session.has_agent:
            queued = turn and self._world.mode is Mode.GATEWAY and self._world.habits.queues_steers
            return QUEUED if queued else "no_cached_agent"
        return None if turn else "not_running"

    async def status(self, exchange: Exchange) -> Answer:
        """``GET /api/chat/stream/status``."""
        stream_id = exchange.request.query("stream_id")
        stream, active = self._world.journals.get(stream_id), stream_id in self._world.streams
        known = stream is not None and stream.last_seq > 0 and self._world.mode is not Mode.RUNNER
        said = {"active": active, "stream_id": stream_id, "replay_available": known}
        if stream is None or not known:
            return json_answer(said)
        return json_answer({**said, "journal": stream.summary(active=active)})
