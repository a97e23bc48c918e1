"""``GET /api/chat/cancel``: its event and its answer race each other (F5)."""

import asyncio
from random import Random

from proxy.demo.exchange import Exchange
from proxy.demo.habits import CancelOrder
from proxy.demo.reports import cancel_data
from proxy.demo.responses import Answer, error_answer, json_answer
from proxy.demo.sessions import Spawn, Turn
from proxy.demo.world import World


class Stopping:
    """Answers cancels.

    Args:
        world: The sessions and turns.
        spawn: Runs a coroutine as a task that the backend owns.
        order: Which of a cancel's event and answer leaves first.
        seed: Of the generator that draws ``CancelOrder.EITHER``.
    """

    def __init__(self, world: World, spawn: Spawn, order: CancelOrder, seed: int) -> None:
        self._world = world
        self._spawn = spawn
        self._order = order
        self._chance = Random(seed)  # noqa: S311  it orders two writes, it guards nothing

    async def cancel(self, exchange: Exchange) -> Answer:
        """``GET /api/chat/cancel``."""
        stream_id = exchange.request.query("stream_id")
        if not stream_id:
            return error_answer("stream_id required")
        if self._world.faults.gateway_down:
            return await self._not_taken(stream_id)
        unanswered = self._world.leaves_unanswered()
        accepted, turn = self._world.cancel(stream_id)
        if turn:
            await self._tell_in_order(turn)
        if unanswered:
            await self._world.until_answering()
        await asyncio.sleep(self._world.faults.answer_delay)
        return json_answer({"ok": True, "cancelled": accepted, "stream_id": stream_id})

    async def _not_taken(self, stream_id: str) -> Answer:
        """F19: the gateway does not take the Stop, and the turn runs on."""
        await asyncio.sleep(self._world.faults.answer_delay)
        failed = {"ok": False, "cancelled": False, "stream_id": stream_id, "error": "Gateway stop failed"}
        return json_answer(failed, 502)

    async def _tell_in_order(self, turn: Turn) -> None:
        orders = (CancelOrder.EVENT_FIRST, CancelOrder.ANSWER_FIRST)
        order = self._chance.choice(orders) if self._order is CancelOrder.EITHER else self._order
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
