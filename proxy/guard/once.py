"""A start that is asked for twice is carried out once: an answer was lost on its way, or its client sends a key."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from proxy.backend.backend import Backend
from proxy.core.records import StreamState
from proxy.events.starts import StartReplayed
from proxy.guard.admission import Ticket
from proxy.guard.label import Judged
from proxy.guard.repeats import Accepted, Asked, First, Repeats
from proxy.guard.spool import Whole, digest_of
from proxy.guard.start import StartGuard
from proxy.hermes import answers
from proxy.http.errors import ProxyError
from proxy.http.headers import FORWARDED, without
from proxy.http.idempotency import idempotency_key
from proxy.http.message import Answer, RequestHead
from proxy.ownership.callers import fingerprint
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open

_OK: Final = 200
_CONFLICT: Final = 409
_SECRET: Final = 32
"""Bytes of the key that starts are remembered by; a new one in each process."""

_REPLAYED: Final = ((b"Idempotency-Replayed", b"true"),)
_First = First[asyncio.Event]


class Once:
    """Gives a start that is asked for twice the first one's answer.

    Args:
        starts: Carries starts out.
        backend: Asked whether it knows the caller (P9), and whether the turn still runs.
        ownership: Asked whether the turn still runs.
        live: Says whether starts without a key are looked at.
        report: Told of answers that are given once more.
    """

    def __init__(
        self, starts: StartGuard, backend: Backend, ownership: Ownership, *, live: Live, report: Report
    ) -> None:
        self._starts = starts
        self._backend = backend
        self._ownership = ownership
        self._live = live
        self._report = report
        self._repeats: Repeats[asyncio.Event] = Repeats(ownership.clock, secrets.token_bytes(_SECRET))

    @asynccontextmanager
    async def answered(
        self, head: RequestHead, whole: Whole, ticket: Ticket, *, takes_turn: bool
    ) -> AsyncIterator[Judged]:
        """The answer to a start whose body has arrived whole; it is sent to the browser in the context.

        Args:
            head: The request.
            whole: Its JSON.
            ticket: How it was met; it may be held first.
            takes_turn: False for a side stream, which runs in a session of its own.

        Raises:
            BadRequestError: its key cannot be read.
            IdempotencyConflictError: its key came with another body before.
            ProxyError: the backend gave none.
        """
        asked = self._asked(head, whole)
        while asked is not None and self._repeats.find(asked) is not None:
            async with self._once_more(head, asked) as repeated:
                if repeated is not None:
                    yield repeated
                    return
        task = self._starts.begin(head, whole, ticket, takes_turn=takes_turn)
        own = self._remember(asked, task) if asked is not None else None
        if own is not None:
            with self._repeats.awaited(own):
                yield await _unbroken(task)
                self._repeats.given(own)
            return
        judged = await _unbroken(task)
        if asked is None or judged.answer.status != _CONFLICT:
            yield judged
            return
        async with self._once_more(head, asked) as repeated:  # the browser of the first may have left in the meantime
            yield repeated or judged

    def _asked(self, head: RequestHead, whole: Whole) -> Asked | None:
        """How this start is remembered; None if it is not."""
        key = idempotency_key(head.headers)
        if key is None and not self._live.now.repeat_starts:
            return None
        with failing_open(self._report, "remembering a start"):
            caller = fingerprint(without(head.headers, FORWARDED))  # whoever changes networks changes the address
            return self._repeats.asked(caller, head.target, digest_of(whole), key)
        return None

    def _remember(self, asked: Asked, task: asyncio.Task[Judged]) -> _First | None:
        is_over = asyncio.Event()
        own = self._repeats.begin(asked, is_over)
        if own is not None:
            task.add_done_callback(partial(self._over, own, is_over))
        return own

    def _over(self, own: _First, is_over: asyncio.Event, task: asyncio.Task[Judged]) -> None:
        """Keeps the answer of a turn that has begun. After anything else a repetition is for Hermes to judge."""
        accepted = None
        if not task.cancelled() and task.exception() is None:
            with failing_open(self._report, "keeping a start's answer"):
                accepted = _accepted(task.result().answer)
        self._repeats.over(own, accepted)
        is_over.set()

    @asynccontextmanager
    async def _once_more(self, head: RequestHead, asked: Asked) -> AsyncIterator[Judged | None]:
        """The answer to the start that this one repeats, sent to the browser in the context; None if there is none."""
        first = self._repeats.find(asked)
        if first is None:
            yield None
            return
        with self._repeats.awaited(first):
            judged = await self._answer_of(first, head)
            yield judged
            if judged is not None and judged.verdict is not None:
                self._repeats.given(first)

    async def _answer_of(self, first: _First, head: RequestHead) -> Judged | None:
        """A start's answer for whoever repeats it, as soon as it has one; None if it is of no use, and is forgotten.

        Without a key it is of use while its turn runs: afterwards the same words are a new message.
        """
        must_run = first.under_way is None and not first.asked.has_key
        with failing_open(self._report, "giving a start's answer once more", passing=ProxyError):
            if first.under_way is not None:
                await first.under_way.wait()
            accepted = first.accepted
            if accepted is not None and (not must_run or await self._is_running(accepted.stream_id)):
                confirmed = await self._backend.ask_status(accepted.stream_id, head.headers)
                if confirmed.status != _OK:
                    return Judged(confirmed)  # Hermes does not know the caller any more (P9)
                if not must_run or _is_active(confirmed):
                    return self._replayed(accepted, has_key=first.asked.has_key)
        self._repeats.forget(first)
        return None

    async def _is_running(self, stream_id: str) -> bool:
        stream = await self._ownership.stream(stream_id)
        return stream is not None and stream.state is StreamState.RUNNING

    def _replayed(self, accepted: Accepted, *, has_key: bool) -> Judged:
        self._report(StartReplayed(accepted.stream_id, "idempotency_key" if has_key else "connection_lost"))
        headers = (*accepted.answer.headers, *_REPLAYED)
        return Judged(replace(accepted.answer, headers=headers), "replayed")


async def _unbroken(task: asyncio.Task[Judged]) -> Judged:
    """What the task has, which goes on if the browser that waits for it leaves (P10)."""
    return await asyncio.shield(task)


def _accepted(answer: Answer) -> Accepted | None:
    """The answer, if a turn has begun by it, without cookies: those of a day ago are of no use."""
    stream_id = answers.stream_begun(answer.status, answer.body)
    if stream_id is None:
        return None
    return Accepted(replace(answer, headers=without(answer.headers, [b"set-cookie"])), stream_id)


def _is_active(status: Answer) -> bool:
    said = answers.read_status(status.status, status.body)
    return said is not None and said.active
