"""Starts: one at a time in a session, and not before what was cancelled has settled."""

import asyncio
from itertools import count

from proxy.backend.backend import Backend
from proxy.core.observations import StartConflicted, TurnStarted
from proxy.core.verdicts import ConflictVerdict, judge_conflict, judge_start
from proxy.events.starts import (
    StartAnswered,
    StartConflictSpurious,
    StartForwarded,
    StartPassedLarge,
    StartReceived,
    StartUnordered,
)
from proxy.guard.admission import Admission, Ticket
from proxy.guard.holding import hold, waiting_start
from proxy.guard.label import Judged
from proxy.guard.order import Order
from proxy.guard.spool import Whole, body_of, session_of
from proxy.guard.turns import Turns
from proxy.hermes import answers
from proxy.http.message import Answer, Body, RequestHead
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open
from proxy.tasks import Tasks

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.4
"""Seconds between tries of a start that is refused for a stream that has ended (F2: spurious 409)."""

_APART = 2.0
"""Longest that a start waits for the answer to a cancel that is being repeated in its session."""


class StartGuard:
    """Lets the turns of a session begin in the order in which they were asked for.

    Args:
        backend: Asked to start.
        ownership: Asked whether to wait, told what began.
        apart: Keeps a start and the repetition of a cancel in its session from being under way together.
        tasks: Owns starts, which run though their browser has left (P10).
        live: Says how long a start may be held (P3, P7).
        report: Told of starts held and forwarded.

    Attributes:
        order: The order of each session's turns, which whatever changes them keeps as well.
        admission: Whether a start is let in.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        backend: Backend,
        ownership: Ownership,
        *,
        apart: Turns,
        tasks: Tasks,
        live: Live,
        report: Report,
    ) -> None:
        self._backend = backend
        self._ownership = ownership
        self._apart = apart
        self._live = live
        self._report = report
        self._numbers = count(1)
        self.order = Order(tasks)
        self.admission = Admission(self.order, ownership.clock, report)

    @property
    def under_way(self) -> int:
        """How many starts and changes were let in, or run though their browser has left, and are not answered yet."""
        return self.order.under_way

    def begin(self, head: RequestHead, body: Whole, ticket: Ticket, *, takes_turn: bool) -> asyncio.Task[Judged]:
        """Carries out a start whose body has arrived whole, so that only the answer needs its browser.

        Args:
            head: The request.
            body: Its JSON.
            ticket: How it was met; it may be held first.
            takes_turn: False for a side stream, which runs in a session of its own.

        Returns:
            What has the answer, or the `ProxyError` that says why there is none: the backend gave none, or it was held
            and is not let in.
        """
        return self.order.spawn(self._carry_out(head, body, ticket, takes_turn=takes_turn), "start", body)

    async def answer_large(self, head: RequestHead, body: Body, ticket: Ticket) -> Judged:
        """The answer to a start whose body there is no room for: it goes on at once (P7).

        Raises:
            ProxyError: the backend gave none, or it would have to be held.
        """
        ticket.vouch()
        self._report(StartPassedLarge())
        asked = self._ownership.clock()
        answer = await self._backend.ask(head, body)
        await self._learn(answer, None, asked, takes_turn=True)
        return Judged(answer, "forwarded")

    async def _carry_out(self, head: RequestHead, body: Whole, ticket: Ticket, *, takes_turn: bool) -> Judged:
        session_id: str | None = None
        with failing_open(self._report, "reading a start"):
            session_id = session_of(body)
        async with ticket.passing(session_id):
            return await self._let_in(head, body, session_id, takes_turn=takes_turn)

    async def _let_in(self, head: RequestHead, body: Whole, session_id: str | None, *, takes_turn: bool) -> Judged:
        if session_id is None or not takes_turn:
            asked = self._ownership.clock()
            answer = await self._backend.ask(head, body_of(body))
            await self._learn(answer, session_id, asked, takes_turn=takes_turn)
            return Judged(answer, "forwarded")
        start_id = f"s-{next(self._numbers)}"
        self._report(StartReceived(start_id, session_id))
        deadline = self._ownership.clock() + self._live.now.settle_timeout
        async with self.order.turns.turn(session_id, deadline) as in_order:
            if not in_order:
                self._report(StartUnordered(start_id, session_id))
            return await self._forward(head, body, session_id, start_id, deadline)

    async def _forward(self, head: RequestHead, body: Whole, session_id: str, start_id: str, deadline: float) -> Judged:
        """Asks until it is accepted, or refused for a turn that is not over: a spurious 409 is tried again (F2).

        Every try is held like the first: a cancel may have been accepted since.
        """
        pause, tries, held, began = _FIRST_PAUSE, 1, False, self._ownership.clock()
        while True:
            waiting = waiting_start(start_id, session_id)
            held |= await hold(self._ownership, waiting, judge_start, deadline=deadline, report=self._report)
            self._report(StartForwarded(start_id, session_id, held))
            forwarded = self._ownership.clock()
            answer = await self._ask(head, body, session_id)
            if self._ownership.clock() + pause >= deadline or not await self._is_spurious(answer, session_id):
                break
            self._report(StartConflictSpurious(start_id, session_id, tries))
            await asyncio.sleep(pause)
            pause, tries, held = min(2 * pause, _LONGEST_PAUSE), tries + 1, True
        await self._learn(answer, session_id, forwarded, takes_turn=True)
        waited = round(forwarded - began, 4)
        self._report(StartAnswered(start_id, session_id, answer.status, tries, held, waited))
        return Judged(answer, "held" if held else "forwarded")

    async def _ask(self, head: RequestHead, body: Whole, session_id: str) -> Answer:
        """Asks while no cancel is repeated in this session: the turn that begins may share the stopped one's agent."""
        with failing_open(self._report, "finding where a session went", session=session_id):
            session_id = (await self._ownership.session(session_id)).session_id
        async with self._apart.turn(session_id, self._ownership.clock() + _APART):
            return await self._backend.ask(head, body_of(body))

    async def _is_spurious(self, answer: Answer, session_id: str) -> bool:
        with failing_open(self._report, "judging a conflict", session=session_id):
            said = answers.read_start(answer.status, answer.body, session_id)
            if isinstance(said, answers.Conflict):
                record = await self._ownership.session(await self._ownership.locate(said.stream_id))
                return judge_conflict(record, said.stream_id) is ConflictVerdict.RETRY
        return False

    async def _learn(self, answer: Answer, session_id: str | None, asked: float, *, takes_turn: bool) -> None:
        with failing_open(self._report, "learning from a start's answer", session=session_id):
            said, now = answers.read_start(answer.status, answer.body, session_id), self._ownership.clock()
            if isinstance(said, answers.Started):
                hosted = said.is_hosted if takes_turn else None
                started = TurnStarted(now, said.stream_id, hosted, said.stamp, now - asked)
                await self._ownership.turn_seen(said.session_id, started)
            elif isinstance(said, answers.Conflict) and session_id is not None:
                await self._ownership.turn_seen(session_id, StartConflicted(now, said.stream_id))
