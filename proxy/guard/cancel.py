"""Cancels: judged, and answered honestly."""

import asyncio
import secrets
from dataclasses import replace

from proxy.backend.backend import Backend
from proxy.core.observations import StatusSeen
from proxy.core.records import Ending
from proxy.core.verdicts import CancelVerdict, Coalesce, Forward, Repeat, Stale
from proxy.events.cancels import (
    CancelAbandoned,
    CancelAnswered,
    CancelConfirmed,
    CancelFailed,
    CancelJudged,
    CancelUnguarded,
)
from proxy.guard.evidence import Evidence
from proxy.guard.label import Judged
from proxy.guard.sending import Sending
from proxy.guard.stopping import Stopping
from proxy.hermes import answers
from proxy.http.errors import ProxyError
from proxy.http.headers import only
from proxy.http.message import Answer, RequestHead
from proxy.ownership.callers import fingerprint
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open

_OK = 200
_SHARED_FIELDS = (b"content-type", b"content-length", b"cache-control")
"""Fields of an accepted cancel's answer that its duplicates are given, too: never a cookie."""

_MOST_CORRECTIONS = 16
"""How often the record may turn out to be wrong before the cancel just passes (P7: bounded)."""


class CancelGuard:
    """Judges cancels, and answers them.

    Args:
        backend: Asked to confirm.
        ownership: Asked for verdicts.
        sending: Sends what goes to the backend.
        stopping: Goes on with what was accepted.
        evidence: Finds out whether a superseded turn's worker is gone.
        report: Told of verdicts and answers.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        backend: Backend,
        ownership: Ownership,
        *,
        sending: Sending,
        stopping: Stopping,
        evidence: Evidence,
        report: Report,
    ) -> None:
        self._backend = backend
        self._ownership = ownership
        self._sending = sending
        self._stopping = stopping
        self._evidence = evidence
        self._report = report

    async def answer(self, head: RequestHead, stream_id: str) -> Judged:
        """The answer to a cancel of `stream_id`.

        Raises:
            ProxyError: the backend gave none.
            asyncio.CancelledError: the browser left before it had one.
        """
        cancel_id = f"c-{secrets.token_hex(6)}"
        try:
            with failing_open(self._report, "judging a cancel", passing=ProxyError, stream=stream_id, cancel=cancel_id):
                for _ in range(_MOST_CORRECTIONS):
                    if judged := await self._judge(head, stream_id, cancel_id):
                        return judged
            self._report(CancelUnguarded(stream_id, cancel_id))
            return Judged(await self._backend.ask(head))
        except ProxyError as error:
            self._report(CancelFailed(error.code, stream_id, cancel_id))
            raise
        except asyncio.CancelledError:
            self._report(CancelAbandoned(stream_id, cancel_id))
            raise

    async def _judge(self, head: RequestHead, stream_id: str, cancel_id: str) -> Judged | None:
        """The answer, or None if the record had to be corrected and the verdict with it."""
        verdict = await self._ownership.judge_cancel(stream_id, fingerprint(head.headers), cancel_id)
        self._report(_judged(verdict, stream_id, cancel_id))
        judged = await self._carry_out(verdict, head, stream_id, cancel_id)
        if judged is not None:
            self._report_answer(judged, stream_id, cancel_id)
        return judged

    async def _carry_out(
        self, verdict: CancelVerdict, head: RequestHead, stream_id: str, cancel_id: str
    ) -> Judged | None:
        match verdict:
            case Forward():
                return await self._sending.send(head, stream_id, cancel_id)
            case Coalesce(first=first):
                return await self._coalesce(first)
            case Repeat():
                return await self._repeat(head, stream_id, cancel_id, verdict)
            case Stale():
                return await self._refuse(head, stream_id, verdict, cancel_id)

    def _report_answer(self, judged: Judged, stream_id: str, cancel_id: str) -> None:
        self._report(
            CancelAnswered(
                stream_id,
                cancel_id,
                first=judged.cancel_id,
                verdict=judged.verdict,
                reason=judged.reason,
                status=judged.answer.status,
                cancelled=answers.read_cancel(judged.answer.status, judged.answer.body),
            )
        )

    # -- a cancel that does not, or not first -----------------------------------------------------

    async def _coalesce(self, cancel_id: str) -> Judged | None:
        """The answer to the same caller's first cancel, if it was accepted; what was refused is nobody else's."""
        first = self._sending.get(cancel_id)
        if first is None:
            return None
        await first.is_over.wait()
        judged = first.answer.result() if first.is_accepted and first.answer.done() else None
        return shared_answer(judged, "coalesced") if judged else None

    async def _repeat(self, head: RequestHead, stream_id: str, cancel_id: str, verdict: Repeat) -> Judged | None:
        """The accepted answer again, or the backend's own to a repetition (P11); either way it knows the caller (P9).

        While the worker has its time to unwind, the backend is only asked who calls, and whoever it has to know by the
        cancel itself waits: a second one that meets a worker on its way out would spoil the next turn (F23).
        """
        first = self._sending.get(verdict.first) if verdict.shared else None
        if first is None and not self._stopping.is_due(stream_id):
            await self._stopping.until_due(stream_id)
            return None
        if first is not None and (verdict.is_worker_gone or not self._stopping.is_due(stream_id)):
            confirmed = await self._confirm(head, stream_id, cancel_id)
            if confirmed.status == _OK and (judged := await asyncio.shield(first.answer)):
                return _replayed(judged, confirmed)
            return Judged(confirmed)
        answer, said = await self._sending.ask(head, stream_id, cancel_id)
        with failing_open(self._report, "learning from a repeated cancel", stream=stream_id, cancel=cancel_id):
            await self._stopping.said(stream_id, cancelled=said)
            if said:
                await self._sending.let_the_event_win(stream_id)
            if said is not None and first is not None and (judged := await asyncio.shield(first.answer)):
                return _replayed(judged, answer)
        forwarded = Judged(answer, "forwarded", cancel_id=cancel_id)
        return await self._sending.repeated(forwarded, stream_id) if said else forwarded

    async def _confirm(self, head: RequestHead, stream_id: str, cancel_id: str) -> Answer:
        answer = await self._backend.ask_status(stream_id, head.headers)
        self._report(CancelConfirmed(stream_id, cancel_id, answer.status))
        return answer

    async def _refuse(self, head: RequestHead, stream_id: str, stale: Stale, cancel_id: str) -> Judged | None:
        """`cancelled: false` and why, once the backend has confirmed it to this caller (P1, P9)."""
        asked = self._ownership.clock()
        confirmed = await self._confirm(head, stream_id, cancel_id)
        if confirmed.status != _OK:
            return Judged(confirmed)
        status = answers.read_status(confirmed.status, confirmed.body)
        if status is not None:
            now = self._ownership.clock()
            await self._ownership.observe(StatusSeen(now, asked, stream_id, status.active, status.ending))
            if status.active:
                return None
        is_ended = stale.proven or (status is not None and status.ending is not None)
        if not is_ended and not await self._evidence.of_supersession(stream_id):
            return await self._go_all_the_same(head, stream_id, cancel_id)
        reason = stale.reason
        if reason is Ending.UNKNOWN:
            reason = await self._ownership.ending(stream_id) or Ending.LOST
        body = answers.stale_cancel(stream_id, reason, stale.active_stream_id)
        return Judged(confirmed.with_body(body), "stale", reason, cancel_id)

    async def _go_all_the_same(self, head: RequestHead, stream_id: str, cancel_id: str) -> Judged | None:
        """Another turn began, which alone does not prove that this one is over (F20); None if more is known by now."""
        caller = fingerprint(head.headers)
        verdict = await self._ownership.judge_cancel(stream_id, caller, cancel_id, unended=True)
        return await self._sending.send(head, stream_id, cancel_id) if isinstance(verdict, Forward) else None


def _judged(verdict: CancelVerdict, stream_id: str, cancel_id: str) -> CancelJudged:
    match verdict:
        case Forward():
            return CancelJudged(stream_id, cancel_id, "forward")
        case Coalesce(first=first):
            return CancelJudged(stream_id, cancel_id, "coalesce", first)
        case Repeat(first=first, shared=shared):
            return CancelJudged(stream_id, cancel_id, "repeat", first, shared)
        case Stale():
            return CancelJudged(stream_id, cancel_id, "stale")


def shared_answer(judged: Judged, verdict: str) -> Judged:
    """An accepted cancel's answer for its duplicates: status and body, and no field that is one caller's own."""
    answer = replace(judged.answer, headers=only(judged.answer.headers, _SHARED_FIELDS))
    return replace(judged, answer=answer, verdict=verdict)


def _replayed(judged: Judged, own: Answer) -> Judged:
    """An accepted cancel's answer once more, in the fields of the backend's own answer to this caller."""
    return replace(judged, answer=own.with_body(judged.answer.body), verdict="replayed")
