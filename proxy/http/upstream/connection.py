"""One connection to the backend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from proxy.http.errors import BackendBrokenError
from proxy.http.sockets import reset_on_close, unread_bytes
from proxy.http.upstream.arriving import Arriving
from proxy.http.writer import Writer

if TYPE_CHECKING:
    from proxy.http.upstream.arriving import Data, Ended, Interim

LAST_WORDS: Final = 65_536
"""Bytes looked for behind a broken connection: an error answer, not a download."""


class UpstreamConnection(asyncio.Protocol):
    """A backend connection that carries one exchange at a time.

    Attributes:
        writer: What goes out on it.
        heard: Whether a byte of the current answer has arrived.
        has_unsolicited_data: Whether anything came that nobody had asked for.
    """

    __slots__ = (
        "_arriving",
        "_heard_at",
        "_is_paused",
        "_silence",
        "_watch",
        "data_received",
        "has_unsolicited_data",
        "heard",
        "writer",
    )

    def __init__(self, patience: float) -> None:
        self.writer = Writer(patience)
        self.heard = self.has_unsolicited_data = False
        self.data_received = self._receive  # type: ignore[method-assign]  # see `follow`
        self._arriving: Arriving | None = None
        self._is_paused = False
        self._silence: float | None = None
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def transport(self) -> asyncio.Transport | None:
        """What it goes over; None before it is made, and once it is lost."""
        return self.writer.transport

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked."""
        return self.transport is not None and not self.transport.is_closing()

    # -- one exchange -----------------------------------------------------------------------------

    def ask(self, wire: bytes, method: str, interim: Interim) -> Arriving:
        """Send a request, or its beginning, and get ready for its answer.

        Raises:
            ConnectionResetError: the connection is gone.
        """
        self.heard = False
        self._arriving = Arriving(method, interim, self.update_reading)
        self.writer.write(wire)
        return self._arriving

    def limit_silence(self, seconds: float | None) -> None:
        """From now on at most so many seconds may pass in which nothing comes; None for no limit."""
        self._silence = seconds
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._heard_at = loop.time()
            self._watch = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Break off an exchange of which nothing came for too long; a pause from here is not its silence."""
        self._watch = None
        if self._silence is None or self._arriving is None:
            return
        loop = asyncio.get_running_loop()
        until = self._heard_at + self._silence
        if self._is_paused or loop.time() < until:
            self._watch = loop.call_at(max(until, loop.time() + self._silence / 4), self._look)
        else:
            self.abort(TimeoutError())

    def follow(self, arriving: Arriving, data: Data, ended: Ended, *, alone: bool) -> None:
        """Hand the body on in the call that it arrives in, however long it takes.

        Args:
            arriving: The answer.
            data: Called with every piece.
            ended: Called once, at the body's end, with what broke it off if anything did.
            alone: Whether nothing more is sent on the connection.
        """
        self.limit_silence(None)
        arriving.follow(data, ended)
        if alone and arriving.lasts_as_long_as_its_connection and self.transport is not None:
            self.data_received = data  # type: ignore[assignment,method-assign]  # nothing lies between socket and follower
            self.transport.set_protocol(self)  # uvloop keeps the method that a protocol had when it was set

    def done(self) -> None:
        """The exchange is over: what comes now was not asked for."""
        self.limit_silence(None)
        self._arriving = None

    # -- backpressure -----------------------------------------------------------------------------

    def update_reading(self) -> None:
        """Read on, or do not, as there is room for what comes."""
        if self._arriving is None or self._arriving.body.is_full is self._is_paused:
            return
        if self._is_paused:
            self.resume()
        else:
            self.pause()

    def pause(self) -> None:
        """Let nothing more arrive."""
        if not self._is_paused and self.is_connected and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Let it arrive again."""
        if self._is_paused and self.is_connected and self.transport is not None:
            self._is_paused = False
            self._heard_at = asyncio.get_running_loop().time()
            self.transport.resume_reading()

    # -- what asyncio tells it --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It may be asked."""
        self.writer.made(cast("asyncio.Transport", transport))

    def _receive(self, data: bytes) -> None:
        """Take the next bytes (``data_received``)."""
        arriving = self._arriving
        if arriving is None:
            self.has_unsolicited_data = True
            return
        self.heard = True
        if self._watch is not None and arriving.has_begun:  # interim answers are no progress
            self._heard_at = asyncio.get_running_loop().time()
        try:
            arriving.feed(data)
        except BackendBrokenError as error:
            arriving.end(error)
            self.abort(error)

    def pause_writing(self) -> None:
        """The backend takes no more for now."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """It takes more."""
        self.writer.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the answer, after what the backend said before it hung up has been heard.

        A backend that refuses an upload answers and closes with the body unread. The reset that
        follows fails a write here, and its answer would be lost though it lies in the socket.
        """
        transport = self.transport
        self.writer.lost()
        if self._watch is not None:
            self._watch.cancel()
        if self._arriving is None:
            return
        if exc is None:
            self._arriving.eof()
            return
        if transport is not None and (words := unread_bytes(transport, LAST_WORDS)):
            self.data_received(words)
        if self._arriving is not None:
            self._arriving.end(exc)

    def abort(self, reason: BaseException | None = None) -> None:
        """Close at once, dropping what is unsent; whoever reads the answer gets ``reason``.

        ``close()`` would wait for a backend that reads nothing, and a FIN would too, behind what it has not read.

        Args:
            reason: None for whoever has left: a follower is told nothing.
        """
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            if reason is None:
                arriving.leave()
            arriving.end(reason or ConnectionAbortedError("aborted here"))
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def close(self) -> None:
        """Close it, once what was sent has been taken."""
        self.limit_silence(None)
        if self.transport is not None:
            self.transport.close()
