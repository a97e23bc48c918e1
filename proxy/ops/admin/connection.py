"""One connection to the admin listener: an asyncio protocol in front of aiohttp's own.

    transport -> Connection, RequestReader -> web.RequestHandler -> application
        ^                 | refusals                 | answers
        +-----------------+--------------------------+

aiohttp is given one whole request at a time, and the next one when the peer has taken the answer. So time limits,
pipelining, and the JSON answer to what is no HTTP need nothing of aiohttp that is private.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from proxy.ops.admin.calls import EVENTS
from proxy.ops.admin.errors import LATE, MISTAKEN, RefusalError, answer, serialized
from proxy.ops.admin.reader import RequestReader, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.ops.admin.limit import ConnectionLimit

PATIENCE: Final = 10.0
"""Seconds in which a request has to come whole, then to be answered, and then its answer to be taken (P7)."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger(__name__)


class _State(Enum):
    READING = auto()
    """It waits for a request, or for the rest of one."""
    ANSWERING = auto()
    """A request is with aiohttp. The next bytes are buffered, once: then reading pauses."""
    ENDING = auto()
    """The last answer was sent; what still arrives is dropped."""


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        app: aiohttp's server of the application.
        limit: Where it has to find room.

    Attributes:
        since: When it began to do what it does, or to wait.
    """

    _transport: asyncio.Transport

    def __init__(self, app: web.Server, limit: ConnectionLimit) -> None:
        self._limit = limit
        self._is_admitted = False
        self._loop = asyncio.get_running_loop()
        self._state = _State.READING
        self.since = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._reader = RequestReader()
        self._handler = app.request_handler
        server = web.Server(
            self._answer,
            request_factory=app.request_factory,
            handler_cancellation=True,
            access_log=None,
            logger=_quiet(),
        )
        self._http = server()

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its peer: to ask, to take an answer, or to leave."""
        return self._state is not _State.ANSWERING or self._http.writing_paused

    # -- what the transport calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_admitted = self._limit.admit(self)
        if not self._is_admitted:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=0)  # what is written is waited for until all of it is taken
        self._http.connection_made(transport)
        self._enter(_State.READING, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Buffer it until the request before it was answered."""
        if self._state is _State.ENDING:
            return
        self._reader.feed(data)
        if self._state is _State.ANSWERING:
            self._transport.pause_reading()
        self._proceed()

    def pause_writing(self) -> None:
        """Have aiohttp wait."""
        self.since = self._loop.time()
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Have aiohttp go on."""
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and whatever is being answered with it."""
        self._limit.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._is_admitted:
            self._http.connection_lost(exc)

    # -- one request after the other ------------------------------------------------------------------

    def _proceed(self) -> None:
        """Hand on the next request, if it is there and the last one was answered."""
        if self._state is not _State.READING or self._transport.is_closing():
            return
        self._transport.resume_reading()
        try:
            request = self._reader.take()
        except UnreadableError as error:
            self._refuse(error.refusal)
            return
        if request is not None:
            self._enter(_State.ANSWERING, self._drop_slow)
            self._http.data_received(request)
        elif self._reader.owes_continue():
            self._transport.write(_CONTINUE)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer, within a limit unless it is for whoever follows the events."""
        if request.path == EVENTS:
            self._stop_timer()
        response = await self._response(request)
        self._enter(_State.ANSWERING, self._drop_slow)
        await response.prepare(request)
        await response.write_eof()
        if response.keep_alive:
            self._enter(_State.READING, self._give_up)
            self._loop.call_soon(self._proceed)
        else:
            self._enter(_State.ENDING, self.abort)
        return response

    async def _response(self, request: web.BaseRequest) -> web.StreamResponse:
        """The application's answer, or that it failed to give one.

        Raises:
            ConnectionError: it failed when its answer had begun already.
        """
        try:
            return await self._handler(request)
        except Exception:
            log.exception("the admin listener failed")
            if request.writer.output_size > 0:
                raise ConnectionError("ended, since the answer cannot be completed") from None
            mistaken = answer(MISTAKEN)
            mistaken.force_close()
            return mistaken

    # -- how it ends ----------------------------------------------------------------------------------

    def _refuse(self, refusal: RefusalError) -> None:
        """Answer and say no more. What still comes is read: a reset because of it could overtake the answer."""
        head = self._reader.head
        self._enter(_State.ENDING, self.abort)
        self._transport.write(serialized(refusal, has_body=head is None or head.method != "HEAD"))
        self._transport.write_eof()

    def _give_up(self) -> None:
        """No request came in time; whoever has sent the head of one is told so."""
        if self._reader.head is None:
            self.abort()
        else:
            self._refuse(LATE)

    def _drop_slow(self) -> None:
        self._limit.dropped("slow")
        self.abort()

    def abort(self) -> None:
        """End at once."""
        self._state = _State.ENDING
        self._stop_timer()
        self._transport.abort()

    async def end(self, patience: float) -> None:
        """End as soon as what is being answered is, or in so many seconds."""
        await self._http.shutdown(patience)
        self.abort()

    def _enter(self, state: _State, expired: Callable[[], None]) -> None:
        self._stop_timer()
        self._state, self.since = state, self._loop.time()
        self._timer = self._loop.call_later(PATIENCE, expired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _quiet() -> logging.Logger:
    """For aiohttp's own lines, which may quote a request: there may be a token in it."""
    logger = logging.getLogger(f"{__name__}.aiohttp")
    logger.setLevel(logging.CRITICAL)
    return logger
