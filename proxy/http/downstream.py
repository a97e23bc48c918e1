"""One browser connection: what may come in on it, and noticing that the browser has left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from aiohttp.http import HttpVersion10
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from proxy.http.cutting import Cutter
from proxy.http.errors import ProxyError, RequestTimeoutError
from proxy.http.response import error_answer, whole
from proxy.http.sockets import give_up_after, peer_hung_up, reset_on_close
from proxy.http.strictness import refusal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from aiohttp.http import HttpRequestParser, RawRequestMessage
    from aiohttp.streams import StreamReader

    from proxy.http.headers import Network

LOOK_AGAIN: Final = 0.05
"""Seconds between looks at the socket of a connection that is not being read (P6)."""

log = logging.getLogger(__name__)


class Downstream(web.RequestHandler):
    """One browser connection.

    Attributes:
        trusted_proxies: Networks whose ``X-Forwarded-*`` is believed.
        patience: Seconds to wait for a browser that neither sends nor takes anything.
        discards_input: Whether what comes in is dropped from now on.
    """

    __slots__ = ("_cutter", "_watch", "discards_input", "patience", "trusted_proxies")

    def __init__(
        self,
        manager: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        patience: float,
        trusted_proxies: Sequence[Network],
        **kwargs: Any,
    ) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        parser = _RequestParser(cast("HttpRequestParser", self._parser))
        self._parser = cast("HttpRequestParser", parser)
        self.patience = patience
        self.trusted_proxies = trusted_proxies
        self.discards_input = False
        self._cutter = Cutter()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel look after a peer that vanishes without a word."""
        super().connection_made(transport)
        give_up_after(transport, self.patience)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the handler (``handler_cancellation``), and stop looking at the socket."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, head by head, unless it is to be dropped."""
        for piece in self._cutter.cut(data, enough=self._is_paused):
            if not self.discards_input or self._body_under_way:
                super().data_received(piece)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio.Protocol has it
        """Take a FIN for what it nearly always is: the browser has left.

        With a request under way everything unsent is dropped: closing would wait until a peer
        that is gone had taken it. A tunnel hears the FIN as the end of what the browser says.
        """
        if self._payload_parser is not None:
            self._payload_parser.feed_eof()
            return self.ssl_context is None  # TLS cannot be half-closed
        if self._request_in_progress:
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
        for ever. The connection ends with the current response.
        """
        self.discards_input = True
        self._messages.clear()
        self._lingering_time = 0.0
        if not self._body_under_way:
            self._buffer_paused = self._reading_paused = False
            self._resume_transport_reading()

    @property
    def _body_under_way(self) -> bool:
        request = self._current_request
        return request is not None and not request.content.is_eof()

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


class _RequestParser:
    """aiohttp's C parser, in front of which no error goes unheard.

    The parser forgets the body under way when it fails, and its reader waits for ever; and not
    everything it raises is an HTTP error, so the connection would die without an answer.
    """

    def __init__(self, parser: HttpRequestParser) -> None:
        self._parser = parser
        self._body: StreamReader | None = None
        self.pause_reading = parser.pause_reading
        self.message_consumed = parser.message_consumed
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[RawRequestMessage, StreamReader]], bool, bytes]:
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._break_off(error)
            raise
        except Exception as error:  # yarl's IndexError for "http://[]a@", say
            self._break_off(error)
            raise BadHttpMessage(str(error)) from error
        if messages:
            self._body = messages[-1][1]
        return messages, upgraded, tail

    def _break_off(self, error: Exception) -> None:
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(RequestPayloadError(str(error)))
