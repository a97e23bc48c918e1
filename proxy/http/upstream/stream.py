"""A backend's answer while it arrives, as whoever asked has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proxy.http.chunks import FramingError
from proxy.http.errors import BackendBrokenError, BackendTooSlowError
from proxy.http.headers import RawHeaders, values
from proxy.http.settling import settle

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from proxy.http.heads import AnswerHead
    from proxy.http.upstream.arriving import Arriving
    from proxy.http.upstream.connection import UpstreamConnection

FIRST_ERROR: Final = 400

_OK: Final = 200

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

    Args:
        connection: What it arrives on.
        arriving: Its body.
        head: Its head.
        sender: Sends the body of its request, if that goes on by itself.

    Attributes:
        status: The status code.
        reason: The reason phrase as sent.
        headers: Every field as received, hop-by-hop ones included, without space behind its name.
        is_event_stream: Whether it may last for as long as somebody listens, as its own content type says.
    """

    __slots__ = (
        "_arriving",
        "_connection",
        "_sender",
        "_should_close",
        "_sink",
        "headers",
        "is_event_stream",
        "reason",
        "status",
    )

    def __init__(
        self,
        connection: UpstreamConnection,
        arriving: Arriving,
        head: AnswerHead,
        sender: asyncio.Task[None] | None,
    ) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers: RawHeaders = head.fields
        self.is_event_stream = self.status == _OK and _is_event_stream(head.fields)
        self._should_close = head.should_close
        self._connection = connection
        self._arriving = arriving
        self._sender = sender
        self._sink: Sink | None = None
        if sender is not None and self.status >= FIRST_ERROR:
            # RFC 9112 §9.5: whoever refuses a request does not want the rest of it.
            sender.cancel()

    @property
    def connection(self) -> UpstreamConnection:
        """What it arrives on."""
        return self._connection

    @property
    def trailers(self) -> RawHeaders:
        """The fields that came behind the body, as received; none before its end."""
        return self._arriving.decoder.trailers

    def release(self) -> UpstreamConnection | None:
        """The connection, if it may be asked again; else it is closed, or aborted if the exchange is not complete."""
        complete = self._arriving.is_complete and (self._sender is None or _succeeded(self._sender))
        if not complete:
            self._connection.abort()
            return None
        self._connection.done()
        if self._should_close:
            self._connection.close()
            return None
        return self._connection

    def arrived(self) -> bytes:
        """What waits of the body, which may be nothing."""
        return self._arriving.body.take()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, codings of content undone by nobody; all that came of one that broke off.

        Raises:
            BackendBrokenError: it broke off before its end.
            BackendTooSlowError: nothing came for ``response_timeout`` seconds.
            ProxyError: the request's body failed, and the exchange with it.
        """
        body = self._arriving.body
        try:
            while chunk := await body.read():
                yield chunk
        except TimeoutError:
            raise BackendTooSlowError("The backend stopped in the middle of its answer.") from None
        except (OSError, FramingError) as error:
            raise BackendBrokenError("The backend's answer broke off.") from error

    def follow(self, sink: Sink) -> None:
        """Hand every piece of the body from here on to ``sink``, in the call that it arrives in.

        It may be silent for any time; ``sink`` is told nothing more once the answer is aborted.
        """
        self._sink = sink
        self.headers = ()  # it may last for hours
        self._connection.follow(self._arriving, sink.data, self._ended, alone=self._sender is None)

    def _ended(self, error: BaseException | None) -> None:
        if self._sink is not None:
            broken = BackendBrokenError("The backend's answer broke off.")
            broken.__cause__ = error
            self._sink.ended(broken if error else None)

    def pause(self) -> None:
        """Let nothing more of it arrive."""
        self._connection.pause()

    def resume(self) -> None:
        """Let it arrive again."""
        self._connection.resume()

    def abort(self) -> None:
        """Drop the answer and its connection at once; a reader of ``chunks`` is told."""
        self._connection.abort()

    async def stop_sending(self) -> None:
        """Stop the request's body where it is."""
        if self._sender is not None:
            await settle(self._sender)


def _is_event_stream(fields: RawHeaders) -> bool:
    stated = values(fields, b"content-type")
    return bool(stated) and stated[0].lower().startswith(EVENT_STREAM)


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
