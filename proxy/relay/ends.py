"""The two ends of a relay, and why it ends."""

from enum import Enum
from typing import Protocol

from proxy.http.upstream.stream import Sink


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
    """Whoever reads it, as `proxy.http.downstream.response.Response`."""

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
