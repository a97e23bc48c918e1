"""Finds out whether a turn's worker is gone: when Hermes refused its cancel, or another turn has taken its place (F20).

Neither proves anything alone, so `stream/status` and `/health` are asked.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from proxy.backend.backend import Backend
from proxy.backend.health import Health
from proxy.core.records import Ending, Slot, StreamRecord
from proxy.hermes.answers import StatusAnswer, read_status
from proxy.hermes.health import Turn
from proxy.http.errors import ProxyError
from proxy.http.message import RequestHead
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership

_OWN_ENDS = frozenset({Ending.FINISHED, Ending.FAILED})


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether it is proven that no worker of a stream is there, and how the stream ended if something tells."""

    is_gone: bool
    ending: Ending | None = None


class Evidence:
    """Asks whoever can know: the stream's journal with the caller's credentials, and `/health` (F3).

    Args:
        backend: Asked for the stream's status.
        ownership: Asked what is believed.
        health: Asked which workers run.
        live: Says how long it may take.
    """

    def __init__(self, backend: Backend, ownership: Ownership, health: Health, live: Live) -> None:
        self._backend = backend
        self._ownership = ownership
        self._health = health
        self._live = live

    async def of_refusal(self, head: RequestHead, stream_id: str) -> Proof:
        """What the refusal of a cancel proves; not that the worker is gone if nobody answers in time."""
        stream = await self._ownership.stream(stream_id)
        if stream is None:
            return Proof(is_gone=False)
        with suppress(ProxyError, TimeoutError):
            async with asyncio.timeout(self._live.now.answer_timeout):
                return await self._weigh(stream, await self._ask_status(head, stream_id))
        return Proof(is_gone=False)

    async def of_supersession(self, stream_id: str) -> bool:
        """Whether a superseded turn's worker is gone.

        It is if Hermes itself runs such turns, and `/health` lists no worker that may be its (F20).
        """
        stream = await self._ownership.stream(stream_id)
        return stream is not None and stream.hosted is True and not await self._may_be_listed(stream)

    async def _ask_status(self, head: RequestHead, stream_id: str) -> StatusAnswer | None:
        answer = await self._backend.ask_status(stream_id, head.headers)
        return read_status(answer.status, answer.body)

    async def _weigh(self, stream: StreamRecord, status: StatusAnswer | None) -> Proof:
        ending = status.ending if status else None
        if ending in _OWN_ENDS and not stream.is_settling:  # one that settles may unwind from its cancel (F1)
            return Proof(is_gone=True, ending=ending)
        has_journal = status is not None and (status.is_open or ending is not None)
        if status is not None and status.active:
            return Proof(is_gone=False)
        if stream.hosted is False or not (stream.hosted or has_journal):
            return Proof(is_gone=False, ending=ending)
        # Where a cancel finds every worker, a refusal means that there is none (F14). If that is not known, or Hermes
        # may have been restarted, `/health` has to confirm it.
        needs_look = not self._health.repeats or self._health.is_in_doubt
        if needs_look and await self._may_be_listed(stream):
            return Proof(is_gone=False, ending=ending)
        return Proof(is_gone=True, ending=ending or (Ending.LOST if has_journal else None))

    async def _may_be_listed(self, stream: StreamRecord) -> bool:
        """Whether its worker may be among those in `/health`."""
        runs = await self._health.reading()
        now = self._ownership.clock()
        turn = Turn(stream.stream_id, stream.stamp, now - (stream.started_at or now))
        return runs is None or runs.slot(turn) is not Slot.FREE
