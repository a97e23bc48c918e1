"""Holding a cancel back until its turn's agent listens: before that Hermes accepts a cancel and loses it (F13)."""

import asyncio
import math
from contextlib import suppress
from enum import Enum

from proxy.backend.backend import Backend
from proxy.core.records import StreamRecord
from proxy.hermes.answers import read_session, read_status
from proxy.http.errors import ProxyError
from proxy.http.headers import RawHeaders
from proxy.ownership.ownership import Ownership

_UNSAVED = 5.0
"""Longest wait for the agent's save, in seconds after the turn's start (P7). Then the cancel is sent all the same."""

_BEGINNING = 20.0
"""The same if Hermes says that it runs the turn, and its agent has not saved the session yet. The first turn after
Hermes was started loads what agents need. That took 5 s on two idle cores, and 10 s on busy ones."""

_QUICK = 0.5
"""Longest start, in seconds, after which it is clear who saved the session. If Hermes needed longer to answer the
start, the agent may have begun before the answer, and the one save that is seen may be the agent's."""

_INTERVAL = 0.02
"""Seconds between two looks at the session."""

_FRESH = 0.04
"""Seconds from a look that found the session unsaved until one that finds it saved: so soon the agent has not begun
yet, and never asks the model. On a busy machine the looks are further apart, and none is as soon."""

_LEAST_OPENING, _LONGEST_OPENING = 1.0, 5.0
_OPENING = 4
"""Seconds from an agent's begin in which it opens its request to the model, at least and at most (P7), and how many
times longer than it took to begin. On two cores with three turns at a time beside other work, 0.3 s and twice were too
little."""

_PATIENCE = 2.0
"""Seconds to wait for the session; a busy machine takes part of one."""

_ONE_LOOK = 0.5
"""Seconds for one look at a turn that is older than `_UNSAVED` and has said nothing yet."""


class Ready(Enum):
    """What is known of a turn when its cancel may go."""

    SPEAKS = "speaks"
    """Its agent listens, as its output has shown."""
    LISTENS = "listens"
    """Its agent listens, as its session tells (F22)."""
    UNKNOWN = "unknown"
    ENDED = "ended"

    @property
    def is_heard(self) -> bool:
        """Whether the cancel is heard, and marks the worker where the release marks any (F15)."""
        return self in (Ready.SPEAKS, Ready.LISTENS)


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

    async def until(self, stream_id: str, caller: RawHeaders) -> Ready:
        """Waits until the turn's agent listens, as far as that can be known, or the turn has ended."""
        stream = await self._ownership.stream(stream_id)
        session_id = await self._ownership.session_of(stream_id)
        if stream is not None and stream.spoke_at is not None:
            return Ready.SPEAKS
        if stream is None or session_id is None or None in (stream.started_at, stream.stamp, stream.took):
            return Ready.UNKNOWN
        looking = asyncio.create_task(self._until_saved(session_id, stream, caller))
        listening = asyncio.create_task(self._until_it_speaks(stream_id))
        try:
            await asyncio.wait({looking, listening}, return_when=asyncio.FIRST_COMPLETED)
            return listening.result() if listening.done() else looking.result()
        finally:
            for task in (looking, listening):
                task.cancel()
            await asyncio.gather(looking, listening, return_exceptions=True)

    async def _until_it_speaks(self, stream_id: str) -> Ready:
        """Returns at its first output, or at its end."""
        record = await self._ownership.session(await self._ownership.locate(stream_id))
        while (stream := record.stream(stream_id)) is not None and stream.ending is None:
            if stream.spoke_at is not None:
                return Ready.SPEAKS
            record = await self._ownership.changed(record)
        return Ready.ENDED

    async def _until_saved(self, session_id: str, stream: StreamRecord, caller: RawHeaders) -> Ready:
        """Returns once the session was saved after the start's own save, or that cannot be known."""
        started = stream.started_at or 0.0
        until = max(started + _UNSAVED, self._ownership.clock() + _ONE_LOOK)
        ready = await self._saved_by(until, session_id, stream, caller)
        if ready is None and until < started + _BEGINNING and await self._is_beginning(stream, caller):
            ready = await self._saved_by(started + _BEGINNING, session_id, stream, caller)
        return ready or Ready.UNKNOWN

    async def _saved_by(self, until: float, session_id: str, stream: StreamRecord, caller: RawHeaders) -> Ready | None:
        """What the session tells; None if it was not saved again by then."""
        try:
            async with asyncio.timeout_at(until) as limit:
                saved, is_fresh = await self._saved_again(session_id, stream, caller)
        except (ProxyError, TimeoutError):
            return None if limit.expired() else Ready.UNKNOWN
        if saved is None:
            return Ready.UNKNOWN
        if not is_fresh:
            await self._pass_the_opening(stream, saved)
        return Ready.LISTENS

    async def _is_beginning(self, stream: StreamRecord, caller: RawHeaders) -> bool:
        """Whether Hermes runs the turn, which it does not know of a runner's (F20), and its agent has not begun."""
        if (stream.took or 0.0) > _QUICK:
            return False
        with suppress(ProxyError, TimeoutError):
            async with asyncio.timeout(_ONE_LOOK):
                answer = await self._backend.ask_status(stream.stream_id, caller)
            status = read_status(answer.status, answer.body)
            return status is not None and status.active
        return False

    async def _saved_again(
        self, session_id: str, stream: StreamRecord, caller: RawHeaders
    ) -> tuple[float | None, bool]:
        """When the session was saved again, None if Hermes does not say; and whether that was at most `_FRESH` ago."""
        own_until = (stream.stamp or 0.0) + (stream.took or 0.0)
        unsaved_at, asked = -math.inf, self._ownership.clock()
        first = saved = await self._saved_at(session_id, caller)
        while saved is not None and saved == first and saved <= own_until:
            await asyncio.sleep(_INTERVAL)
            unsaved_at, asked = asked, self._ownership.clock()
            saved = await self._saved_at(session_id, caller)
        return saved, self._ownership.clock() - unsaved_at <= _FRESH

    async def _pass_the_opening(self, stream: StreamRecord, saved: float) -> None:
        """Waits while the agent may be opening its request to the model: a cancel then leaves that behind (F16).

        How long that takes is told by how long it took the agent to begin. Its first output ends the wait sooner.
        """
        took = saved - (stream.stamp or 0.0)
        opening = min(max(_LEAST_OPENING, _OPENING * took), _LONGEST_OPENING)
        await asyncio.sleep((stream.started_at or 0.0) + took + opening - self._ownership.clock())

    async def _saved_at(self, session_id: str, caller: RawHeaders) -> float | None:
        async with asyncio.timeout(_PATIENCE):
            answer = await self._backend.ask_session(session_id, caller)
        session = read_session(answer.status, answer.body)
        return session.updated_at if session else None
