"""Cancels: forwarded once, answered honestly."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace

from proxy.core.observations import CancelAccepted, CancelAnswered, CancelFailed, CancelRefused, StatusSeen
from proxy.core.records import Ending
from proxy.core.verdicts import CancelVerdict, Coalesce, Forward, Replay, Stale
from proxy.guard.backend import Backend
from proxy.guard.label import Judged, fingerprint
from proxy.guard.limits import Live
from proxy.guard.ownership import Ownership
from proxy.guard.relays import Relays
from proxy.guard.reporting import Report, failing_open
from proxy.guard.tasks import Tasks
from proxy.hermes import answers
from proxy.http.errors import ProxyError
from proxy.http.message import Answer, RequestHead

_OK = 200
_SILENT = (ProxyError, TimeoutError)
"""A question of the proxy's own that was not answered, in time or at all."""

_MOST_CORRECTIONS = 4
"""How often the record may turn out to be wrong before the cancel just passes (P7: bounded)."""


class CancelGuard:
    """Judges cancels, and answers them.

    Args:
        backend: Asked to cancel, and to confirm.
        ownership: Asked for verdicts.
        relays: Asked whether the terminal event has been written everywhere.
        tasks: Owns forwarded cancels, which their browser cannot break off (P10).
        live: Says how long an accepted cancel waits for its terminal event, and a young turn's cancel for its turn.
        report: Told of verdicts and answers.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        backend: Backend,
        ownership: Ownership,
        relays: Relays,
        tasks: Tasks,
        live: Live,
        *,
        report: Report,
    ) -> None:
        self._backend = backend
        self._ownership = ownership
        self._relays = relays
        self._tasks = tasks
        self._live = live
        self._report = report
        self._first: dict[str, asyncio.Task[Judged | None]] = {}

    def forget(self, stream_id: str) -> None:
        """The stream's cancel is over: its first answer is not given again."""
        self._first.pop(stream_id, None)

    async def answer(self, head: RequestHead, stream_id: str) -> Judged:
        """The answer to a cancel of `stream_id`.

        Raises:
            ProxyError: the backend gave none.
        """
        cancel_id = f"c-{secrets.token_hex(6)}"
        about = {"stream": stream_id, "cancel": cancel_id}
        try:
            with failing_open(self._report, "judging a cancel", passing=ProxyError, **about):
                for _ in range(_MOST_CORRECTIONS):
                    if judged := await self._judge(head, stream_id, cancel_id):
                        return judged
            self._report("cancel_unguarded", **about)
            return Judged(await self._backend.ask(head))
        except ProxyError as error:
            self._report("cancel_failed", code=error.code, **about)
            raise

    async def _judge(self, head: RequestHead, stream_id: str, cancel_id: str) -> Judged | None:
        """The answer, or None if the record had to be corrected and the verdict with it."""
        verdict = await self._ownership.judge_cancel(stream_id, fingerprint(head.headers), cancel_id)
        self._report(
            "cancel_judged",
            stream=stream_id,
            cancel=cancel_id,
            verdict=type(verdict).__name__.lower(),
            shared=getattr(verdict, "shared", None),
        )
        judged = await self._carry_out(verdict, head, stream_id, cancel_id)
        if judged is not None:
            self._report_answer(judged, stream_id, cancel_id)
        return judged

    async def _carry_out(
        self, verdict: CancelVerdict, head: RequestHead, stream_id: str, cancel_id: str
    ) -> Judged | None:
        match verdict:
            case Forward():
                work = self._forward(head, stream_id, cancel_id)
                self._first[stream_id] = self._tasks.spawn(work, f"cancel {cancel_id}")
                return await asyncio.shield(self._first[stream_id])
            case Coalesce(shared=shared):
                return await self._share(head, stream_id, cancel_id, "coalesced", shared=shared)
            case Replay(shared=shared):
                return await self._share(head, stream_id, cancel_id, "replayed", shared=shared)
            case Stale():
                return await self._refuse(head, stream_id, verdict, cancel_id)

    # -- a cancel that goes to the backend --------------------------------------------------------

    async def _forward(self, head: RequestHead, stream_id: str, cancel_id: str) -> Judged | None:
        """The backend's answer, or None if the turn came to its end before it could be asked."""
        with failing_open(self._report, "waiting for a turn to listen", stream=stream_id, cancel=cancel_id):
            if await self._ends_before_it_listens(stream_id):
                await self._failed(stream_id)
                return None
        self._report("cancel_forwarded", stream=stream_id, cancel=cancel_id)
        try:
            answer = await self._backend.ask(head)
        except ProxyError:
            await self._failed(stream_id)
            raise
        forwarded = Judged(answer, "forwarded", cancel_id=cancel_id)
        with failing_open(self._report, "learning from a cancel's answer", stream=stream_id, cancel=cancel_id):
            return await self._learn(head, stream_id, forwarded)
        return forwarded

    async def _ends_before_it_listens(self, stream_id: str) -> bool:
        """Waits out a turn's first moments, in which Hermes accepts a cancel and then loses it (F13)."""
        stream = await self._ownership.stream(stream_id)
        if stream is None or stream.started_at is None:
            return False
        too_early = stream.started_at + self._live.now.cancel_grace - self._ownership.clock()
        if too_early <= 0:
            return False
        await asyncio.sleep(too_early)
        stream = await self._ownership.stream(stream_id)
        return stream is not None and stream.ending is not None

    def _report_answer(self, judged: Judged, stream_id: str, cancel_id: str) -> None:
        self._report(
            "cancel_answered",
            stream=stream_id,
            cancel=cancel_id,
            first=judged.cancel_id,
            verdict=judged.verdict,
            reason=judged.reason.value if judged.reason else None,
            status=judged.answer.status,
            cancelled=answers.read_cancel(judged.answer.status, judged.answer.body),
        )

    async def _learn(self, head: RequestHead, stream_id: str, forwarded: Judged) -> Judged:
        answer = forwarded.answer
        match answers.read_cancel(answer.status, answer.body):
            case True:
                return await self._accepted(head, stream_id, forwarded)
            case False:
                return await self._refused(head, stream_id, forwarded)
            case None:
                await self._failed(stream_id)
                return forwarded

    async def _failed(self, stream_id: str) -> None:
        self.forget(stream_id)
        with failing_open(self._report, "learning that a cancel failed", stream=stream_id):
            await self._ownership.observe(CancelFailed(self._ownership.clock(), stream_id))

    async def _refused(self, head: RequestHead, stream_id: str, forwarded: Judged) -> Judged:
        self.forget(stream_id)
        watched = self._relays.count(stream_id) > 0
        await self._ownership.observe(CancelRefused(self._ownership.clock(), stream_id))
        stream = await self._ownership.stream(stream_id)
        ending = stream.ending if stream else None
        if ending is Ending.UNKNOWN and not watched:
            ending = await self._ask_for_the_end(head, stream_id)
        if watched and ending is not Ending.UNKNOWN:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._live.now.answer_timeout):
                    await self._let_the_event_win(stream_id)
        return _with_reason(forwarded, ending)

    async def _ask_for_the_end(self, head: RequestHead, stream_id: str) -> Ending | None:
        """How a turn ended that nobody watched, and whose cancel was refused, as after a restart of the backend."""
        with failing_open(self._report, "asking how a turn ended", stream=stream_id), suppress(*_SILENT):
            async with asyncio.timeout(self._live.now.answer_timeout):
                asked = self._ownership.clock()
                answer = await self._backend.ask_status(stream_id, head.headers)
                if await self._learn_status(answer, asked, stream_id):
                    return None
                if answer.status == _OK:
                    return await self._reason(stream_id)
        return Ending.UNKNOWN

    async def _accepted(self, head: RequestHead, stream_id: str, forwarded: Judged) -> Judged:
        watched = self._relays.count(stream_id) > 0  # asked first: they may end as soon as they may go on
        await self._ownership.observe(CancelAccepted(self._ownership.clock(), stream_id))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._live.now.answer_timeout):
                await self._learn_session(head, stream_id)
                if watched:
                    await self._let_the_event_win(stream_id)
        stream = await self._ownership.stream(stream_id)
        await self._ownership.observe(CancelAnswered(self._ownership.clock(), stream_id))
        overtaken_by = stream.cancel.overtaken_by if stream and stream.cancel else None
        return _with_reason(forwarded, overtaken_by)

    async def _let_the_event_win(self, stream_id: str) -> None:
        """The terminal event is on other connections than the answer, and must be there first (F5)."""
        await self._relays.told(stream_id)
        await asyncio.sleep(self._live.now.answer_gap)

    async def _learn_session(self, head: RequestHead, stream_id: str) -> None:
        """A stream that was known from nowhere else is looked up, so that its session's next start is held."""
        if await self._ownership.session_of(stream_id) is not None:
            return
        with failing_open(self._report, "looking up a stream's session", stream=stream_id):
            answer = await self._backend.ask_status(stream_id, head.headers)
            status = answers.read_status(answer.status, answer.body)
            if status is not None and status.session_id is not None:
                await self._ownership.identify(stream_id, status.session_id)

    # -- a cancel that does not -------------------------------------------------------------------

    async def _share(
        self, head: RequestHead, stream_id: str, cancel_id: str, verdict: str, *, shared: bool
    ) -> Judged | None:
        """The first cancel's answer, for whoever could have got it from the backend (P9)."""
        first = self._first.get(stream_id)
        if not shared:
            confirmed = await self._confirm(head, stream_id, cancel_id)
            if confirmed.status != _OK:
                return Judged(confirmed)
        if first is None:
            return None
        judged = await asyncio.shield(first)
        return replace(judged, verdict=verdict) if judged else None

    async def _refuse(self, head: RequestHead, stream_id: str, stale: Stale, cancel_id: str) -> Judged | None:
        """`cancelled: false` and why, once the backend has confirmed it to this caller (P1, P9)."""
        asked = self._ownership.clock()
        confirmed = await self._confirm(head, stream_id, cancel_id)
        if confirmed.status != _OK:
            return Judged(confirmed)
        if await self._learn_status(confirmed, asked, stream_id):
            return None
        reason = await self._reason(stream_id) if stale.reason is Ending.UNKNOWN else stale.reason
        body = answers.stale_cancel(stream_id, reason, stale.active_stream_id)
        return Judged(confirmed.with_body(body), "stale", reason, cancel_id)

    async def _learn_status(self, answer: Answer, asked: float, stream_id: str) -> bool:
        """Whether it says that the stream runs after all."""
        status = answers.read_status(answer.status, answer.body)
        if status is None:
            return False
        now = self._ownership.clock()
        await self._ownership.observe(StatusSeen(now, asked, stream_id, status.active, status.ending))
        return status.active

    async def _reason(self, stream_id: str) -> Ending:
        """How the stream ended; lost if the backend answers this caller, and knows nothing of its end."""
        stream = await self._ownership.stream(stream_id)
        ending = stream.ending if stream else None
        return Ending.LOST if ending is None or ending is Ending.UNKNOWN else ending

    async def _confirm(self, head: RequestHead, stream_id: str, cancel_id: str) -> Answer:
        answer = await self._backend.ask_status(stream_id, head.headers)
        self._report("cancel_confirmed", stream=stream_id, cancel=cancel_id, status=answer.status)
        return answer


def _with_reason(judged: Judged, reason: Ending | None) -> Judged:
    """The backend's answer as `cancelled: false` with the reason, where one is known."""
    if reason is None or reason is Ending.UNKNOWN:
        return judged
    answer = judged.answer.with_body(answers.refused_cancel(judged.answer.body, reason))
    return replace(judged, answer=answer, reason=reason)
