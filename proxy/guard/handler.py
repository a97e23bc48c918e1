"""The way of a request: which call it is, who judges it, and who carries it out."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

from proxy.backend.health import Health as BackendHealth
from proxy.core.observations import StatusSeen
from proxy.guard.admission import Ticket
from proxy.guard.cancel import CancelGuard
from proxy.guard.changes import ChangeGuard
from proxy.guard.label import Judged
from proxy.guard.once import Once
from proxy.guard.spool import Spool, in_memory
from proxy.guard.start import StartGuard
from proxy.guard.steer import SteerGuard
from proxy.hermes import answers
from proxy.hermes.contract import (
    Call,
    Cancel,
    Change,
    EventStream,
    Health,
    ListChannel,
    OpenStream,
    Other,
    SessionChannel,
    Start,
    Status,
    Steer,
    classify,
    kicks_off,
)
from proxy.http.downstream.request import Request
from proxy.http.downstream.response import Response, reply
from proxy.http.errors import BackendBrokenError, BackendUnreachableError
from proxy.http.forward import forward
from proxy.http.headers import values, without
from proxy.http.message import Answer, Body
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.upstream import Upstream
from proxy.ownership.ownership import Ownership
from proxy.relay.learn import Read, pass_and_learn
from proxy.relay.relay import RelayGuard
from proxy.reporting import Report, failing_open

_LONGEST_GOAL = 1 << 16
"""Bytes of a goal's body in which its words are looked for; whatever is longer sets a goal."""

_LONGEST_STEER = 1 << 20
"""Bytes of a steer's body that are held; whatever is longer passes unremembered."""


