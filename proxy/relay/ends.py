"""The two ends of a relay, and why it ends."""

from enum import Enum
from typing import NamedTuple, Protocol

from proxy.http.downstream.response import Response
from proxy.http.upstream.stream import Sink


class Piece(NamedTuple):
    """Bytes on their way to browsers that were looked at.

    Attributes:
        data: They.
        events: The names of the events that end in them.
        passed: How many events were passed on since the last piece, these among them.
        once: Whether only one of several browsers is sent them.
    """

    data: bytes
    events: tuple[str, ...] = ()
    passed: int = 0
    once: bool = False


class Upstream(Protocol):
    """An answer that arrives in pieces, as `proxy.http.upstream.stream.ResponseStream`."""

    def follow(self, sink: Sink, /) -> None:
        """Hands every piece from here on to `sink`, in the call that it arrives in."""

    def pause(self) -> None:
        """Lets nothing more arrive."""

    def resume(self) -> None:
        """Lets it arrive again."""

    def abort(self) -> None:
        """Closes its connection at once; nothing more arrives."""


class Browser(Protocol):
    """A browser, as `proxy.http.downstream.response.Response`."""

    @property
    def is_full(self) -> bool:
        """Whether more has been sent than the browser takes for now (backpressure)."""

    def send(self, chunk: bytes, /) -> bool:
        """Sends a piece, without waiting; whether more is taken at once.

        Raises:
            ConnectionError: the browser is gone.
        """

    async def drain(self) -> None:
        """Waits until it is not full any more.

        Raises:
            ConnectionError: the browser is gone, or took nothing for too long.
        """


class Downstream(Browser, Protocol):
    """Whoever reads an upstream: one browser, or the log that all browsers of a turn follow."""

    def give(self, piece: Piece, /) -> None:
        """Sends what was looked at, without waiting; `send` is for what nobody looked at.

        Raises:
            ConnectionError: the browser is gone.
        """


class Over(Enum):
    """Why a relay ended."""

    TERMINAL = "terminal event"
    OVERDUE = "no terminal event in time"
    EOF = "the backend closed it"
    BROKEN = "the backend broke off"
    IDLE = "silence"
    DRAINED = "the proxy ends"
    LEFT = "the browser left"
    FAILED = "internal error"


OUR_DOING = frozenset({Over.OVERDUE, Over.IDLE, Over.DRAINED, Over.FAILED})
"""Ends of a relay that the backend had no part in."""


class Direct:
    """One browser that is sent all of an upstream, without a log between them.

    Args:
        response: What it is sent in.
    """

    __slots__ = ("_response", "drain", "send")

    def __init__(self, response: Response) -> None:
        self._response = response
        self.send = response.send
        self.drain = response.drain

    @property
    def is_full(self) -> bool:
        """See `Browser`."""
        return self._response.is_full

    def give(self, piece: Piece) -> None:
        """See `Downstream`."""
        self._response.send(piece.data)
