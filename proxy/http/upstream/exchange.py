"""One request to the backend and its answer, on one slot of a lane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from proxy.http.account import asker, asking
from proxy.http.upstream.lanes import Lane

if TYPE_CHECKING:
    from proxy.http.heads import AnswerHead
    from proxy.http.message import Body, RequestHead
    from proxy.http.upstream.arriving import Interim
    from proxy.http.upstream.slots import Holder
    from proxy.http.upstream.stream import ResponseStream
    from proxy.http.upstream.upstream import Upstream

BEGUN: Final = 65_536
"""Bytes of a body that have come before a slot is taken for it, unless it is shorter."""


def ignored(_interim: AnswerHead) -> None:
    """Interim answers are passed over."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked; see `Upstream.request`."""

    head: RequestHead
    body: Body | None
    upgrade: bytes | None
    interim: Interim


class Exchange:
    """One request and its answer, as a context.

    Not a generator: that would keep its frame, and what was asked, for as long as the answer lasts, which may be hours.
    """

    __slots__ = ("_asked", "_is_ahead", "_lane", "_shares", "_stream", "_upstream", "_who")

    _stream: ResponseStream

    def __init__(self, upstream: Upstream, lane: Lane, asked: Asked, *, shares: bool) -> None:
        self._upstream = upstream
        self._lane = lane
        self._asked = asked
        self._shares = shares
        self._is_ahead = False
        self._who: Holder | None = asker()

    async def __aenter__(self) -> ResponseStream:
        """See `open`."""
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        """See `close`."""
        await self.close()

    async def open(self) -> ResponseStream:
        """The answer, which is to be closed. Raises as ``Upstream.request`` says."""
        expects = self._goes_ahead()
        if not expects:
            await self._await_body()
            await self._upstream.lanes.take(self._lane, self._who)
        ask = self._upstream.ask_shared if self._shares else self._upstream.ask_fresh
        try:
            with asking():
                self._stream = await ask(self._upstream.trip(self._asked, shares=self._shares, expects=expects))
            del self._asked
            if self._stream.is_event_stream:
                await self._change_lane()
        except BaseException:
            self._give_back()
            raise
        return self._stream

    def hand_over(self, holder: Holder) -> None:
        """Its slot is held for another than who asked, from now on."""
        self._upstream.lanes.hand_over(self._lane, self._who, holder)
        self._who = holder

    def _goes_ahead(self) -> bool:
        """Whether the head goes out before the body, as the browser waits to be told to send it.

        Then the backend says so, or refuses the request before the body was sent for nothing. The slot is one of
        ``CALLS``, of which few are given so, and which a browser that does not send loses while others wait; without a
        free one, it is told from here.
        """
        expectation = self._asked.body.expectation if self._asked.body is not None else None
        if expectation is None or not expectation.is_open or self._asked.interim is ignored:
            return False
        if self._upstream.ahead >= self._upstream.most_ahead:
            return False
        if not self._upstream.lanes.take_at_once(Lane.CALLS, self._who):
            return False
        self._lane, self._is_ahead = Lane.CALLS, True
        self._upstream.ahead += 1
        expectation.leave_to_backend()
        return True

    def _give_back(self) -> None:
        self._upstream.ahead -= self._is_ahead
        self._is_ahead = False
        self._upstream.lanes.give_back(self._lane, self._who)

    async def _await_body(self) -> None:
        """Have something to send before a slot is taken; a body that is still to come never goes by ``CONTROL``.

        Whoever announces a body and does not send it would otherwise hold the slot.
        """
        if self._asked.body is None:
            return
        body = await self._asked.body.begun(BEGUN)
        self._asked = replace(self._asked, body=body)
        if self._lane is Lane.CONTROL and not body.is_whole:
            self._lane = Lane.CALLS

    async def _change_lane(self) -> None:
        """Hold a slot of ``RELAYS`` for what may last for hours, whatever it was asked as."""
        if self._lane is Lane.RELAYS:
            return
        try:
            await self._upstream.lanes.take(Lane.RELAYS, self._who)
        except BaseException:
            self._stream.abort()
            await self._stream.stop_sending()
            raise
        self._upstream.lanes.give_back(self._lane, self._who)
        self._lane = Lane.RELAYS

    async def close(self) -> None:
        """Be done with it, wherever it is."""
        try:
            # First the connection, then the wait: the wait may be cancelled.
            self._upstream.take_back(self._stream, shares=self._shares)
            await self._stream.stop_sending()
        finally:
            self._give_back()