@dataclass(frozen=True, slots=True)
class Handler:
    """Answers every request of the public listener, which has no path of its own.

    Attributes:
        upstream: The backend, for what is not guarded.
        ownership: Told what passing answers say.
        health: Told whether the backend answers.
        cancels: Judges cancels.
        starts: Lets starts in, and judges them.
        once: Carries out once what is asked for twice.
        changes: Judges changes of a session.
        steers: Judges steers.
        relays: Opens event streams.
        spool: Has the bodies of starts and changes arrive whole.
        report: Told of internal errors.
    """

    upstream: Upstream
    ownership: Ownership
    health: BackendHealth
    cancels: CancelGuard
    starts: StartGuard
    once: Once
    changes: ChangeGuard
    steers: SteerGuard
    relays: RelayGuard
    spool: Spool
    report: Report

    async def __call__(self, request: Request) -> Response:
        """The answer to `request`.

        Raises:
            ProxyError: there is none; the server tells the browser.
        """
        call = self._classify(request)
        request.account.call = type(call).__name__
        try:
            response = await self._carry_out(request, call)
        except (BackendUnreachableError, BackendBrokenError):
            self.health.doubt()
            raise
        with failing_open(self.report, "learning that the backend is back"):
            self.health.answered()
        return response

    def _classify(self, request: Request) -> Call:
        with failing_open(self.report, "classifying a request"):
            accept = b",".join(values(request.raw_headers, b"accept")).decode("latin-1")
            return classify(request.method, request.target.decode("latin-1"), accept)
        return Other()

    def _carry_out(  # noqa: PLR0911 - one for each call
        self, request: Request, call: Call
    ) -> Awaitable[Response]:
        match call:
            case Cancel(stream_id=stream_id) if stream_id:
                return self._cancel(request, stream_id)
            case Start() | Change():
                return self._let_in(request, call)
            case Steer():
                return self._steer(request)
            case OpenStream() | SessionChannel() | ListChannel() | EventStream():
                return self.relays.relay(request, call)
            case Status(stream_id=stream_id):
                return self._status(request, stream_id)
            case Health():
                return self._pass_and_learn(request, self._learn_health)
            case Other() if request.upgrade is None:
                return self.relays.relay(request, call, Lane.CALLS)
            case Cancel() | Other():
                lane = Lane.CONTROL if isinstance(call, Cancel) else Lane.CALLS
                return forward(request, self.upstream, lane)

    async def _cancel(self, request: Request, stream_id: str) -> Response:
        head = request.head()
        # A body means nothing to a cancel, and Hermes would leave it unread (F8).
        bare = replace(head, headers=without(head.headers, [b"content-length"]))
        return _reply(request, await self.cancels.answer(bare, stream_id))

    def _let_in(self, request: Request, call: Start | Change) -> Awaitable[Response]:
        match call:
            case Start(is_goal=True):
                return self._goal(request)
            case Start(takes_turn=takes_turn):
                return self._start(request, takes_turn=takes_turn)
            case Change():
                return self._change(request, call)

    async def _start(self, request: Request, *, takes_turn: bool) -> Response:
        with self.starts.admission.admitted() as ticket:
            body = request.body()
            if body is None:
                return await forward(request, self.upstream, Lane.CONTROL)
            return await self._start_with(request, body, ticket, takes_turn=takes_turn)

    async def _start_with(self, request: Request, body: Body, ticket: Ticket, *, takes_turn: bool) -> Response:
        head = request.head()
        async with self.spool.taking(body) as whole:
            if isinstance(whole, Body):
                return _reply(request, await self.starts.answer_large(head, whole, ticket))
            async with self.once.answered(head, whole, ticket, takes_turn=takes_turn) as judged:
                return _reply(request, judged)

    async def _goal(self, request: Request) -> Response:
        """A start if its words kick a turn off; else it passes, as a goal's status may be asked at any time (F21)."""
        body = request.body()
        held = b"" if body is None else await in_memory(body, _LONGEST_GOAL)
        if isinstance(held, bytes) and not self._kicks_off(held):
            return await forward(request, self.upstream, Lane.CONTROL, body=Body.of(held) if body else None)
        with self.starts.admission.admitted() as ticket:
            whole = Body.of(held) if isinstance(held, bytes) else held
            return await self._start_with(request, whole, ticket, takes_turn=True)

    def _kicks_off(self, body: bytes) -> bool:
        with failing_open(self.report, "reading a goal"):
            return kicks_off(body)
        return True

    async def _change(self, request: Request, change: Change) -> Response:
        body = request.body()
        if body is None:
            return await forward(request, self.upstream, Lane.CALLS)
        if not change.is_turn:
            return await self._change_with(request, change, body, self.starts.admission.free())
        with self.starts.admission.admitted() as ticket:
            return await self._change_with(request, change, body, ticket)

    async def _change_with(self, request: Request, change: Change, body: Body, ticket: Ticket) -> Response:
        async with self.spool.taking(body) as whole:
            if isinstance(whole, Body):
                return await self.changes.answer_large(request, whole, ticket)
            return await self.changes.answer(request, change, whole, ticket)

    async def _steer(self, request: Request) -> Response:
        body = request.body()
        if body is None:
            return await forward(request, self.upstream, Lane.CONTROL)
        held = await in_memory(body, _LONGEST_STEER)
        if isinstance(held, bytes):
            return _reply(request, await self.steers.answer(request.head(), held))
        return _reply(request, await self.steers.answer_large(request.head(), held))

    async def _status(self, request: Request, stream_id: str) -> Response:
        async def read(status: int, body: bytes, asked: float) -> None:
            if (said := answers.read_status(status, body)) and stream_id:
                now = self.ownership.clock()
                if said.session_id is not None:
                    await self.ownership.identify(stream_id, said.session_id)
                await self.ownership.observe(StatusSeen(now, asked, stream_id, said.active, said.ending))

        return await self._pass_and_learn(request, read)

    def _pass_and_learn(self, request: Request, read: Read) -> Awaitable[Response]:
        return pass_and_learn(request, self.upstream, self.ownership.clock, read, self.report)

    async def _learn_health(self, status: int, body: bytes, asked: float) -> None:
        await self.health.learn(Answer(status, b"", (), body), asked)


def _reply(request: Request, judged: Judged) -> Response:
    request.account.verdict, request.account.cancel = judged.verdict, judged.cancel_id
    if judged.is_our_own:
        request.account.ended_by = "proxy"
    return reply(request, judged.answer, extra=judged.field)
