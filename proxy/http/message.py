"""A request and an answer as plain data: what the rest of the proxy passes around."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from proxy.http.headers import RawHeaders, with_content_length

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proxy.http.room import Held

PIECE: Final = 1 << 18
"""Bytes of a body that are sent in one go."""

CONTINUE: Final = b"100-continue"
"""What ``Expect`` says of a browser that sends its body once it is told to (RFC 9110 §10.1.1)."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body, in end-to-end terms.

    Attributes:
        method: As received; methods are case-sensitive.
        target: Origin-form or ``*``, byte for byte.
        headers: End-to-end fields only; framing is added by whoever sends it.
    """

    method: str
    target: bytes
    headers: RawHeaders = ()


def _no_trailers() -> RawHeaders:
    return ()


@dataclass(frozen=True, slots=True)
class Body:
    """A request body under way.

    Attributes:
        length: In bytes; None sends it chunked.
        chunks: Its pieces. Whatever they raise ends the request.
        held: What of it counts against the room for bodies; None for one that came from no browser.
        is_whole: Whether all of it is at hand, so that whoever sends it waits for nobody.
        trailers: Says which fields came behind it, once it has come.
        expectation: Who waits to be told that it may come; None if nobody does.
    """

    length: int | None
    chunks: AsyncIterator[bytes]
    held: Held | None = None
    is_whole: bool = False
    trailers: Callable[[], RawHeaders] = _no_trailers
    expectation: Expectation | None = None

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A body that is at hand in whole."""
        return cls(len(data), _pieces(data), is_whole=True)

    async def begun(self, size: int) -> Body:
        """The same body, once ``size`` bytes of it have come, or all.

        Raises:
            Exception: whatever its pieces raise.
        """
        if self.is_whole:
            return self
        come = bytearray()
        async for chunk in self.chunks:
            come += chunk
            if len(come) >= size:
                return replace(self, chunks=resumed(bytes(come), self.chunks), is_whole=len(come) == self.length)
        return replace(self, chunks=_pieces(bytes(come)), is_whole=True)

    def passed(self, count: int) -> None:
        """So many bytes of it have gone on."""
        if self.held is not None:
            self.held.shrink(count)


class Expectation:
    """A browser that sends its body once it is told to (RFC 9110 §10.1.1).

    Args:
        tell: Tells it.
    """

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    @property
    def is_open(self) -> bool:
        """Whether nobody has told it yet, or will."""
        return self._tell is not None

    def meet(self) -> None:
        """Tell it, unless that is done or somebody else's to do."""
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell()

    def leave_to_backend(self) -> None:
        """The backend is told of it, and tells it."""
        self._tell = None


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    """Small ones: what a transport is given at once, it copies."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


async def resumed(held: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What has come of a body, and then what is still to come."""
    yield held
    async for chunk in rest:
        yield chunk


@dataclass(frozen=True, slots=True)
class Answer:
    """A response in whole.

    Attributes:
        status: The status code.
        reason: The reason phrase, which may be empty.
        headers: End-to-end fields only.
        body: As sent: content codings are not undone.
    """

    status: int
    reason: bytes
    headers: RawHeaders
    body: bytes

    def with_body(self, body: bytes) -> Answer:
        """The same answer saying something else, with its ``Content-Length`` put right."""
        return replace(self, body=body, headers=with_content_length(self.headers, len(body)))
