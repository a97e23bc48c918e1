"""One browser connection: what comes in on it, and noticing that the browser has left."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from proxy.http.downstream.connection_limit import Admission
from proxy.http.downstream.incoming import Incoming
from proxy.http.downstream.intake import Intake
from proxy.http.downstream.parting import Parting
from proxy.http.downstream.pausing import Pausing
from proxy.http.downstream.request import UNPARSED, Request
from proxy.http.downstream.serving import Then, refusing, serve
from proxy.http.errors import BrowserError, RequestTimeoutError
from proxy.http.framing import is_framed, request_body
from proxy.http.sockets import give_up_after
from proxy.http.strictness import check_request
from proxy.http.target import split_target
from proxy.http.writer import Writer

if TYPE_CHECKING:
    from proxy.http.downstream.rules import Rules
    from proxy.http.downstream.server import Server
    from proxy.http.downstream.serving import Handler
    from proxy.http.heads import ReceivedHead
    from proxy.http.inflow import Inflow


class DownstreamConnection(asyncio.Protocol):
    """One browser connection.

    Args:
        server: Whose it is. What it grants is asked for with every request, as it may change.

    Attributes:
        server: As above.
        peer: The IP address at its other end; empty for a Unix socket.
        is_secure: Whether it is TLS.
        writer: What goes out on it.
        parting: How it ends.
        has_served: Whether a request has come on it.
    """

    __slots__ = (
        "_admission",
        "_intake",
        "_pausing",
        "_task",
        "_under_way",
        "has_served",
        "is_secure",
        "parting",
        "peer",
        "server",
        "writer",
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self.peer = ""
        self.is_secure = self.has_served = False
        self.writer = Writer(server.rules.patience)
        self._admission = Admission.SERVED
        self._intake = Intake(self)
        self.parting = Parting(self.writer, self._intake)
        self._pausing = Pausing(self._leave)
        self._under_way: Request | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def rules(self) -> Rules:
        """The terms in force."""
        return self.server.rules

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._task is None

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow the one under way."""
        return self._intake.is_open and not self.server.is_retiring

    # -- its beginning and its end ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it with its client's, and have the kernel look after a peer that vanishes without a word."""
        self.writer.made(cast("asyncio.Transport", transport))
        self._pausing.made(cast("asyncio.Transport", transport))
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        self.is_secure = transport.get_extra_info("sslcontext") is not None
        give_up_after(transport, self.rules.patience)
        self.server.connections.add(self)
        self._admission = self.server.limit.enter(self.peer, self.rules)
        self.parting.deadline.set(self.rules.head_timeout, self.close)
        if self._admission is Admission.DROPPED:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - whatever it was, it is gone
        """Cancel the request under way, and whatever looked after the connection."""
        self.server.limit.leave(self.peer)
        self.server.connections.remove(self)
        self.parting.lost()
        self._pausing.lost()
        self.writer.lost()
        self._intake.end()
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Break it off at once: what is unsent is dropped, and the browser can tell."""
        self.parting.abort()

    def close(self) -> None:
        """End it once what is unsent has been taken."""
        self.parting.close(self.rules.patience)

    def end_for_server(self) -> None:
        """Break it off since the server ends."""
        self.parting.is_ours = True
        self.abort()

    def hang_up(self) -> None:
        """End a WebSocket as if the browser had: the backend may still have its say, and no more."""
        self._intake.end()

    def _leave(self) -> None:
        """The browser has ended its side and nearly always is gone: end what is under way.

        What was written is still sent, in case the browser reads on (RFC 9112 §9.6). Of half an answer in
        HTTP/1.0 only a reset shows that it is not whole (§6.3).
        """
        request, task = self._under_way, self._task
        if request is not None and task is not None and not request.is_answered:
            self.parting.has_left = True
            task.cancel()
            if request.is_http_1_0 and request.response is not None:
                self.abort()
        self.close()

    # -- what asyncio tells it --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take the next bytes."""
        self._intake.feed(data)
        self.update_reading()
        if self.parting.is_ours and self.is_idle and not self._intake.is_in_body and self.is_secure:
            self.close()

    def eof_received(self) -> bool | None:
        """A tunnel hears a FIN as the end of what the browser says; else the browser has left."""
        if self._intake.end():
            return not self.is_secure  # TLS cannot be half-closed
        self._leave()
        return None

    def pause_writing(self) -> None:
        """The browser takes no more for now."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """It takes more."""
        self.writer.resume()

    # -- backpressure -----------------------------------------------------------------------------

    def update_reading(self) -> None:
        """Read on, or do not, as there is room for what comes."""
        self._pausing.update(is_full=self._intake.is_full)

    def discard_input(self) -> None:
        """Read on whatever comes after the current request, and drop it.

        For a relay, which may go on for hours and has to notice the browser's FIN: with the requests that are pipelined
        behind it in the way, reading would pause and the FIN wait for ever.
        """
        self._intake.drop_behind()
        self.update_reading()

    def tunnel(self, inflow: Inflow) -> None:
        """What the browser sends from now on is for ``inflow``."""
        self._intake.tunnel(inflow)
        self.update_reading()

    # -- requests ---------------------------------------------------------------------------------

    def head_begun(self) -> None:
        """See `Taker`: it has to be whole in time (slowloris)."""
        self.parting.deadline.set(self.rules.head_timeout, self._give_up_head)

    def _give_up_head(self) -> None:
        self._intake.drop()
        self.head_failed(
            RequestTimeoutError(f"The head of the request did not arrive in {self.rules.head_timeout:g} s.")
        )

    def head_failed(self, error: BrowserError) -> None:
        """See `Taker`."""
        self._carry_out(self._request(UNPARSED, UNPARSED.target), refusing(error))

    def head_came(self, head: ReceivedHead) -> Incoming | None:
        """See `Taker`: have it carried out, or refused."""
        try:
            self._admission.check(self.rules.connections)
            authority, target = split_target(head.method, head.target)
            check_request(head.version, head.fields)
        except BrowserError as error:
            self._carry_out(self._request(head, head.target), refusing(error))
            raise
        request = self._request(head, target, authority)
        if is_framed(head.fields):
            decoder = request_body(head.fields)
            request.incoming = Incoming(decoder, self.rules, request.account.pace, self.update_reading)
        self._carry_out(request, self.server.handle)
        return request.incoming

    def _request(self, head: ReceivedHead, target: bytes, authority: bytes | None = None) -> Request:
        return Request(self, head, target, authority, clock=time.monotonic)

    def _carry_out(self, request: Request, handler: Handler) -> None:
        self.has_served = True
        self._under_way = request
        self.parting.deadline.cancel()
        self._task = asyncio.get_running_loop().create_task(self._serve(request, handler))
        self.server.own(self._task)

    async def _serve(self, request: Request, handler: Handler) -> None:
        then = Then.CLOSE
        try:
            then = await serve(request, handler, self.server.observer)
        finally:
            self._task = self._under_way = None
            self._go_on(then)

    def _go_on(self, then: Then) -> None:
        if then is Then.NEXT and self.is_reusable:
            self.parting.deadline.set(self.server.idle_timeout, self.close)
            self._intake.next()
            self.update_reading()
        elif then is Then.LINGER:
            self.parting.linger(self.rules.patience)
            self.update_reading()
        else:
            self.close()
