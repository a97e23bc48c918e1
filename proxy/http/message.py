"""A request and an answer as plain data: what the rest of the proxy passes around."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy.http.headers import RawHeaders, with_content_length

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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


@dataclass(frozen=True, slots=True)
class Body:
    """A request body under way.

    Attributes:
        length: In bytes; None sends it chunked.
        chunks: Its pieces. Whatever they raise ends the request.
    """

    length: int | None
    chunks: AsyncIterator[bytes]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A body that is at hand in whole."""
        return cls(len(data), _one(data))


async def _one(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


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
