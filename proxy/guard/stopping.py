"""Going on with an accepted cancel until its worker is seen gone (P11: Stop means stopped)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from proxy.backend.backend import Backend
from proxy.backend.health import Health
from proxy.core.effects import PursueStop
from proxy.core.observations import CancelRepeated, RelaysEnded, SlotSeen, StopTimedOut
from proxy.core.records import Cancel, Slot, SlotFreedBy, StreamRecord
from proxy.events import cancels
from proxy.guard.listening import Ready
from proxy.guard.turns import Turns
from proxy.guard.unwinding import Unwinding
from proxy.hermes import answers
from proxy.hermes.health import Turn
from proxy.http.account import detach_from_request
from proxy.http.errors import ProxyError
from proxy.http.message import RequestHead
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.relays import Relays
from proxy.reporting import Report, failing_open
from proxy.tasks import Tasks

_LOOK_PAUSE = 0.05
_LOOK_DENSELY_FOR = 3.0
_LONGEST_PAUSE = 0.5
"""Seconds. `/health` is looked at every `_LOOK_PAUSE` for `_LOOK_DENSELY_FOR`, which is how long a person waits for
it; then each pause is `_GROWTH` times longer, up to `_LONGEST_PAUSE`."""

_GROWTH = 1.5
"""Factor by which pauses grow, and the wait before a further repetition."""

_SPACING = 0.01
"""Seconds between two repetitions, of whatever streams: all that settle share this rate."""

_MOST = 4
"""Repetitions under way at once: each holds a connection of the lane that Stops run in."""

_ANSWERED_WITHIN = 2.0
"""Seconds to wait for the answer to a repetition."""

GRACE = 0.3
"""Seconds after which, if `/health` says nothing of workers, the next turn is no longer held for this one; three
times what unwinding was seen to take."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A cancel to repeat, if it was kept, and what was known of its agent when it was sent."""

    head: RequestHead | None = None
    ready: Ready = Ready.UNKNOWN


_NOTHING_KEPT = _Kept()


