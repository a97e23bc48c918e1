"""Starting turns: each gets a worker, an agent, and its share of what is drawn by chance."""

import secrets
from datetime import UTC, datetime
from random import Random
from typing import Any

from proxy.demo.agent import Agent
from proxy.demo.habits import Mode, draw
from proxy.demo.ledger import Ledger
from proxy.demo.refusals import REFUSALS
from proxy.demo.responses import Answer, json_answer
from proxy.demo.runner import Runner
from proxy.demo.sessions import Session, Spawn, Turn
from proxy.demo.streams import Frame
from proxy.demo.worker import Worker
from proxy.demo.world import World


class Turns:
    """Starts the turns of one backend.

    Args:
        world: Its sessions and turns.
        ledger: Where the model's own log is kept.
        spawn: Runs a coroutine as a task that the backend owns.
        seed: Of the generator that draws each turn's times.
    """

    def __init__(self, world: World, ledger: Ledger, spawn: Spawn, seed: int) -> None:
        self._world = world
        self._ledger = ledger
        self._spawn = spawn
        self._chance = Random(seed)  # noqa: S311  it varies times, it guards nothing

    def start(self, session: Session, message: str, /, **more: Any) -> Answer:
        """Starts a turn that a browser asked for, and says so; 409 if the session is not free, or for other reasons."""
        if refusal := self._world.faults.refusal:
            return json_answer(REFUSALS[refusal], 409)
        turn = self.run(session, message)
        if turn is None:
            active = self._world.blocking_stream(session)
            error = "session already has an active stream"
            return json_answer({"error": error, "active_stream_id": active}, 409)
        return json_answer({**more, **self._announce(turn)})

    def run(self, session: Session, message: str, **marks: Any) -> Turn | None:
        """Starts a turn; ``None`` if the session is not free."""
        pace = self._world.pace
        turn = self._world.open_turn(session, message, lag=draw(pace.lag, self._chance), **marks)
        if turn is not None:
            kind = Runner if self._world.mode is Mode.RUNNER else Worker
            self._spawn(kind(self._world, turn, self._agent(turn)).run())
        return turn

    async def run_whole(self, session: Session, message: str) -> str:
        """Runs a turn that neither starts nor Stops know of; its answer."""
        turn = self._world.unlisted_turn(session, message)
        await self._agent(turn).run()
        answer = "".join(turn.spoken).strip()
        session.say("user", message)
        session.say("assistant", answer, finish_reason="stop")
        return answer

    def _agent(self, turn: Turn) -> Agent:
        deaf = draw(self._world.pace.deaf, self._chance)
        return Agent(self._world, turn, self._ledger, self._spawn, deaf)

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
            "pending_started_at": turn.pending_since,
            "source": "process_wakeup",
        }
        session.channel.publish(Frame("server_turn_started", data))
        return turn

    def _announce(self, turn: Turn) -> dict[str, Any]:
        names = {"stream_id": turn.stream_id, "session_id": turn.session.session_id}
        if self._world.mode is Mode.RUNNER:
            return names
        day = datetime.fromtimestamp(turn.pending_since, UTC).strftime("%Y%m%dT%H%M%SZ")
        return {
            **names,
            "pending_started_at": turn.pending_since,
            "turn_id": f"{day}-{secrets.token_hex(6)}",
            "title": turn.session.title,
            "effective_model_provider": "custom",
        }
