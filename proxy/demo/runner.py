"""F20, runner mode: the turn runs in a process of its own, of which Hermes knows nothing but the events.

Neither ``stream/status`` nor ``/health`` lists it, a cancel reaches nobody, and nothing keeps a second
turn of the session from starting meanwhile.
"""

import asyncio

from proxy.demo.agent import Agent
from proxy.demo.sessions import Turn
from proxy.demo.world import World


class Runner:
    """Runs one turn to its end."""

    def __init__(self, world: World, turn: Turn, agent: Agent) -> None:
        self._world = world
        self._turn = turn
        self._agent = agent

    async def run(self) -> None:
        """The whole of a turn; cancelled only when the backend closes."""
        turn = self._turn
        named = {"session_id": turn.session.session_id}
        if await self._agent.run():
            turn.put("done", {"session": {**named, "messages": []}, "usage": {}})
            await asyncio.sleep(0)
            turn.put("stream_end", named)
        self._world.remote.pop(turn.stream_id, None)
