"""The long-lived streams that belong to no turn: a session's, its prompts', the session list's."""

from collections.abc import Mapping

from proxy.demo.access import LOOPBACK
from proxy.demo.exchange import Exchange
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import NOT_FOUND, Session
from proxy.demo.sse import SseWriter
from proxy.demo.streams import Frame, Topic
from proxy.demo.world import World


class Channels:
    """Answers the calls that open or feed such a stream."""

    def __init__(self, world: World, sse: SseWriter) -> None:
        self._world = world
        self._sse = sse

    async def silence(self, exchange: Exchange) -> None:
        """A stream that never says anything but ``: keepalive``."""
        await self._sse.topic(exchange, Topic())

    async def session_list(self, exchange: Exchange) -> None:
        """``GET /api/sessions/events``."""
        await self._sse.topic(exchange, self._world.list_events)

    async def session(self, exchange: Exchange) -> Answer | None:
        """``GET /api/session/stream``: a turn that runs already is announced again."""
        session = self._session_of(exchange)
        if session is None:
            return error_answer("session_id is required")
        hello = [Frame("initial", {"session_id": session.session_id})]
        if session.active_stream_id in self._world.streams:
            running = {
                "session_id": session.session_id,
                "stream_id": session.active_stream_id,
                "pending_started_at": session.pending_started_at,
                "source": "subscribe_recovery",
                "recovered": True,
            }
            hello.append(Frame("server_turn_started", running))
        return await self._sse.topic(exchange, session.channel, *hello)

    async def session_turns(self, exchange: Exchange) -> Answer | None:
        """``GET /api/sessions/ID/events``."""
        session = self._world.sessions.get(exchange.request.path.split("/")[3])
        if session is None:
            return error_answer(NOT_FOUND, 404)
        await self._sse.session_turns(exchange, session)
        return None

    async def approvals(self, exchange: Exchange) -> Answer | None:
        """``GET /api/approval/stream``."""
        session = self._session_of(exchange)
        return await self._prompts(exchange, session.approvals if session else None)

    async def clarifications(self, exchange: Exchange) -> Answer | None:
        """``GET /api/clarify/stream``."""
        session = self._session_of(exchange)
        return await self._prompts(exchange, session.clarifications if session else None)

    async def _prompts(self, exchange: Exchange, topic: Topic | None) -> Answer | None:
        if topic is None:
            return error_answer("session_id is required")
        nothing = Frame("initial", {"pending": None, "pending_count": 0})
        return await self._sse.topic(exchange, topic, nothing, closing=True)

    async def inject_approval(self, exchange: Exchange) -> Answer:
        """``GET /api/approval/inject_test``."""
        command = exchange.request.query("command", "rm -rf /tmp/test")
        return self._inject(exchange, "approval", {"command": command, "description": "test pattern"})

    async def inject_clarification(self, exchange: Exchange) -> Answer:
        """``GET /api/clarify/inject_test``."""
        question = exchange.request.query("question", "Which option?")
        return self._inject(exchange, "clarify", {"question": question, "kind": "clarify"})

    def _inject(self, exchange: Exchange, event: str, data: Mapping[str, object]) -> Answer:
        """F9: whoever comes from loopback may put a prompt before the user."""
        if exchange.peer != LOOPBACK:
            return error_answer("not found", 404)
        session = self._session_of(exchange)
        if session is None:
            return error_answer("session_id required")
        topic = session.approvals if event == "approval" else session.clarifications
        topic.publish(Frame(event, data))
        return json_answer({"ok": True, "session_id": session.session_id})

    def _session_of(self, exchange: Exchange) -> Session | None:
        """The session asked for; one that nobody knows has channels all the same."""
        session_id = exchange.request.query("session_id")
        if not session_id:
            return None
        return self._world.sessions.get(session_id) or Session(session_id, self._world.clock())
