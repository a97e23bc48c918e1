"""The way of a request: which call it is, who judges it, and who carries it out."""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace

from aiohttp import web

from proxy.core.observations import StatusSeen
from proxy.guard.cancel import CancelGuard
from proxy.guard.health import Health as BackendHealth
from proxy.guard.label import Judged
from proxy.guard.learn import Read, pass_and_learn
from proxy.guard.limits import Live
from proxy.guard.ownership import Ownership
from proxy.guard.relay import RelayGuard
from proxy.guard.reporting import Report, failing_open
from proxy.guard.start import StartGuard
from proxy.guard.steer import SteerGuard
from proxy.hermes import answers
from proxy.hermes.contract import (
    Call,
    Cancel,
    EventStream,
    Health,
    OpenStream,
    Other,
    SessionChannel,
    Start,
    Status,
    Steer,
    classify,
)
from proxy.http.errors import BackendUnreachableError
from proxy.http.forward import forward
from proxy.http.headers import values, without
from proxy.http.lanes import Lane
from proxy.http.message import Answer, Body
from proxy.http.request import Request
from proxy.http.response import reply
from proxy.http.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Handler:
    """Answers every request of the public listener, which has no path of its own.

    Attributes:
        upstream: The backend, for what is not guarded.
        ownership: Told what passing answers say.
        health: Told whether the backend answers.
        cancels: Judges cancels.
        starts: Judges starts.
        steers: Judges steers.
        relays: Opens event streams.
        live: Says how large the body of a start or a steer may be to be held.
        report: Told of internal errors.
    """

    upstream: Upstream
    ownership: Ownership
    health: BackendHealth
    cancels: CancelGuard
    starts: StartGuard
    steers: SteerGuard
    relays: RelayGuard
    live: Live
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
        except BackendUnreachableError:
            self.health.unreachable()
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
            case Start(takes_turn=takes_turn):
                return self._start(request, takes_turn=takes_turn)
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

    async def _start(self, request: Request, *, takes_turn: bool) -> web.StreamResponse:
        with self.starts.admitted():
            body = request.body()
            if body is None:
                return await forward(request, self.upstream, Lane.CONTROL)
            held = await _hold(body, self.live.now.start_body_limit)
            if isinstance(held, bytes):
                return await _reply(request, await self.starts.answer(request.head(), held, takes_turn=takes_turn))
            return await _reply(request, await self.starts.answer_large(request.head(), held))

    async def _steer(self, request: Request) -> web.StreamResponse:
        body = request.body()
        if body is None:
            return await forward(request, self.upstream, Lane.CONTROL)
        held = await _hold(body, self.live.now.start_body_limit)
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


async def _hold(body: Body, limit: int) -> bytes | Body:
    """The body in whole; or, if it is over `limit`, the same body still to be streamed."""
    held = bytearray()
    async for chunk in body.chunks:
        held += chunk
        if len(held) > limit:
            return Body(body.length, _resumed(bytes(held), body.chunks))
    return bytes(held)


async def _resumed(held: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield held
    async for chunk in rest:
        yield chunk
