"""A backend's answer while it arrives."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from aiohttp.client_exceptions import ClientError
from aiohttp.http_exceptions import HttpProcessingError

from proxy.http.errors import BackendBrokenError, BackendTooSlowError
from proxy.http.following import Unframed, arrived
from proxy.http.headers import content_length, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

    from proxy.http.connection import Connection
    from proxy.http.headers import RawHeaders

BROKEN: Final = (ClientError, HttpProcessingError, OSError)
"""What aiohttp's client protocol raises for a connection that broke or speaks no HTTP."""

FIRST_ERROR: Final = 400

EVENT_STREAM: Final = b"text/event-stream"
"""The content type of a stream of server-sent events (the HTML standard, section 9.2)."""


class Sink(Protocol):
    """Takes the body of an answer as it arrives."""

    def data(self, chunk: bytes, /) -> None:
        """A piece, which is not empty."""

    def ended(self, error: Exception | None, /) -> None:
        """There is nothing more: the body is whole, or it broke off by a `BackendBrokenError`."""


class ResponseStream:
    """Status, headers and then the body of one answer.

    Attributes:
        status: The status code.
        reason: The reason phrase as sent.
        headers: Every field as received, hop-by-hop ones included, without space behind its name.
    """

    __slots__ = ("_carrier", "_content", "_sender", "headers", "reason", "status")

    def __init__(
        self,
        connection: Connection,
        message: RawResponseMessage,
        content: StreamReader,
        sender: asyncio.Task[None] | None,
    ) -> None:
        self._carrier: Connection | Unframed = connection
        self.status: int = message.code
        self.reason = message.reason.encode("utf-8", "surrogateescape")
        # RFC 9112 §5.1: the parser frames by a field so spelled, and a browser might not.
        self.headers: RawHeaders = tuple((name.rstrip(), value) for name, value in message.raw_headers)
        self._content = content
        self._sender = sender
        if sender is not None:
            sender.add_done_callback(self._sent)
            if self.status >= FIRST_ERROR:
                # RFC 9112 §9.5: whoever refuses a request does not want the rest of it.
                sender.cancel()

    @property
    def connection(self) -> Connection:
        """What it arrives on, unless that was handed over to be followed."""
        return cast("Connection", self._carrier)

    @property
    def is_event_stream(self) -> bool:
        """Whether it may last for as long as somebody listens, as its own content type says."""
        content_type = b"".join(values(self.headers, b"content-type")[:1])
        return self.status == HTTPStatus.OK and content_type.lower().startswith(EVENT_STREAM)

    def release(self) -> Connection | None:
        """The connection, if the answer has arrived on it and the request was sent, in whole; else it is aborted."""
        if isinstance(self._carrier, Unframed) or not self._is_complete:
            self._carrier.abort()
            return None
        return self._carrier

    @property
    def _is_complete(self) -> bool:
        arrived = self._content.is_eof() and self._content.exception() is None
        return arrived and (self._sender is None or _succeeded(self._sender))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, codings of content undone by nobody; all that came of one that broke off.

        Raises:
            BackendBrokenError: it broke off before its end.
            BackendTooSlowError: nothing came for ``response_timeout`` seconds.
            ProxyError: the request's body failed, and the exchange with it.
        """
        try:
            while chunk := await self._content.readany():
                yield chunk
        except TimeoutError:
            raise BackendTooSlowError("The backend stopped in the middle of its answer.") from None
        except BROKEN as error:
            if last := arrived(self._content):
                yield last
            raise BackendBrokenError("The backend's answer broke off.") from error

    def follow(self, sink: Sink) -> None:
        """Hand every piece of the body from here on to ``sink``, in the call that it arrives in.

        It may be silent for any time; ``sink`` is told nothing more once the answer is aborted.
        """

        def ended(error: BaseException | None) -> None:
            broken = BackendBrokenError("The backend's answer broke off.")
            broken.__cause__ = error
            sink.ended(broken if error else None)

        takes_over = self._lasts_as_long_as_its_connection()
        self.headers = ()  # it may last for hours
        if not takes_over:
            self.connection.follow(self._content, sink.data, ended)
            return
        self._carrier, words = self.connection.hand_over(self._content, sink.data, ended)
        del self._content
        if words:
            sink.data(words)

    def _lasts_as_long_as_its_connection(self) -> bool:
        """Nothing more is sent on it, and its body has no other end (RFC 9112 §6.3), nor any by now."""
        is_framed = content_length(self.headers) is not None or values(self.headers, b"transfer-encoding")
        is_over = self._content.is_eof() or self._content.exception() is not None
        return not (is_framed or is_over or self._sender) and self.connection.is_connected()

    def pause(self) -> None:
        """Let nothing more of it arrive."""
        self._carrier.pause_reading()

    def resume(self) -> None:
        """Let it arrive again."""
        self._carrier.resume_reading()

    def abort(self) -> None:
        """Drop the answer and its connection at once; a reader of ``chunks`` is told."""
        self._carrier.abort()

    async def stop_sending(self) -> None:
        """Stop the request's body where it is."""
        if self._sender is not None:
            await settle(self._sender)

    def _sent(self, sender: asyncio.Task[None]) -> None:
        if not sender.cancelled() and (error := sender.exception()) is not None:
            self.connection.abort(error)


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def settle(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and see their ends whatever those are.

    If the wait is itself cancelled, every task has been all the same.
    """
    for task in tasks:
        task.add_done_callback(_see)
        task.cancel()
    await asyncio.wait(tasks)


def _see(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
