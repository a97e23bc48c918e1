"""One operator's connection: what never gets as far as the application is answered as there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo

from proxy.ops.admin.application import harden
from proxy.ops.admin.errors import MISTAKEN, RefusalError, answer, translated, unreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One connection, on which what is no HTTP is answered in JSON."""

    __slots__ = ()

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

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """Answer what aiohttp refuses before it asks the application, such as an `Expect`, as that would."""

        async def handle(asked: web.BaseRequest) -> web.StreamResponse:
            try:
                return await request_handler(asked)
            except web.HTTPException as error:
                return _closing(translated(asked, error))

        return await super()._handle_request(request, start_time, handle)

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
