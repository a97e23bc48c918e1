"""The way of a request: which call it is, who judges it, and who carries it out."""

from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import dataclass, replace

from aiohttp import web

from proxy.core.observations import StatusSeen
from proxy.guard.cancel import CancelGuard
from proxy.guard.changes import ChangeGuard
from proxy.guard.health import Health as BackendHealth
from proxy.guard.label import Judged
from proxy.guard.learn import Read, pass_and_learn
from proxy.guard.ownership import Ownership
from proxy.guard.relay import RelayGuard
from proxy.guard.reporting import Report, failing_open
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
    OpenStream,
    Other,
    SessionChannel,
    Start,
    Status,
    Steer,
    classify,
    kicks_off,
)
from proxy.http.errors import BackendBrokenError, BackendUnreachableError
from proxy.http.forward import forward
from proxy.http.headers import values, without
from proxy.http.lanes import Lane
from proxy.http.message import Answer, Body
from proxy.http.request import Request
from proxy.http.response import reply
from proxy.http.upstream import Upstream

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
        starts: Judges starts.
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
    changes: ChangeGuard
    steers: SteerGuard
    relays: RelayGuard
    spool: Spool
    report: Report

    async def __call__(self, request: Request) -> web.StreamResponse:
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
    ) -> Awaitable[web.StreamResponse]:
        match call:
            case Cancel(stream_id=stream_id) if stream_id:
                return self._cancel(request, stream_id)
            case Start() | Change():
                return self._let_in(request, call)
            case Steer():
                return self._steer(request)
            case OpenStream() | SessionChannel() | EventStream():
                return self.relays.relay(request, call)
            case Status(stream_id=stream_id):
                return self._status(request, stream_id)
            case Health():
                return self._pass_and_learn(request, self._learn_health)
            case Cancel() | Other():
                lane = Lane.CONTROL if isinstance(call, Cancel) else Lane.CALLS
                return forward(request, self.upstream, lane)

    async def _cancel(self, request: Request, stream_id: str) -> web.StreamResponse:
        head = request.head()
        # A body means nothing to a cancel, and Hermes would leave it unread (F8).
        bare = replace(head, headers=without(head.headers, [b"content-length"]))
        return await _reply(request, await self.cancels.answer(bare, stream_id))

    def _let_in(self, request: Request, call: Start | Change) -> Awaitable[web.StreamResponse]:
        match call:
            case Start(is_goal=True):
                return self._goal(request)
            case Start(takes_turn=takes_turn):
                return self._start(request, takes_turn=takes_turn)
            case Change():
                return self._change(request, call)

    async def _start(self, request: Request, *, takes_turn: bool) -> web.StreamResponse:
        with self.starts.admitted():
            body = request.body()
            if body is None:
                return await forward(request, self.upstream, Lane.CONTROL)
            return await self._start_with(request, body, takes_turn=takes_turn)

    async def _start_with(self, request: Request, body: Body, *, takes_turn: bool) -> web.StreamResponse:
        async with self.spool.taking(body) as whole:
            if isinstance(whole, Body):
                return await _reply(request, await self.starts.answer_large(request.head(), whole))
            return await _reply(request, await self.starts.answer(request.head(), whole, takes_turn=takes_turn))

    async def _goal(self, request: Request) -> web.StreamResponse:
        """A start if its words kick a turn off; else it passes, as a goal's status may be asked at any time (F21)."""
        body = request.body()
        held = b"" if body is None else await in_memory(body, _LONGEST_GOAL)
        if isinstance(held, bytes) and not self._kicks_off(held):
            return await forward(request, self.upstream, Lane.CONTROL, body=Body.of(held) if body else None)
        with self.starts.admitted():
            whole = Body.of(held) if isinstance(held, bytes) else held
            return await self._start_with(request, whole, takes_turn=True)

    def _kicks_off(self, body: bytes) -> bool:
        with failing_open(self.report, "reading a goal"):
            return kicks_off(body)
        return True

    async def _change(self, request: Request, change: Change) -> web.StreamResponse:
        body = request.body()
        if body is None:
            return await forward(request, self.upstream, Lane.CALLS)
        with self.starts.admitted() if change.is_turn else nullcontext():
            async with self.spool.taking(body) as whole:
                if isinstance(whole, Body):
                    return await self.changes.answer_large(request, whole)
                return await self.changes.answer(request, change, whole)

    async def _steer(self, request: Request) -> web.StreamResponse:
        body = request.body()
        if body is None:
            return await forward(request, self.upstream, Lane.CONTROL)
        held = await in_memory(body, _LONGEST_STEER)
        if isinstance(held, bytes):
            return await _reply(request, await self.steers.answer(request.head(), held))
        return await _reply(request, await self.steers.answer_large(request.head(), held))

    async def _status(self, request: Request, stream_id: str) -> web.StreamResponse:
        async def read(status: int, body: bytes, asked: float) -> None:
            if (said := answers.read_status(status, body)) and stream_id:
                now = self.ownership.clock()
                if said.session_id is not None:
                    await self.ownership.identify(stream_id, said.session_id)
                await self.ownership.observe(StatusSeen(now, asked, stream_id, said.active, said.ending))

        return await self._pass_and_learn(request, read)

    def _pass_and_learn(self, request: Request, read: Read) -> Awaitable[web.StreamResponse]:
        return pass_and_learn(request, self.upstream, self.ownership.clock, read, self.report)

    async def _learn_health(self, status: int, body: bytes, asked: float) -> None:
        await self.health.learn(Answer(status, b"", (), body), asked)


async def _reply(request: Request, judged: Judged) -> web.StreamResponse:
    request.account.verdict, request.account.cancel = judged.verdict, judged.cancel_id
    if judged.is_our_own:
        request.account.ended_by = "proxy"
    return await reply(request, judged.answer, extra=judged.field)
