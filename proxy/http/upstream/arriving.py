"""An answer while it arrives: interim ones first, then its head, then its body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.http.chunks import FramingError
from proxy.http.errors import BackendBrokenError
from proxy.http.framing import SWITCHING, UntilClose, answer_body
from proxy.http.heads import AnswerParser
from proxy.http.inflow import Inflow
from proxy.http.strictness import check_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.framing import Decoder
    from proxy.http.heads import AnswerHead

    Data = Callable[[bytes], None]
    Ended = Callable[[BaseException | None], None]
    Interim = Callable[[AnswerHead], None]

_FIRST_FINAL: Final = 200


class Arriving:
    """One answer.

    Args:
        method: Of the request, which decides whether there is a body.
        interim: Told of interim answers (RFC 9110 §15.2).
        changed: Called when the connection may have to be paused or resumed.

    Attributes:
        has_begun: Whether the head of the final answer has come.
        body: What of its body waits to be read.
    """

    __slots__ = ("_awaited", "_data", "_decoder", "_ended", "_interim", "_method", "_parser", "body", "has_begun")

    def __init__(self, method: str, interim: Interim, changed: Callable[[], None]) -> None:
        self.has_begun = False
        self._awaited: asyncio.Future[AnswerHead] | None = asyncio.get_running_loop().create_future()
        self.body = Inflow(changed)
        self._method = method
        self._interim = interim
        self._parser: AnswerParser | None = AnswerParser()
        self._decoder: Decoder | None = None
        self._data: Data = self.body.feed
        self._ended: Ended | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all of it has come, and nothing behind it."""
        decoder = self._decoder
        return self.body.is_complete and decoder is not None and decoder.is_done and not decoder.rest

    @property
    def lasts_as_long_as_its_connection(self) -> bool:
        """Whether its body has no other end (RFC 9112 §6.3), nor any by now."""
        return isinstance(self._decoder, UntilClose) and not self.body.is_ended

    @property
    def decoder(self) -> Decoder:
        """What reads its body, once its head has come."""
        if self._decoder is None:
            raise ValueError("the head has not come")
        return self._decoder

    async def head(self) -> AnswerHead:
        """The head of the final answer, once it has come. May be taken once: the body may last for hours.

        Raises:
            BaseException: what broke the answer off before.
        """
        if self._awaited is None:
            raise ValueError("the head was taken")
        try:
            return await self._awaited
        finally:
            self._awaited = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection.

        Raises:
            BackendBrokenError: they are malformed.
        """
        while self._parser is not None:
            rest = self._parser.feed(data)
            if rest is None or self._parser.head is None:
                return
            data = rest
            self._take_head(self._parser.head)
        self._take_body(data)

    def _take_head(self, head: AnswerHead) -> None:
        check_answer(head.version, head.status, head.reason, head.fields)
        if head.status < _FIRST_FINAL and head.status != SWITCHING:
            self._parser = AnswerParser()
            self._interim(head)
            return
        self._parser = None
        self._interim = _ignored
        self.has_begun = True
        self._decoder = answer_body(self._method, head.status, head.fields)
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(head)
        if self._decoder.is_done:
            self.end(None)

    def _take_body(self, data: bytes) -> None:
        decoder = self.decoder
        if not data:
            return
        was_done = decoder.is_done
        try:
            content = decoder.feed(data)
        except FramingError as error:
            if error.content:
                self._data(error.content)
            raise BackendBrokenError("The backend's answer broke off.") from error
        if content:
            self._data(content)
        if decoder.is_done and not was_done:
            self.end(None)

    def eof(self) -> None:
        """The connection has ended in an orderly way, which may be the body's end."""
        if self._decoder is None:
            self.end(FramingError("the connection ended before the head came"))
            return
        try:
            self._decoder.feed_eof()
        except FramingError as error:
            self.end(error)
        else:
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Nothing more comes: all has, or what broke it off did; the first end counts."""
        awaited = self._awaited
        if awaited is not None and not awaited.done() and error is not None:
            awaited.set_exception(error)
            awaited.exception()  # whoever waited for it may have left
        if self.body.is_ended:
            return
        if error is None:
            self.body.end()
        else:
            self.body.fail(error)
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(error)

    def follow(self, data: Data, ended: Ended) -> None:
        """Hand the body on in the call that it arrives in, beginning with what waits.

        Args:
            data: Called with every piece.
            ended: Called once, at the body's end, with what broke it off if anything did.
        """
        self._data, self._ended = data, ended
        if waiting := self.body.take():
            data(waiting)
        if self.body.is_ended and self._ended is not None:
            self._ended = None
            ended(self.body.error)

    def leave(self) -> None:
        """Hand on nothing more, and tell of no end."""
        self._data, self._ended = _nothing, None


def _nothing(_data: bytes) -> None:
    pass


def _ignored(_head: AnswerHead) -> None:
    pass
