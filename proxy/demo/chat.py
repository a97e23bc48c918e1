"""The chat's own calls: sessions, starts, and what is asked about turns."""

from proxy.demo.exchange import Exchange, required
from proxy.demo.habits import Mode
from proxy.demo.reports import describe
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import NOT_FOUND
from proxy.demo.turns import Turns
from proxy.demo.world import World


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
        return self._turns.start(session, message)

    async def status(self, exchange: Exchange) -> Answer:
        """``GET /api/chat/stream/status``."""
        stream_id = exchange.request.query("stream_id")
        stream, active = self._world.journals.get(stream_id), stream_id in self._world.streams
        known = stream is not None and stream.last_seq > 0 and self._world.mode is not Mode.RUNNER
        said = {"active": active, "stream_id": stream_id, "replay_available": known}
        if stream is None or not known:
            return json_answer(said)
        return json_answer({**said, "journal": stream.summary(active=active)})
