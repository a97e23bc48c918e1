"""One operator's connection: what never gets as far as the application is answered as there."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from proxy.ops.admin.application import harden
from proxy.ops.admin.errors import MISTAKEN, answer, unreadable

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
