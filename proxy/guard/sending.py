"""A cancel that goes to the backend: when it may, what its answer teaches, and when that may be told."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

from proxy.backend.backend import Backend
from proxy.core.observations import (
    CancelAccepted,
    CancelAnswered,
    CancelFailed,
    CancelOverdue,
    CancelRefused,
    StreamEnded,
)
from proxy.core.records import Ending, StreamRecord
from proxy.events.cancels import CancelForwarded, CancelSaid
from proxy.guard.evidence import Evidence
from proxy.guard.label import Judged
from proxy.guard.listening import Listening, Ready
from proxy.guard.stopping import Stopping
from proxy.hermes import answers
from proxy.http.errors import ProxyError
from proxy.http.message import Answer, RequestHead
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.relays import Relays
from proxy.reporting import Report, failing_open
from proxy.tasks import Tasks

_ABSORBS_FOR = 2.0
"""Seconds for which a cancel that the backend does not answer has the same caller's others wait for it."""


_SILENT = (ProxyError, TimeoutError)
"""A question of the proxy's own that was not answered, in time or at all."""


@dataclass(slots=True)
class Sent:
    """A cancel on its way, for the same caller's others to wait for."""

    answer: asyncio.Task[Judged | None]
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    """It is answered, or takes too long."""
    is_accepted: bool = False


