"""One browser connection: what may come in on it, and noticing that the browser has left."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from aiohttp.http import HttpVersion10
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from proxy.http.crowd import Welcome
from proxy.http.cutting import Cutter
from proxy.http.errors import ProxyError, RequestTimeoutError
from proxy.http.parser import RequestParser
from proxy.http.response import error_answer, whole
from proxy.http.sockets import give_up_after, peer_hung_up, reset_on_close
from proxy.http.strictness import refusal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from aiohttp.http import HttpRequestParser

    from proxy.http.request import Request
    from proxy.http.rules import Rules
    from proxy.http.server import Server

LOOK_AGAIN: Final = 0.05
"""Seconds between looks at the socket of a connection that is not being read (P6)."""

PIPELINED: Final = 2
"""Requests that wait behind the one under way; with so many, no more is read."""

_NOTHING: Final[deque[Any]] = deque(maxlen=0)
"""The requests that wait on a connection which takes no more of them."""

log = logging.getLogger(__name__)


class Downstream(web.RequestHandler):
    """One browser connection.

    Attributes:
        server: Whose it is. What it grants is asked for with every request, as it may change.
        peer: The IP address at its other end; empty for a Unix socket.
        welcome: What becomes of it.
        discards_input: Whether what comes in is dropped from now on.
    """

    __slots__ = (
        "_browser_left",
        "_cutter",
        "_head_began",
        "_head_timer",
        "_watch",
        "discards_input",
        "peer",
        "server",
        "welcome",
    )

    def __init__(self, server: Server, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(server, loop=loop, **kwargs)
        parser = RequestParser(cast("HttpRequestParser", self._parser), self._read_no_more)
        self._parser = cast("HttpRequestParser", parser)
        self._max_msg_queue_size, self._msg_queue_resume_size = PIPELINED, 0
        self.server = server
        self.peer = ""
        self.welcome = Welcome.SERVED
        self.discards_input = False
        self._browser_left = False
        self._cutter = Cutter()
        self._watch: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_began = False

    @property
    def rules(self) -> Rules:
        """The terms in force."""
        return self.server.rules

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it with its client's, and have the kernel look after a peer that vanishes without a word."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        give_up_after(transport, self.rules.patience)
        self._await_head()
        self.welcome = self.server.crowd.enter(self.peer, self.rules)
        if self.welcome is Welcome.DROPPED:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the handler (``handler_cancellation``), and whatever looked after the connection."""
        self.server.crowd.leave(self.peer)
        for timer in (self._watch, self._head_timer):
            if timer is not None:
                timer.cancel()
        self._browser_left = not self._force_close  # which closing from here sets first
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, head by head, unless it is to be dropped."""
        for piece in self._cutter.cut(data, enough=self._is_paused):
            if not self.discards_input or self._body_under_way:
                super().data_received(piece)
                self._look_for_head()

    def _look_for_head(self) -> None:
        """Time the head that what came is a part of, until it is whole (slowloris)."""
        if self._waiter is None or self._waiter.done():
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer, self._head_began = None, False
        elif not self._head_began:
            self._head_began = True
            self._await_head()

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self._loop.call_later(self.rules.head_timeout, self._give_up_head)

    def _give_up_head(self) -> None:
        """Answer 408, as a request that cannot be parsed is answered; end in silence if nothing was said at all."""
        self._head_timer = None
        if self._waiter is None or self._waiter.done():
            return
        if not self._head_began:
            self.force_close()
            return
        error = RequestTimeoutError(f"The head of the request did not arrive in {self.rules.head_timeout:g} s.")
        self._messages.append((_ErrInfo(status=error.status, exc=error, message=str(error)), EMPTY_PAYLOAD))
        self._waiter.set_result(None)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio.Protocol has it
        """Take a FIN for what it nearly always is: the browser has left.

        With a request under way everything unsent is dropped: closing would wait until a peer
        that is gone had taken it. A tunnel hears the FIN as the end of what the browser says.
        """
        if self._payload_parser is not None:
            self._payload_parser.feed_eof()
            return self.ssl_context is None  # TLS cannot be half-closed
        if self._request_in_progress or self.writing_paused:
            self.abort()
        return None

    def abort(self) -> None:
        """Break the connection off at once: what is unsent is dropped, and the browser can tell."""
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def discard_input(self) -> None:
        """Read on whatever comes after the current request, and drop it.

        For a relay, which may go on for hours and has to notice the browser's FIN. With the
        requests that are pipelined behind it in the way, reading would pause and the FIN wait
        for ever. The connection ends with the current response, so that nothing is parsed on it
        any more, and no time for another request runs out.
        """
        self.discards_input = True
        self._messages = _NOTHING
        self._lingering_time = 0.0
        self.keep_alive(False)  # noqa: FBT003 - aiohttp's
        if not self._body_under_way:
            self._parser = None
            self._buffer_paused = self._reading_paused = False
            self._resume_transport_reading()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def has_served(self) -> bool:
        """Whether a request has come on it before."""
        return self._request_count > 0

    def hang_up(self) -> None:
        """End a WebSocket as if the browser had: the backend may still have its say, and no more."""
        if self._payload_parser is not None:
            self._payload_parser.feed_eof()

    @property
    def _body_under_way(self) -> bool:
        request = self._current_request
        return request is not None and not request.content.is_eof()

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """Carry out a request, refused ones included, in a task of its own; tell what became of it."""
        asked, observer = cast("Request", request), self.server.observer
        asked.account.browser = asked
        asked.account.open()
        if observer is not None:
            observer.begin(asked)
        try:
            await self._until_taken(asked)
            response, reset = await super()._handle_request(request, start_time, request_handler)
            asked.account.left |= reset
            return response, reset
        finally:
            asked.account.left |= self._browser_left and not asked.patient_writer.is_done
            asked.account.close()
            if observer is not None:
                observer.end(asked)

    async def _until_taken(self, request: Request) -> None:
        """Answer nobody who does not take the answers that there are (backpressure, P7).

        Raises:
            ConnectionError: they were not taken, or the browser is gone.
        """
        try:
            await request.patient_writer.drain()
        except ConnectionError as error:
            request.account.fail(error, ProxyError(""))
            self.abort()
            raise

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - the error says it
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the error says it
    ) -> web.StreamResponse:
        """The answer to a request that could not be carried out.

        Raises:
            ConnectionResetError: there is nobody to tell, or a head has gone out already: the
                connection ends with what was written, whose framing says that more was to come.
        """
        error = self._explain(request, exc)
        cast("Request", request).account.fail(exc, error)
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            if isinstance(exc, ConnectionError) or request.version == HttpVersion10:
                self.abort()  # in HTTP/1.0 only a reset tells it from the end (RFC 9112 §6.3)
            raise ConnectionResetError("ended, since the response cannot be completed")
        if isinstance(error, RequestTimeoutError):
            self._lingering_time = 0.0  # nothing comes that reading on would clear away
        response = whole(error_answer(error))
        response.force_close()
        return response

    def _explain(self, request: web.BaseRequest, exc: BaseException | None) -> ProxyError:
        if isinstance(exc, ProxyError):
            return exc
        if isinstance(exc, HttpProcessingError):
            return refusal(exc)
        if not isinstance(exc, ConnectionError):
            path = request.raw_path.partition("?")[0]  # a query may hold what nobody else should read
            log.error("%s %s failed", request.method, path, exc_info=exc)
        return ProxyError("The proxy failed to handle this request.")

    def _is_paused(self) -> bool:
        return self._reading_paused or self._buffer_paused

    def _read_no_more(self) -> None:
        """The body under way is broken: there is no rest of it to be read and dropped behind its answer."""
        self._lingering_time = 0.0

    def _pause_transport_reading(self) -> None:
        super()._pause_transport_reading()
        if self._watch is None:
            self._watch = self._loop.call_later(LOOK_AGAIN, self._look)

    def _look(self) -> None:
        """Notice a browser that left while its connection was not being read."""
        self._watch = None
        if self.transport is None or not self._is_paused():
            return
        if peer_hung_up(self.transport):
            self.abort()
        else:
            self._watch = self._loop.call_later(LOOK_AGAIN, self._look)
