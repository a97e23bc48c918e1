"""One connection to the backend, on aiohttp's client protocol and C parser.

The session and its connector are left out on purpose. They repeat requests on their own (PUT and
DELETE too), follow redirects, keep cookies, decompress, add headers, and normalise the target; a
proxy has to do none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import _EXC_SENTINEL

from proxy.http.cutting import Cutter
from proxy.http.following import LAST_WORDS, Data, Ended, Framed, Unframed
from proxy.http.sockets import reset_on_close, unread_bytes

if TYPE_CHECKING:
    import asyncio

    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

BUFFER: Final = 65_536
"""Bytes of a body held before reading stops; aiohttp lets it come to twice that."""

MAX_LINE: Final = 65_536
MAX_HEADERS: Final = 256


class Connection(ResponseHandler):
    """A backend connection that carries one exchange at a time.

    Attributes:
        heard: Whether a byte of the current answer has arrived.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.heard = False
        self._cutter = Cutter()
        self._follower: Framed | None = None

    def ask(self, head: bytes, *, method: str, silence: float) -> None:
        """Send a request head and get ready to read its answer.

        Args:
            head: The request line and headers, serialised.
            method: Decides whether the answer has a body.
            silence: Longest pause in the answer's body, in seconds.

        Raises:
            ConnectionResetError: the connection is gone.
        """
        self.heard = False
        self._follower = None
        self.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=silence,
            read_bufsize=BUFFER,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the connection closed while it was idle")
        self.transport.write(head)

    async def read_head(self) -> tuple[RawResponseMessage, StreamReader]:
        """The final answer's head and its body. Interim ones (RFC 9110 §15.2) are passed over."""
        while True:
            message, body = await self.read()
            if message.code == 101 or not 100 <= message.code < 200:  # noqa: PLR2004 - the class of a status
                return message, body

    def follow(self, content: StreamReader, data: Data, ended: Ended) -> None:
        """Hand the answer's body on in the call that it arrives in, however long it takes.

        Args:
            content: The body, which nobody else reads any more.
            data: Called with every piece.
            ended: Called once, at the body's end, with what broke it off if anything did.
        """
        self.read_timeout = None
        self.start_timeout()
        self._follower = Framed(content, data, ended)
        self._hand_on()

    def hand_over(self, content: StreamReader, data: Data, ended: Ended) -> tuple[Unframed, bytes]:
        """Have a successor ``follow`` a body that lasts as long as the connection, and be done with it.

        Returns:
            The successor, and what had arrived before, which was not handed on yet.
        """
        words = b"".join(iter(content.read_nowait, b""))  # reading may have more arrive
        successor = Unframed(cast("asyncio.Transport", self.transport), data, ended)
        self._drop_timeout()
        self.transport = self._payload = self._parser = None
        return successor, words

    def _hand_on(self) -> None:
        if isinstance(self._follower, Framed):
            self._follower.hand_on()

    def data_received(self, data: bytes) -> None:
        """Parse what came, head by head, and remember that something did."""
        self.heard = self.heard or bool(data)
        for piece in self._cutter.cut(data, enough=self._is_paused):
            super().data_received(piece)
        self._hand_on()

    def spoke_unasked(self) -> bool:
        """Whether anything came behind the last answer, if only a part of another one.

        Asked of a connection that is idle: the parser is told that its input ends here.
        """
        return self.should_close or self._parser is None or self._parser.feed_eof() is not None

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the answer, after what the backend said before it hung up has been heard.

        A backend that refuses an upload answers and closes with the body unread. The reset that
        follows fails a write here, and its answer would be lost though it lies in the socket.
        """
        if exc is not None and self.transport is not None:
            words = unread_bytes(self.transport, LAST_WORDS)
            if words:
                self.data_received(words)
            self._break_off(exc)
        super().connection_lost(exc)
        self._hand_on()

    def abort(self, reason: BaseException | None = None) -> None:
        """Close at once, dropping what is unsent; whoever reads the answer gets ``reason``.

        ``close()`` would wait for a backend that reads nothing, a FIN would too, behind what it
        has not read; and aiohttp's own ``abort()`` forgets the reader, which waits for ever.
        """
        if self._follower is not None and reason is None:
            self._follower.leave()
        self._break_off(reason or ConnectionAbortedError("aborted here"))
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _EXC_SENTINEL) -> None:
        """Fail the exchange, and the body under way with it: aiohttp leaves its reader waiting."""
        self._break_off(exc)
        super().set_exception(exc, exc_cause)
        self._hand_on()

    def _is_paused(self) -> bool:
        return self._reading_paused or self._buffer_paused

    def _break_off(self, exc: BaseException) -> None:
        # A body that ends with its connection would look whole to the parser after a reset.
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(exc)
