"""Holding a cancel back until its turn's agent listens: before that Hermes accepts a cancel and loses it (F13)."""

import asyncio
import math
from contextlib import suppress

from proxy.core.records import StreamRecord
from proxy.guard.backend import Backend
from proxy.guard.ownership import Ownership
from proxy.hermes.answers import read_session
from proxy.http.errors import ProxyError
from proxy.http.headers import RawHeaders

_LONGEST = 5.0
"""Seconds after a turn's start at which its cancel goes, whatever is known of its agent (P7)."""

_INTERVAL = 0.02
"""Seconds between two looks at the session."""

_FRESH = 0.06
"""Seconds from a look that found the session unsaved until one that finds it saved: so soon the agent has not begun
yet, and never asks the model."""

_LEAST_OPENING = 0.3
"""Seconds from an agent's begin in which it opens its request to the model, at least; an agent looks for a cancel as
often as that while it waits."""

_PATIENCE = 2.0
"""Seconds to wait for the session; a busy machine takes part of one."""


class Listening:
    """Knows whether a turn's agent listens, by either of two signs (F22).

    Its first output is one. The other is that Hermes saves the session again: the start itself does so before it is
    answered, and the worker right before its agent begins. That is asked for with the caller's own credentials.

    Args:
        backend: Asked for the session.
        ownership: Asked for the stream, and when that changes.
    """

    def __init__(self, backend: Backend, ownership: Ownership) -> None:
        self._backend = backend
        self._ownership = ownership

    async def until(self, stream_id: str, caller: RawHeaders) -> bool:
        """Waits until the turn's agent listens, as far as that can be known; False if the turn ended meanwhile."""
        stream = await self._ownership.stream(stream_id)
        session_id = await self._ownership.session_of(stream_id)
        if stream is None or session_id is None or not _may_be_deaf(stream, self._ownership.clock()):
            return True
        deadline = (stream.started_at or 0.0) + _LONGEST
        looking = asyncio.create_task(self._until_saved(session_id, stream, caller, deadline))
        listening = asyncio.create_task(self._until_it_speaks(stream_id))
        try:
            await asyncio.wait({looking, listening}, return_when=asyncio.FIRST_COMPLETED)
            return not listening.done() or listening.result()
        finally:
            for task in (looking, listening):
                task.cancel()
            await asyncio.gather(looking, listening, return_exceptions=True)

    async def _until_it_speaks(self, stream_id: str) -> bool:
        """True at its first output, False at its end."""
        record = await self._ownership.session(await self._ownership.locate(stream_id))
        while (stream := record.stream(stream_id)) is not None and stream.ending is None:
            if stream.spoke_at is not None:
                return True
            record = await self._ownership.changed(record)
        return False

    async def _until_saved(self, session_id: str, stream: StreamRecord, caller: RawHeaders, deadline: float) -> None:
        """Returns once the session was saved after the start's own save, or that cannot be known."""
        own_until = (stream.stamp or 0.0) + (stream.took or 0.0)
        with suppress(ProxyError, TimeoutError):
            async with asyncio.timeout_at(deadline):
                unsaved_at, asked = -math.inf, self._ownership.clock()
                first = saved = await self._saved_at(session_id, caller)
                while saved is not None and saved == first and saved <= own_until:
                    await asyncio.sleep(_INTERVAL)
                    unsaved_at, asked = asked, self._ownership.clock()
                    saved = await self._saved_at(session_id, caller)
                if saved is not None and self._ownership.clock() - unsaved_at > _FRESH:
                    await self._pass_the_opening(stream, saved)

    async def _pass_the_opening(self, stream: StreamRecord, saved: float) -> None:
        """Waits while the agent may be opening its request to the model: a cancel then leaves that behind (F16).

        How long that takes is told by how long it took the agent to begin. Its first output ends the wait sooner.
        """
        took = saved - (stream.stamp or 0.0)
        over = (stream.started_at or 0.0) + took + max(_LEAST_OPENING, 2 * took)
        await asyncio.sleep(over - self._ownership.clock())

    async def _saved_at(self, session_id: str, caller: RawHeaders) -> float | None:
        async with asyncio.timeout(_PATIENCE):
            answer = await self._backend.ask_session(session_id, caller)
        session = read_session(answer.status, answer.body)
        return session.updated_at if session else None


def _may_be_deaf(stream: StreamRecord, now: float) -> bool:
    if stream.started_at is None or stream.stamp is None or stream.took is None or stream.spoke_at is not None:
        return False
    return now < stream.started_at + _LONGEST
