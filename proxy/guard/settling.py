"""Following accepted cancels until they have settled."""

import asyncio
from contextlib import suppress

from proxy.core.effects import WatchSettling
from proxy.core.observations import RelaysEnded, SettleTimedOut, SlotSeen
from proxy.guard.limits import Live
from proxy.guard.ownership import Ownership
from proxy.guard.relays import Relays
from proxy.guard.reporting import Report, failing_open
from proxy.guard.slots import Slots
from proxy.guard.tasks import Tasks
from proxy.http.account import work_for_nobody


class Settling:
    """Watches what an accepted cancel still misses, for at most `settle_timeout` seconds (P7).

    Args:
        ownership: Told what happens.
        relays: Asked when the terminal event has been written everywhere.
        slots: Asked when the worker has released its slot (F3).
        tasks: Owns the watching.
        live: Says how long, from the backend's answer on.
        report: Told of internal errors.
    """

    def __init__(  # noqa: PLR0913 - what it asks, what it tells, and how long it may take
        self, ownership: Ownership, relays: Relays, slots: Slots, tasks: Tasks, live: Live, *, report: Report
    ) -> None:
        self._ownership = ownership
        self._relays = relays
        self._slots = slots
        self._tasks = tasks
        self._live = live
        self._report = report

    def watch(self, effect: WatchSettling) -> None:
        """Carries out the effect."""
        self._tasks.spawn(self._follow(effect.stream_id), f"settling {effect.cancel.cancel_id}")

    async def _follow(self, stream_id: str) -> None:
        work_for_nobody()  # it outlasts the cancel whose answer had it begin
        deadline = self._ownership.clock() + self._live.now.settle_timeout
        with failing_open(self._report, "watching a cancel settle", stream=stream_id), suppress(TimeoutError):
            async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                group.create_task(self._await_relays(stream_id))
                group.create_task(self._await_slot(stream_id))
        # The answer may still be on its way; a cancel that has settled has nothing to time out.
        await asyncio.sleep(deadline - self._ownership.clock())
        with failing_open(self._report, "giving up on a cancel", stream=stream_id):
            await self._ownership.observe(SettleTimedOut(self._ownership.clock(), stream_id))

    async def _await_relays(self, stream_id: str) -> None:
        await self._relays.ended(stream_id)
        await self._ownership.observe(RelaysEnded(self._ownership.clock(), stream_id))

    async def _await_slot(self, stream_id: str) -> None:
        async for slot in self._slots.follow(stream_id):
            await self._ownership.observe(SlotSeen(self._ownership.clock(), stream_id, slot))
