"""One request on one connection, and the head of its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.http.chunks import FramingError, chunk_of, last_chunk
from proxy.http.errors import BackendBrokenError, BackendTooSlowError
from proxy.http.framing import SWITCHING
from proxy.http.headers import values
from proxy.http.settling import settle
from proxy.http.upstream.stream import ResponseStream
from proxy.http.writer import PeerStalledError

if TYPE_CHECKING:
    from proxy.http.heads import AnswerHead
    from proxy.http.message import Body
    from proxy.http.upstream.arriving import Interim
    from proxy.http.upstream.connection import UpstreamConnection


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A request as it is sent, as often as it is sent.

    Attributes:
        method: Decides whether the answer has a body.
        wire: The serialised head, and the body if that is short and at hand.
        body: Streamed while the answer is awaited. An error answer stops it.
        upgrade: Protocol that it asks to switch to (RFC 9110 §7.8).
        patience: Seconds without progress: of the request being sent, of the head of its answer once it was sent, and
            within the answer's body.
        interim: Told of interim answers (RFC 9110 §15.2).
    """

    method: str
    wire: bytes
    body: Body | None
    upgrade: bytes | None
    patience: float
    interim: Interim

    async def on(self, connection: UpstreamConnection) -> ResponseStream:
        """Send it, and hear the head of its answer; the connection is aborted if there is none.

        Raises:
            BackendTooSlowError, BackendBrokenError: no answer came.
            Exception: whatever the body raises.
        """
        sender: asyncio.Task[None] | None = None
        try:
            arriving = connection.ask(self.wire, self.method, self.interim)
            if self.body is None:
                connection.limit_silence(self.patience)
            else:
                sender = self._start_sending(connection, self.body)
            head = await arriving.head()
            self._check_switch(head)
            if sender is not None:
                connection.limit_silence(self.patience)
        except TimeoutError:
            await _give_up(connection, sender)
            raise BackendTooSlowError(f"The backend did not answer in {self.patience:g} s.") from None
        except (OSError, FramingError) as error:
            await _give_up(connection, sender)
            raise BackendBrokenError("The backend hung up without an answer.") from error
        except BaseException:
            await _give_up(connection, sender)
            raise
        return ResponseStream(connection, arriving, head, sender)

    def _start_sending(self, connection: UpstreamConnection, body: Body) -> asyncio.Task[None]:
        def sent(sender: asyncio.Task[None]) -> None:
            if sender.cancelled():
                return
            if (error := sender.exception()) is not None:
                connection.abort(error)
            else:
                connection.limit_silence(self.patience)

        sender = asyncio.get_running_loop().create_task(_send(connection, body))
        sender.add_done_callback(sent)
        return sender

    def _check_switch(self, head: AnswerHead) -> None:
        """RFC 9110 §7.8: a server switches to nothing but what it was asked for.

        Raises:
            BackendBrokenError: it did.
        """
        if head.status != SWITCHING:
            return
        to = [protocol.lower() for protocol in values(head.fields, b"upgrade")]
        if self.upgrade is None or to != [self.upgrade.lower()] or not head.upgrades:
            raise BackendBrokenError("The backend switched protocols unasked.")


async def _send(connection: UpstreamConnection, body: Body) -> None:
    """Send a body while its answer is awaited, which may come first (RFC 9112 §9.5)."""
    writer = connection.writer
    try:
        async for chunk in body.chunks:
            writer.write(chunk if body.length is not None else chunk_of(chunk))
            if writer.is_full:
                await writer.drain()
            body.passed(len(chunk))
        if body.length is None:
            writer.write(last_chunk(body.trailers()))
    except PeerStalledError:
        raise BackendTooSlowError("The backend stopped taking the request.") from None
    except OSError:
        return  # it hung up: its answer, if it gave one, says why


async def _give_up(connection: UpstreamConnection, sender: asyncio.Task[None] | None) -> None:
    connection.abort()
    if sender is not None:
        await settle(sender)
