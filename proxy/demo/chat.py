"""The calls that start, stop and ask about turns."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from random import Random
from typing import Any

from proxy.demo.exchange import Exchange
from proxy.demo.habits import CancelOrder
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import BackgroundTask, Session, Turn
from proxy.demo.streams import Frame
from proxy.demo.worker import Worker, cancel_data, describe
from proxy.demo.world import World

Spawn = Callable[[Coroutine[Any, Any, None]], None]
NOT_FOUND = "Session not found"


class MissingFieldError(ValueError):
    """A body without a field that the call needs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Missing required field(s): {name}")


class Chat:
    """The chat calls of one backend.

    Args:
        world: Its sessions and turns.
        spawn: Runs a coroutine as a task that the backend owns.
        order: Which of a cancel's event and answer leaves first (F5).
        seed: Of the generator that draws ``CancelOrder.EITHER``.
    """

    def __init__(self, world: World, spawn: Spawn, order: CancelOrder, seed: int) -> None:
        self._world = world
        self._spawn = spawn
        self._order = order
        self._random = Random(seed)  # noqa: S311  it orders two writes, it guards nothing

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
        session = self._world.sessions.get(_required(body, "session_id"))
        if session is None:
            return error_answer(NOT_FOUND, 404)
        message = str(body.get("message", "")).strip()
        if not message:
            return error_answer("message is required")
        return self._started(session, message)

    def _started(self, session: Session, message: str, **more: Any) -> Answer:
        turn = self.run(session, message)
        if turn is None:
            active = self._world.blocking_stream(session)
            error = "session already has an active stream"
            return json_answer({"error": error, "active_stream_id": active}, 409)
        return json_answer({**more, **_announce(turn)})

    def run(self, session: Session, message: str, **marks: Any) -> Turn | None:
        """Starts a turn; ``None`` if the session is not free."""
        turn = self._world.open_turn(session, message, **marks)
        if turn is not None:
            self._spawn(Worker(self._world, turn).run())
        return turn

    def run_unasked(self, session: Session, message: str) -> Turn:
        """Starts a turn that no browser asked for, and announces it on the session's channel.

        Raises:
            RuntimeError: the session is not free.
        """
        turn = self.run(session, message)
        if turn is None:
            raise RuntimeError(f"session {session.session_id} already runs a turn")
        data = {
            "session_id": session.session_id,
            "stream_id": turn.stream_id,
            "pending_started_at": turn.started_at,
            "source": "process_wakeup",
        }
        session.channel.publish(Frame("server_turn_started", data))
        return turn

    async def by_the_way(self, exchange: Exchange) -> Answer:
        """``POST /api/btw``: a side stream in an ephemeral session of its own."""
        body = await exchange.json_body()
        parent = self._world.sessions.get(_required(body, "session_id"))
        question = _required(body, "question")
        if parent is None:
            return error_answer(NOT_FOUND, 404)
        side = self._world.new_session(parent)
        turn = self.run(side, question, ephemeral=True)
        ids = {"stream_id": turn.stream_id if turn else None, "session_id": side.session_id}
        return json_answer({**ids, "parent_session_id": parent.session_id})

    async def background(self, exchange: Exchange) -> Answer:
        """``POST /api/background``: a side stream whose result is asked for later."""
        body = await exchange.json_body()
        parent = self._world.sessions.get(_required(body, "session_id"))
        prompt = _required(body, "prompt")
        if parent is None:
            return error_answer(NOT_FOUND, 404)
        side = self._world.new_session()
        task = BackgroundTask(secrets.token_hex(4), parent.background_results)
        turn = self.run(side, prompt, task=task)
        ids = {"task_id": task.task_id, "stream_id": turn.stream_id if turn else None}
        return json_answer({**ids, "session_id": side.session_id})

    async def background_status(self, exchange: Exchange) -> Answer:
        """``GET /api/background/status``: each result is told once."""
        session = self._world.sessions.get(exchange.request.query("session_id"))
        results = list(session.background_results) if session else []
        if session:
            session.background_results.clear()
        return json_answer({"results": results})

    async def goal(self, exchange: Exchange) -> Answer:
        """``POST /api/goal``: setting one starts a turn."""
        body = await exchange.json_body()
        session = self._world.sessions.get(_required(body, "session_id"))
        if session is None:
            return error_answer(NOT_FOUND, 404)
        goal = str(body.get("args", ""))
        if goal in {"", "status"}:
            status = {"ok": True, "action": "status", "goal": None}
            said = {"message": "No active goal. Set one with /goal <text>."}
            return json_answer({**status, **said, "message_key": "goal_status_none"})
        goal_set = {"ok": True, "action": "set", "goal": {"goal": goal, "status": "active"}}
        return self._started(session, goal, **goal_set, kickoff_prompt=goal)

    async def status(self, exchange: Exchange) -> Answer:
        """``GET /api/chat/stream/status``."""
        stream_id = exchange.request.query("stream_id")
        stream, active = self._world.journals.get(stream_id), stream_id in self._world.streams
        known = stream is not None and stream.last_seq > 0
        said = {"active": active, "stream_id": stream_id, "replay_available": known}
        if stream is None or not known:
            return json_answer(said)
        return json_answer({**said, "journal": stream.summary(active=active)})

    async def cancel(self, exchange: Exchange) -> Answer:
        """``GET /api/chat/cancel``: the event and the answer race each other (F5)."""
        stream_id = exchange.request.query("stream_id")
        if not stream_id:
            return error_answer("stream_id required")
        if self._world.faults.gateway_down:
            failed = {"ok": False, "cancelled": False, "error": "gateway unreachable"}
            return json_answer(failed, 502)
        accepted, turn = self._world.cancel(stream_id)
        if turn:
            await self._tell_in_order(turn)
        await asyncio.sleep(self._world.faults.answer_delay)
        return json_answer({"ok": True, "cancelled": accepted, "stream_id": stream_id})

    async def _tell_in_order(self, turn: Turn) -> None:
        orders = (CancelOrder.EVENT_FIRST, CancelOrder.ANSWER_FIRST)
        order = self._random.choice(orders) if self._order is CancelOrder.EITHER else self._order
        if order is CancelOrder.ANSWER_FIRST:
            self._spawn(self._tell_late(turn))
            return
        self._tell(turn)
        await asyncio.sleep(self._world.pace.gap)

    async def _tell_late(self, turn: Turn) -> None:
        await asyncio.sleep(self._world.faults.answer_delay + self._world.pace.gap)
        self._tell(turn)

    def _tell(self, turn: Turn) -> None:
        turn.stream.tell("cancel", cancel_data(turn, self._world, with_session=True))


def _announce(turn: Turn) -> dict[str, Any]:
    day = datetime.fromtimestamp(turn.started_at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return {
        "stream_id": turn.stream_id,
        "session_id": turn.session.session_id,
        "pending_started_at": turn.started_at,
        "turn_id": f"{day}-{secrets.token_hex(6)}",
        "title": turn.session.title,
        "effective_model_provider": "custom",
    }


def _required(body: dict[str, Any], name: str) -> str:
    value = str(body.get(name) or "")
    if not value:
        raise MissingFieldError(name)
    return value
