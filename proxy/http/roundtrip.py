"""One request on one connection, and the head of its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp.http_exceptions import HttpProcessingError

from proxy.http.errors import BackendBrokenError, BackendTooSlowError
from proxy.http.headers import values
from proxy.http.stream import BROKEN, ResponseStream, settle
from proxy.http.strictness import check_answer
from proxy.http.writer import PatientWriter, PeerStalledError

if TYPE_CHECKING:
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

    from proxy.http.connection import Connection
    from proxy.http.message import Body

SWITCHING: Final = 101


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A request as it is sent, as often as it is sent.

    Attributes:
        method: Decides whether the answer has a body.
        wire: The serialised head.
        body: Streamed while the answer is awaited. An error answer stops it.
        upgrade: Protocol that it asks to switch to (RFC 9110 §7.8).
        patience: Seconds without progress: of the request being sent, of the head of its answer once it was sent, and
            within the answer's body.
    """

    method: str
    wire: bytes
    body: Body | None
    upgrade: bytes | None
    patience: float

    async def on(self, connection: Connection) -> ResponseStream:
        """Send it, and hear the head of its answer; the connection is aborted if there is none.

        Raises:
            BackendTooSlowError, BackendBrokenError: no answer came.
            Exception: whatever the body raises.
        """
        sender: asyncio.Task[None] | None = None
        try:
            connection.ask(self.wire, method=self.method, silence=self.patience)
            if self.body is not None:
                sender = asyncio.create_task(self._send(connection, self.body))
            message, content = await self._await_head(connection, sender)
            stream = ResponseStream(connection, message, content, sender)
            check_answer(message.version, stream.status, stream.reason, stream.headers)
            self._check_switch(stream)
        except BROKEN as error:
            await _give_up(connection, sender)
            raise BackendBrokenError(_what_broke(error)) from error
        except BaseException:
            await _give_up(connection, sender)
            raise
        return stream

    async def _await_head(
        self, connection: Connection, sender: asyncio.Task[None] | None
    ) -> tuple[RawResponseMessage, StreamReader]:
        """The answer's head, heard also while the body is still being sent (RFC 9112 §9.5)."""
        try:
            if sender is not None:
                return await self._await_head_meanwhile(connection, sender)
            async with asyncio.timeout(self.patience):
                return await connection.read_head()
        except TimeoutError:
            raise BackendTooSlowError(f"The backend did not answer in {self.patience:g} s.") from None

    async def _await_head_meanwhile(
        self, connection: Connection, sender: asyncio.Task[None]
    ) -> tuple[RawResponseMessage, StreamReader]:
        reading = asyncio.create_task(connection.read_head())
        try:
            await asyncio.wait({reading, sender}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                sender.result()
            async with asyncio.timeout(self.patience):
                return await reading
        finally:
            await settle(reading)

    async def _send(self, connection: Connection, body: Body) -> None:
        writer = PatientWriter(connection, asyncio.get_running_loop(), self.patience)
        if body.length is None:
            writer.enable_chunking()
        try:
            async for chunk in body.chunks:
                await writer.write(chunk)
                body.passed(len(chunk))
            await writer.write_eof()
        except PeerStalledError:
            raise BackendTooSlowError("The backend stopped taking the request.") from None
        except OSError:
            return  # it hung up: its answer, if it gave one, says why

    def _check_switch(self, stream: ResponseStream) -> None:
        """RFC 9110 §7.8: a server switches to nothing but what it was asked for."""
        if stream.status != SWITCHING:
            return
        to = [protocol.lower() for protocol in values(stream.headers, b"upgrade")]
        if self.upgrade is None or to != [self.upgrade.lower()] or not stream.connection.upgraded:
            raise BackendBrokenError("The backend switched protocols unasked.")


async def _give_up(connection: Connection, sender: asyncio.Task[None] | None) -> None:
    connection.abort()
    if sender is not None:
        await settle(sender)


def _what_broke(error: Exception) -> str:
    if isinstance(error, HttpProcessingError):
        return "The backend's answer is malformed."
    return "The backend hung up without an answer."