class Sending:
    """Sends cancels, and learns from their answers.

    Args:
        backend: Asked to cancel.
        ownership: Told what it answered.
        relays: Asked whether the terminal event has been written everywhere.
        listening: Says when a cancel may go.
        stopping: Goes on with what was accepted.
        evidence: Finds out what a refusal proves.
        tasks: Owns what was sent, which its browser cannot break off (P10).
        live: Says how long an accepted cancel waits for its terminal event, and the next turn for the answer.
        report: Told what was sent, and what was said.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        backend: Backend,
        ownership: Ownership,
        relays: Relays,
        *,
        listening: Listening,
        stopping: Stopping,
        evidence: Evidence,
        tasks: Tasks,
        live: Live,
        report: Report,
    ) -> None:
        self._backend = backend
        self._ownership = ownership
        self._relays = relays
        self._listening = listening
        self._stopping = stopping
        self._evidence = evidence
        self._tasks = tasks
        self._live = live
        self._report = report
        self._sent: dict[str, Sent] = {}

    def get(self, cancel_id: str) -> Sent | None:
        """The cancel with that id, until it is over."""
        return self._sent.get(cancel_id)

    def forget(self, cancel_id: str) -> None:
        """That cancel is over: its answer is not given again."""
        self._sent.pop(cancel_id, None)

    async def ask(self, head: RequestHead, stream_id: str, cancel_id: str) -> tuple[Answer, bool | None]:
        """The backend's answer to a cancel, and `cancelled` as it says, if it says so.

        Raises:
            ProxyError: it gave none.
        """
        self._report(CancelForwarded(stream_id, cancel_id))
        answer = await self._backend.ask(head)
        said = answers.read_cancel(answer.status, answer.body)
        self._report(CancelSaid(stream_id, cancel_id, answer.status, said))
        return answer, said

    async def send(self, head: RequestHead, stream_id: str, cancel_id: str) -> Judged | None:
        """Sends a cancel that was recorded as sent; None if the turn came to its end before it could go.

        Raises:
            ProxyError: the backend gave no answer.
        """
        sent = Sent(self._tasks.spawn(self._forward(head, stream_id, cancel_id), f"cancel {cancel_id}"))
        self._sent[cancel_id] = sent
        sent.answer.add_done_callback(lambda _: sent.is_over.set())
        return await asyncio.shield(sent.answer)

    async def _forward(self, head: RequestHead, stream_id: str, cancel_id: str) -> Judged | None:
        ready = Ready.UNKNOWN
        with failing_open(self._report, "waiting for a turn to listen", stream=stream_id, cancel=cancel_id):
            ready = await self._listening.until(stream_id, head.headers)
        if ready is Ready.ENDED:
            await self._failed(stream_id, cancel_id)
            return None
        with self._stopping.keeping(cancel_id, head, ready):
            answer, said = await self._ask_with_patience(head, stream_id, cancel_id)
            forwarded = Judged(answer, "forwarded", cancel_id=cancel_id)
            with failing_open(self._report, "learning from a cancel's answer", stream=stream_id, cancel=cancel_id):
                return await self._learn(head, stream_id, forwarded, said)
            return forwarded

    async def _ask_with_patience(self, head: RequestHead, stream_id: str, cancel_id: str) -> tuple[Answer, bool | None]:
        patience = asyncio.get_running_loop().call_later(_ABSORBS_FOR, self._absorb_no_more, stream_id, cancel_id)
        try:
            return await self.ask(head, stream_id, cancel_id)
        except ProxyError:
            await self._failed(stream_id, cancel_id)
            raise
        finally:
            patience.cancel()

    def _absorb_no_more(self, stream_id: str, cancel_id: str) -> None:
        """The backend does not answer: the next Stop goes beside this one."""
        overdue = CancelOverdue(self._ownership.clock(), stream_id, cancel_id)
        self._tasks.spawn(self._make_overdue(overdue), f"giving up on {cancel_id}")

    async def _make_overdue(self, overdue: CancelOverdue) -> None:
        with failing_open(self._report, "giving up on an unanswered cancel", stream=overdue.stream_id):
            await self._ownership.observe(overdue)
        if sent := self._sent.get(overdue.cancel_id):
            sent.is_over.set()

    async def _learn(self, head: RequestHead, stream_id: str, forwarded: Judged, said: bool | None) -> Judged:  # noqa: FBT001 - as the backend said it
        cancel_id = forwarded.cancel_id or ""
        match said:
            case True:
                return await self._accepted(head, stream_id, forwarded, cancel_id)
            case False:
                return await self._refused(head, stream_id, forwarded, cancel_id)
            case None:
                await self._failed(stream_id, cancel_id)
        return forwarded

    async def _failed(self, stream_id: str, cancel_id: str) -> None:
        self.forget(cancel_id)
        with failing_open(self._report, "learning that a cancel failed", stream=stream_id):
            await self._ownership.observe(CancelFailed(self._ownership.clock(), stream_id, cancel_id))

    async def _refused(self, head: RequestHead, stream_id: str, forwarded: Judged, cancel_id: str) -> Judged:
        self.forget(cancel_id)
        proof = await self._evidence.of_refusal(head, stream_id)
        now = self._ownership.clock()
        if proof.ending is not None and proof.is_gone:
            await self._ownership.observe(StreamEnded(now, stream_id, proof.ending))
        await self._ownership.observe(CancelRefused(now, stream_id, cancel_id, proof.is_gone))
        ending = await self._ownership.ending(stream_id) if proof.is_gone else None
        stream = await self._ownership.stream(stream_id)
        if ending is not None or (stream is not None and _is_due_an_event(stream)):
            await self.let_the_event_win(stream_id)
        owner = (await self._ownership.owner(stream_id)) if ending is Ending.SUPERSEDED else None
        return _with_reason(forwarded, ending, owner)

    async def _accepted(self, head: RequestHead, stream_id: str, forwarded: Judged, cancel_id: str) -> Judged:
        await self._ownership.observe(CancelAccepted(self._ownership.clock(), stream_id, cancel_id))
        if sent := self._sent.get(cancel_id):
            sent.is_accepted = True
        await self._learn_session(head, stream_id)
        await self.let_the_event_win(stream_id)
        stream = await self._ownership.stream(stream_id)
        settling = stream.cancel if stream else None
        if settling is not None and settling.cancel_id == cancel_id:
            self._tasks.spawn(self._let_the_answer_win(stream_id), f"answering {cancel_id}")
        else:
            self.forget(cancel_id)  # it came behind another caller's
        return _with_own_end(forwarded, stream)

    async def repeated(self, forwarded: Judged, stream_id: str) -> Judged:
        """The answer to a further cancel that the backend accepted."""
        return _with_own_end(forwarded, await self._ownership.stream(stream_id))

    async def let_the_event_win(self, stream_id: str) -> None:
        """The terminal event is on other connections than the answer, and must be there first (F5), if it comes.

        No open relay proves nothing: one may have written its event, and ended, a moment ago.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._live.now.answer_timeout):
                await self._relays.told(stream_id)
                await asyncio.sleep(self._live.now.answer_gap)

    async def _let_the_answer_win(self, stream_id: str) -> None:
        """Counts a cancel as answered once its page has had time to read the answer (F5).

        The next turn is on other connections, and waits for this. A page that read the turn first would end it.
        """
        await asyncio.sleep(self._live.now.answer_gap)
        with failing_open(self._report, "learning that a cancel was answered", stream=stream_id):
            await self._ownership.observe(CancelAnswered(self._ownership.clock(), stream_id))

    async def _learn_session(self, head: RequestHead, stream_id: str) -> None:
        """A stream that was known from nowhere else is looked up, so that its session's next start is held."""
        if await self._ownership.session_of(stream_id) is not None:
            return
        with failing_open(self._report, "looking up a stream's session", stream=stream_id), suppress(*_SILENT):
            async with asyncio.timeout(self._live.now.answer_timeout):
                answer = await self._backend.ask_status(stream_id, head.headers)
            status = answers.read_status(answer.status, answer.body)
            if status is not None and status.session_id is not None:
                await self._ownership.identify(stream_id, status.session_id)


def _is_due_an_event(stream: StreamRecord) -> bool:
    """Whether a terminal event has come or may come for the stream: it ends, or another cancel of it is on its way."""
    return stream.ending is not None or stream.is_settling or bool(stream.sent)


def _with_own_end(accepted: Judged, stream: StreamRecord | None) -> Judged:
    """An accepted cancel's answer: `cancelled: false` if the turn had come to its own end before (P2)."""
    cancel = stream.cancel if stream else None
    return _with_reason(accepted, cancel.overtaken_by if cancel else None)


def _with_reason(judged: Judged, reason: Ending | None, owner: str | None = None) -> Judged:
    """The backend's answer as `cancelled: false` with the reason, where one is known, and the stream that took over."""
    if reason is None:
        return judged
    answer = judged.answer.with_body(answers.refused_cancel(judged.answer.body, reason, owner))
    return replace(judged, answer=answer, reason=reason)
