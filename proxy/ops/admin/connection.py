"""One operator's connection: bounded, and what never gets as far as the application is answered as there."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo

from proxy.ops.admin.application import harden
from proxy.ops.admin.calls import EVENTS
from proxy.ops.admin.errors import MISTAKEN, RefusalError, answer, translated, unreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE: Final = 10.0
"""Seconds in which a request has to come whole, and then to be answered and its answer to be taken (P7)."""

_PIPELINED: Final = 2
"""Requests that wait behind the one under way; with so many, no more is read."""

_MOST_FIELDS: Final = 64

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One connection, on which what is no HTTP is answered in JSON.

    Args:
        server: The application's.
        loop: The running one.
        slow: Called when it is ended since its peer took no answer.
        kwargs: aiohttp's.

    Attributes:
        since: When it began to wait for a request.
    """

    __slots__ = ("_slow", "since")

    def __init__(
        self, server: web.Server, *, loop: asyncio.AbstractEventLoop, slow: Callable[[], None], **kwargs: Any
    ) -> None:
        super().__init__(server, loop=loop, keepalive_timeout=PATIENCE, max_headers=_MOST_FIELDS, **kwargs)
        self._max_msg_queue_size, self._msg_queue_resume_size = _PIPELINED, 0
        self._slow = slow
        self.since = loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its peer: to ask, to send the rest of a body, or to take an answer."""
        request = self._current_request
        has_more = request is not None and not request.content.is_eof()
        return not self._force_close and (has_more or self.writing_paused or not self._request_in_progress)

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """Answer within a limit, unless it is for whoever follows the events, and nobody who takes no answers."""
        try:
            async with asyncio.timeout(None if request.path == EVENTS else PATIENCE):
                await self._drain_helper()
                return await super()._handle_request(request, start_time, partial(_translating, request_handler))
        except TimeoutError:
            self._slow()
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionResetError("ended, since the answer was not taken") from None
        finally:
            self.since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Parse what came; not everything that the parser raises is an HTTP error (yarl's IndexError for `[]a@`)."""
        try:
            super().data_received(data)
        except Exception:  # noqa: BLE001 - whatever it is, the request caused it
            self._messages.append((_ErrInfo(400, BadHttpMessage("malformed"), ""), EMPTY_PAYLOAD))
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        self._break_off()

    def _break_off(self) -> None:
        """If what came broke the body under way, tell who reads it, and answer once: aiohttp would do neither."""
        if not self._messages or not isinstance(self._messages[-1][0], _ErrInfo):
            return
        request = self._current_request
        body = self._messages[-2][1] if len(self._messages) > 1 else request.content if request is not None else None
        if body is not None and not body.is_eof():
            self._messages.pop()
            body.set_exception(RequestPayloadError("malformed"))
            self._lingering_time = 0.0
            self.keep_alive(False)  # noqa: FBT003 - aiohttp's

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - the error says it
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was read
    ) -> web.StreamResponse:
        """The answer to what could not be read, or was not caught.

        Raises:
            ConnectionError: a head has gone out already.
        """
        refusal = unreadable(exc) if isinstance(exc, HttpProcessingError) else MISTAKEN
        if refusal is MISTAKEN:
            log.error("the admin listener failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("ended, since the answer cannot be completed")
        return _closing(refusal)


async def _translating(
    request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], asked: web.BaseRequest
) -> web.StreamResponse:
    """The answer; what aiohttp refuses before it asks the application, such as an `Expect`, is answered as there."""
    try:
        return await request_handler(asked)
    except web.HTTPException as error:
        return _closing(translated(asked, error))


def _closing(refusal: RefusalError) -> web.Response:
    """The answer, behind which nothing is read."""
    said = answer(refusal)
    response = _Hardened(status=said.status, text=said.text, headers=said.headers)
    response.force_close()
    return response


class _Hardened(web.Response):
    """With the fields of every other answer, though no application has seen the request."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        if self._req is not None:
            await harden(self._req, self)
