"""Changes of a session's messages: not before the worker that would undo them is gone (F17)."""

from contextlib import AsyncExitStack
from itertools import count

from proxy.core.verdicts import judge_change
from proxy.events.starts import (
    ChangeAnswered,
    ChangeForwarded,
    ChangePassedLarge,
    ChangeReceived,
    ChangeUnordered,
)
from proxy.guard.admission import Ticket
from proxy.guard.handover import Handover
from proxy.guard.holding import hold, waiting_change
from proxy.guard.label import Judged
from proxy.guard.order import Order
from proxy.guard.spool import Whole, body_of, session_of
from proxy.hermes.contract import Change
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response
from proxy.http.forward import forward, stream_back
from proxy.http.message import Answer, Body, RequestHead
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.stream import ResponseStream
from proxy.http.upstream.upstream import Upstream
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open

_Answered = tuple[ResponseStream, bool]
"""An answer whose head has come, and whether its change was held."""


class ChangeGuard:
    """Lets changes of a session through one at a time, in order with its starts, each once and as it came.

    Args:
        upstream: The backend.
        ownership: Asked whether to wait.
        order: Shared with the starts.
        live: Says how long a change may be held (P7).
        report: Told of changes held and forwarded.
    """

    def __init__(self, upstream: Upstream, ownership: Ownership, order: Order, live: Live, report: Report) -> None:
        self._upstream = upstream
        self._ownership = ownership
        self._order = order
        self._live = live
        self._report = report
        self._numbers = count(1)

    async def answer(self, request: Request, change: Change, body: Whole, ticket: Ticket) -> Response:
        """Answers a change whose body has arrived whole, so that only the answer needs its browser (P10).

        Raises:
            ProxyError: the backend gave no answer, or broke it off; or it was held as a turn, and is not let in.
        """
        session_id: str | None = None
        with failing_open(self._report, "reading a change"):
            session_id = (session_of(body) or "").strip() or None
        if session_id is None:
            async with ticket.passing(None):
                return await forward(request, self._upstream, Lane.CALLS, body=body_of(body))
        handover: Handover[_Answered] = Handover()
        work = self._carry_out(request.head(), body, change, session_id, ticket, handover)
        self._order.spawn(work, "change", body)
        async with handover.taken() as (stream, held):
            judged = Judged(_head_of(stream), "held" if held else None)
            request.account.verdict = judged.verdict
            return await stream_back(request, stream, extra=judged.field)

    async def answer_large(self, request: Request, body: Body, ticket: Ticket) -> Response:
        """Answers a change whose body there is no room for: it goes on at once (P7).

        Raises:
            ProxyError: the backend gave no answer, or broke it off; or it is a turn, and would have to be held.
        """
        ticket.vouch()
        self._report(ChangePassedLarge())
        return await forward(request, self._upstream, Lane.CALLS, body=body)

    async def _carry_out(  # noqa: PLR0913, PLR0917 - a change, how it was met, and who waits for its answer
        self,
        head: RequestHead,
        body: Whole,
        change: Change,
        session_id: str,
        ticket: Ticket,
        handover: Handover[_Answered],
    ) -> None:
        with handover.giving():
            async with ticket.passing(session_id), AsyncExitStack() as answer:
                change_id = f"m-{next(self._numbers)}"
                self._report(ChangeReceived(change_id, session_id, change.path))
                stream, held = await self._ask(head, body, session_id, change_id, answer)
                self._report(ChangeAnswered(change_id, session_id, stream.status, held))
                await handover.give((stream, held))

    async def _ask(
        self, head: RequestHead, body: Whole, session_id: str, change_id: str, answer: AsyncExitStack
    ) -> _Answered:
        """Asks once it is this change's turn and no worker is left to undo it.

        If it was held, what waited behind it goes when it is answered. Else its turn ends before it is asked: a
        compression may take a minute, and Hermes lets a start go on beside it.
        """
        began = self._ownership.clock()
        deadline = began + self._live.now.settle_timeout
        async with AsyncExitStack() as turn:
            if not await turn.enter_async_context(self._order.turns.turn(session_id, deadline)):
                self._report(ChangeUnordered(change_id, session_id))
            waiting = waiting_change(change_id, session_id)
            held = await hold(self._ownership, waiting, judge_change, deadline=deadline, report=self._report)
            waited = round(self._ownership.clock() - began, 4)
            self._report(ChangeForwarded(change_id, session_id, held, waited))
            if not held:
                await turn.aclose()
            asking = self._upstream.request(head, Lane.CALLS, body=body_of(body))
            return await answer.enter_async_context(asking), held


def _head_of(stream: ResponseStream) -> Answer:
    return Answer(stream.status, stream.reason, (), b"")
