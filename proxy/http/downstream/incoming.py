"""The body of a request while it comes: with a limit on patience, and counted in the room for bodies."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING

from proxy.http.chunks import FramingError
from proxy.http.errors import BadRequestError, RequestTimeoutError
from proxy.http.inflow import Inflow
from proxy.http.message import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proxy.http.downstream.rules import Rules
    from proxy.http.errors import ProxyError
    from proxy.http.framing import Decoder
    from proxy.http.headers import RawHeaders
    from proxy.http.message import Expectation
    from proxy.http.pace import Pace
    from proxy.http.room import Held, Room


class Incoming:
    """One body.

    Args:
        decoder: Finds it in the connection's bytes.
        rules: How long it is waited for.
        pace: Told of the waits for it.
        changed: Called when the connection may have to be paused or resumed.

    Attributes:
        held: Its part of the room, once somebody has taken it.
    """

    __slots__ = ("_decoder", "_expectation", "_inflow", "_pace", "_rules", "held")

    def __init__(self, decoder: Decoder, rules: Rules, pace: Pace, changed: Callable[[], None]) -> None:
        self.held: Held | None = None
        self._decoder = decoder
        self._rules = rules
        self._pace = pace
        self._inflow = Inflow(changed)
        self._expectation: Expectation | None = None

    @property
    def has_come(self) -> bool:
        """Whether all of it has."""
        return self._decoder.is_done

    @property
    def is_full(self) -> bool:
        """Whether enough of it waits for the connection to be read no further."""
        return self._inflow.is_full

    @property
    def received(self) -> int:
        """Bytes of it that have come."""
        return self._inflow.total

    # -- what the connection brings ---------------------------------------------------------------

    def feed(self, data: bytes) -> bytes | None:
        """Take the connection's next bytes; what is behind the body, or None while it is not whole.

        Raises:
            BadRequestError: it is malformed; whoever reads it is told as well.
        """
        try:
            if content := self._decoder.feed(data):
                self._inflow.feed(content)
        except FramingError as error:
            malformed = BadRequestError("The request's body is malformed.")
            self.give_way(malformed)
            raise malformed from error
        if not self._decoder.is_done:
            return None
        self._inflow.end()
        return self._decoder.rest

    def drop(self, data: bytes) -> bool:
        """Take the next bytes of a body that nobody wants; whether that was the last of it."""
        self._inflow.take()
        try:
            self._decoder.feed(data)
        except FramingError:
            return True
        return self._decoder.is_done

    def give_way(self, error: ProxyError) -> None:
        """Wait for no more of it: whoever reads it gets ``error``."""
        self._inflow.fail(error)

    # -- what the handler takes -------------------------------------------------------------------

    def body(
        self,
        length: int | None,
        room: Room,
        expectation: Expectation | None,
        passed: Callable[[RawHeaders], RawHeaders],
    ) -> Body:
        """It, to be read. May be taken once.

        Args:
            length: In bytes, if its head states it.
            room: Where its bytes count until they have gone on.
            expectation: Of a browser that waits to be told to send it; nothing, if it does not.
            passed: Says which of its trailers go on.
        """
        self.held = room.held(self.give_way)
        self._expectation = None if self._inflow.total else expectation
        return Body(
            length,
            self._chunks(self.held),
            self.held,
            trailers=lambda: passed(self._decoder.trailers),
            expectation=self._expectation,
        )

    async def _chunks(self, held: Held) -> AsyncIterator[bytes]:
        """The body as it comes: waiting for it spends seconds, of which every byte earns some back.

        Raises:
            RequestTimeoutError, BadRequestError: it did not arrive.
            NoCapacityError: nothing more can be held, or others wait.
        """
        if self._expectation is not None:
            self._expectation.meet()
        time, left = asyncio.get_running_loop().time, self._rules.patience
        while True:
            asked = time()
            chunk = await self._next(left)
            if not chunk:
                held.complete()
                return
            held.grow(len(chunk))
            self._pace.moved(len(chunk))
            left = min(left + asked - time() + len(chunk) / self._rules.body_rate, self._rules.patience)
            yield chunk

    async def _next(self, within: float) -> bytes:
        if self._inflow.error is not None:
            raise copy(self._inflow.error)  # as `Inflow.read`, but before what waits
        if self._inflow.size or self._inflow.is_ended:
            return await self._inflow.read()
        expiry = asyncio.get_running_loop().call_later(max(within, 0.0), self.give_way, _late())
        try:
            with self._pace.waiting():
                return await self._inflow.read()
        finally:
            expiry.cancel()


def _late() -> RequestTimeoutError:
    return RequestTimeoutError("The request's body arrives too slowly, or not at all.")
