"""The calls that start turns besides the chat's own: side questions and background tasks."""

import secrets

from proxy.demo.exchange import Exchange, required
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import NOT_FOUND, BackgroundTask
from proxy.demo.turns import Turns
from proxy.demo.world import World


class Asides:
    """Answers these calls."""

    def __init__(self, world: World, turns: Turns) -> None:
        self._world = world
        self._turns = turns

    async def by_the_way(self, exchange: Exchange) -> Answer:
        """``POST /api/btw``: a side stream in an ephemeral session of its own."""
        body = await exchange.json_body()
        parent = self._world.sessions.get(required(body, "session_id"))
        question = required(body, "question")
        if parent is None:
            return error_answer(NOT_FOUND, 404)
        side = self._world.new_session(parent)
        turn = self._turns.run(side, question, ephemeral=True)
        ids = {"stream_id": turn.stream_id if turn else None, "session_id": side.session_id}
        return json_answer({**ids, "parent_session_id": parent.session_id})

    async def background(self, exchange: Exchange) -> Answer:
        """``POST /api/background``: a side stream whose result is asked for later."""
        body = await exchange.json_body()
        parent = self._world.sessions.get(required(body, "session_id"))
        prompt = required(body, "prompt")
        if parent is None:
            return error_answer(NOT_FOUND, 404)
        side = self._world.new_session()
        task = BackgroundTask(secrets.token_hex(4), parent.background_results)
        turn = self._turns.run(side, prompt, task=task)
        ids = {"task_id": task.task_id, "stream_id": turn.stream_id if turn else None}
        return json_answer({**ids, "session_id": side.session_id})

    async def background_status(self, exchange: Exchange) -> Answer:
        """``GET /api/background/status``: each result is told once."""
        session = self._world.sessions.get(exchange.request.query("session_id"))
        results = list(session.background_results) if session else []
        if session:
            session.background_results.clear()
        return json_answer({"results": results})
