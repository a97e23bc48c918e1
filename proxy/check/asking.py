"""Asking a backend one question at a time, and never for long."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from proxy.hermes.contract import EVENT_STREAM
from proxy.hermes.probe import Heard, Question
from proxy.http.errors import BackendTooSlowError
from proxy.http.forward import hold
from proxy.http.headers import RawHeaders, values
from proxy.http.message import Body, RequestHead
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.stream import ResponseStream
from proxy.http.upstream.upstream import Upstream

LIMIT = 6.0
"""Longest that one answer may take."""

PROMPT = 3.0
"""Longest that is waited for the first bytes of an event stream; Hermes sends them at once."""

LARGEST = 1 << 20
"""Most bytes of an answer that are read; those asked for here are of a few hundred."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how it arrived.

    Attributes:
        heard: The answer itself.
        headers: Its fields.
        peer: IP address of who answered; empty for a Unix socket.
        seconds: Since it was asked until its body was whole, or an event stream's first bytes came; None if none did.
        at: When its head came, in seconds since the epoch.
    """

    heard: Heard
    headers: RawHeaders
    peer: str
    seconds: float | None
    at: float

    def field(self, name: str) -> str:
        """The field of that name, given in lower case; empty if there is none."""
        return b", ".join(values(self.headers, name.encode())).decode("latin-1")


class Asker:
    """Asks questions as one caller.

    Args:
        upstream: The backend.
        caller: Fields that every question carries, such as a cookie.
    """

    def __init__(self, upstream: Upstream, caller: RawHeaders = ()) -> None:
        self._upstream = upstream
        self._caller = caller

    async def ask(self, question: Question, extra: RawHeaders = ()) -> Reply:
        """The answer to a question; of an event stream, what it says first.

        Raises:
            ProxyError: there was none in time.
        """
        sent = (*self._caller, *extra)
        if question.body is not None:
            sent += ((b"Content-Type", b"application/json"),)
        head = RequestHead(question.method, question.target.encode(), sent)
        body = None if question.body is None else Body.of(question.body)
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT), self._upstream.request(head, Lane.CONTROL, body=body) as stream:
                return await _read(stream, began)
        except TimeoutError:
            raise BackendTooSlowError(f"The backend did not answer in {LIMIT:g} s.") from None


async def _read(stream: ResponseStream, began: float) -> Reply:
    at, peer = time.time(), _peer(stream)
    is_stream = b"".join(values(stream.headers, b"content-type")).lower().startswith(EVENT_STREAM.encode())
    body = await _first(stream) if is_stream else await hold(stream, LARGEST)
    seconds = None if is_stream and not body else time.monotonic() - began
    return Reply(Heard(stream.status, is_stream, body), stream.headers, peer, seconds, at)


async def _first(stream: ResponseStream) -> bytes:
    with suppress(TimeoutError):
        async with asyncio.timeout(PROMPT):
            return await anext(stream.chunks(), b"")
    return b""


def _peer(stream: ResponseStream) -> str:
    transport = stream.connection.transport
    name = transport.get_extra_info("peername") if transport is not None else None
    return str(name[0]) if isinstance(name, tuple) else ""
