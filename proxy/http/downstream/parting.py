"""How a browser's connection ends: at once, when what is unsent has been taken, or when a body is at its end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from proxy.http.downstream.deadline import Deadline
from proxy.http.sockets import reset_on_close

if TYPE_CHECKING:
    from proxy.http.downstream.intake import Intake
    from proxy.http.writer import Writer

LINGER: Final = 10.0
"""Seconds in which the rest of a refused request is read and dropped, so that the refusal arrives (RFC 9112 §9.6)."""


class Parting:
    """Ends one connection.

    Args:
        writer: What goes out on it.
        intake: What comes in on it.

    Attributes:
        deadline: By when something has to happen on it.
        is_ours: Whether the proxy ends it.
        has_left: Whether the browser ended it.
    """

    __slots__ = ("_intake", "_writer", "deadline", "has_left", "is_ours")

    def __init__(self, writer: Writer, intake: Intake) -> None:
        self.deadline = Deadline()
        self.is_ours = self.has_left = False
        self._writer = writer
        self._intake = intake

    def abort(self) -> None:
        """Break it off at once: what is unsent is dropped, and the browser can tell."""
        if (transport := self._writer.transport) is not None:
            reset_on_close(transport)
            transport.abort()
            self._writer.is_open = self._writer.is_full = False

    def close(self, patience: float) -> None:
        """End it once what is unsent has been taken, or nothing was for ``patience`` seconds."""
        self.is_ours = True
        self._intake.drop()
        if (transport := self._writer.transport) is not None:
            self.deadline.set_for_progress(patience, transport.get_write_buffer_size, self.abort)
            transport.close()

    def linger(self, patience: float) -> None:
        """End it while more of a request that nobody wants may come.

        To close with bytes unread resets the connection, and the answer may be lost with it.
        """
        self.is_ours = True
        transport, is_in_body = self._writer.transport, self._intake.is_in_body
        self._intake.drop()
        if transport is None or not (transport.can_write_eof() or is_in_body):
            self.close(patience)
            return
        self.deadline.set(LINGER, self.abort)
        if transport.can_write_eof():
            with suppress(OSError):  # the browser is gone, as will be told
                transport.write_eof()

    def lost(self) -> None:
        """It is gone."""
        self.has_left |= not self.is_ours
        self.deadline.cancel()