class Stopping:
    """Follows accepted cancels: repeats each while its worker is there, and says when that was seen gone.

    Args:
        backend: Asked to cancel once more.
        ownership: Told what was seen.
        relays: Asked when the terminal event has been written everywhere.
        health: Asked which workers run.
        apart: Keeps a repetition and a start of the same session from being under way together: they may share an
            agent, and the repetition would stop the next turn.
        tasks: Owns the task that follows each cancel.
        live: The limits in force.
        report: Told of repetitions, and of internal errors.
    """

    def __init__(  # noqa: PLR0913 - what it asks, what it tells, and how long it may take
        self,
        backend: Backend,
        ownership: Ownership,
        relays: Relays,
        *,
        health: Health,
        apart: Turns,
        tasks: Tasks,
        live: Live,
        report: Report,
    ) -> None:
        self._backend = backend
        self._ownership = ownership
        self._relays = relays
        self._health = health
        self._apart = apart
        self._tasks = tasks
        self._live = live
        self._report = report
        self._kept: dict[str, _Kept] = {}
        self._due: dict[str, float] = {}
        self._unwinding = Unwinding()
        self._room = asyncio.Semaphore(_MOST)
        self._next = 0.0

    @contextmanager
    def keeping(self, cancel_id: str, head: RequestHead, ready: Ready) -> Iterator[None]:
        """Keeps a cancel as its caller sent it, credentials included, while it may be accepted and so pursued.

        `ready`: what was known of the turn's agent before it was sent.
        """
        self._kept[cancel_id] = _Kept(head, ready)
        try:
            yield
        finally:
            self._kept.pop(cancel_id, None)

    def pursue(self, effect: PursueStop) -> None:
        """Carries out the effect."""
        kept = self._kept.pop(effect.cancel.cancel_id, _NOTHING_KEPT)
        self._due[effect.stream_id] = self._ownership.clock() + self._unwinding.patience(kept.ready)
        self._tasks.spawn(self._follow(effect.stream_id, effect.cancel, kept), f"stopping {effect.cancel.cancel_id}")

    def is_due(self, stream_id: str) -> bool:
        """Whether the worker of that stream has had its time to unwind, so that a further cancel makes sense (F23)."""
        return self._ownership.clock() >= self._due.get(stream_id, 0.0)

    async def until_due(self, stream_id: str) -> None:
        """Waits until a further cancel makes sense (F23), or the worker is gone, or nobody goes on with the Stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._due.get(stream_id, 0.0)):
                record = await self._ownership.session(await self._ownership.locate(stream_id))
                while (stream := record.stream(stream_id)) and stream.is_settling and not _is_free(stream):
                    record = await self._ownership.changed(record)

    async def said(self, stream_id: str, *, cancelled: bool | None) -> None:
        """Learns from the answer to a further cancel of a stream that is being cancelled (F14).

        `true` shows that this Hermes finds the worker again. Where it does, `false` shows that the worker is gone.
        """
        await self._ownership.observe(CancelRepeated(self._ownership.clock(), stream_id))
        if cancelled:
            self._health.repeats = True
        elif cancelled is False and self._health.repeats:
            await self._see(stream_id, Slot.FREE, SlotFreedBy.CANCEL)

    async def _follow(self, stream_id: str, cancel: Cancel, kept: _Kept) -> None:
        detach_from_request()  # it outlasts the cancel whose answer had it begin
        deadline = self._ownership.clock() + self._live.now.stop_timeout
        with failing_open(self._report, "stopping a turn", stream=stream_id), suppress(TimeoutError):
            async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                group.create_task(self._await_relays(stream_id))
                group.create_task(self._stop_worker(stream_id, cancel, kept))
            # Only the answer to the browser may be missing now.
            await asyncio.sleep(self._live.now.answer_timeout + self._live.now.answer_gap)
        self._due.pop(stream_id, None)
        with failing_open(self._report, "giving up on a cancel", stream=stream_id):
            if await self._is_pursued(stream_id, cancel):
                await self._ownership.observe(StopTimedOut(self._ownership.clock(), stream_id))

    async def _await_relays(self, stream_id: str) -> None:
        await self._relays.ended(stream_id)
        await self._ownership.observe(RelaysEnded(self._ownership.clock(), stream_id))

    async def _stop_worker(self, stream_id: str, cancel: Cancel, kept: _Kept) -> None:
        began = self._ownership.clock()
        pause, patience = _LOOK_PAUSE, self._unwinding.patience(kept.ready)
        while (stream := await self._is_pursued(stream_id, cancel)) and not _is_free(stream):
            refused = None
            if kept.head is not None and self.is_due(stream_id):
                refused = await self._repeat(stream_id, kept.head)
                patience *= _GROWTH
                self._due[stream_id] = self._ownership.clock() + patience
            await self._look(stream, began, refused=refused is False, is_heard=kept.ready.is_heard)
            await asyncio.sleep(pause)
            if self._ownership.clock() >= began + _LOOK_DENSELY_FOR:
                pause = min(_GROWTH * pause, _LONGEST_PAUSE)

    async def _is_pursued(self, stream_id: str, cancel: Cancel) -> StreamRecord | None:
        """The stream, if it is still settling from this cancel; else None."""
        stream = await self._ownership.stream(stream_id)
        if stream is None or not stream.is_settling or stream.cancel is None:
            return None
        return stream if stream.cancel.cancel_id == cancel.cancel_id else None

    async def _repeat(self, stream_id: str, head: RequestHead) -> bool | None:
        """Sends the cancel once more; `cancelled` of its answer, None if there is none or it was not sent."""
        if self._health.repeats is False:
            return None
        session_id = await self._ownership.locate(stream_id)
        async with self._room, self._apart.turn(session_id, self._ownership.clock() + _ANSWERED_WITHIN) as is_apart:
            await self._keep_the_rate()
            stream = await self._ownership.stream(stream_id)
            if not is_apart or stream is None or not stream.is_settling:
                return None
            asked = self._ownership.clock()
            cancelled = await self._ask(head)
        took = round(self._ownership.clock() - asked, 6)
        self._report(cancels.CancelRepeated(stream_id, cancelled, took))
        await self.said(stream_id, cancelled=cancelled)
        return cancelled

    async def _keep_the_rate(self) -> None:
        now = self._ownership.clock()
        self._next = max(self._next + _SPACING, now)
        await asyncio.sleep(self._next - now)

    async def _ask(self, head: RequestHead) -> bool | None:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                answer = await self._backend.ask(head)
        except (ProxyError, TimeoutError):
            return None
        return answers.read_cancel(answer.status, answer.body)

    async def _look(self, stream: StreamRecord, began: float, *, refused: bool, is_heard: bool) -> None:
        """Looks for the worker in `/health`.

        If the cancel was `refused` and `/health` still names the worker, this Hermes takes one cancel only (F14). Of a
        worker that may not have heard, the mark of a cancelled one proves nothing (F15).
        """
        runs = await self._health.reading()
        now = self._ownership.clock()
        if runs is None:
            if now >= began + GRACE and self._health.repeats is not True:
                await self._see(stream.stream_id, Slot.FENCED, SlotFreedBy.HEALTH)
            return
        if refused and runs.includes(stream.stream_id):
            self._health.repeats = False
        turn = Turn(stream.stream_id, stream.stamp, now - (stream.started_at or now))
        slot = runs.slot(turn, marked=self._health.marks and is_heard)
        if slot is Slot.FREE and stream.cancel is not None and not stream.cancel.repeats:
            self._unwinding.learn(now - began)
        await self._see(stream.stream_id, slot, SlotFreedBy.HEALTH)

    async def _see(self, stream_id: str, slot: Slot, by: SlotFreedBy) -> None:
        await self._ownership.observe(SlotSeen(self._ownership.clock(), stream_id, slot, by))


def _is_free(stream: StreamRecord) -> bool:
    return stream.cancel is not None and stream.cancel.slot is Slot.FREE
