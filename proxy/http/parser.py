"""Parsing what browsers send: aiohttp's C parser, and what it keeps to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp.http import HttpRequestParser, RawRequestMessage
    from aiohttp.streams import StreamReader


class RequestParser:
    """aiohttp's C parser, in front of which no error goes unheard.

    The parser forgets the body under way when it fails, and its reader waits for ever; and not
    everything it raises is an HTTP error, so the connection would die without an answer.

    Args:
        parser: aiohttp's.
        broken: Called when an error breaks off the body under way.
    """

    def __init__(self, parser: HttpRequestParser, broken: Callable[[], None]) -> None:
        self._parser = parser
        self._broken = broken
        self._body: StreamReader | None = None
        self.pause_reading = parser.pause_reading
        self.message_consumed = parser.message_consumed
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[RawRequestMessage, StreamReader]], bool, bytes]:
        """As aiohttp's.

        Raises:
            HttpProcessingError: what came is not HTTP; whoever reads the body under way is told as well.
        """
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            self._break_off()
            raise
        except Exception as error:  # yarl's IndexError for "http://[]a@", say
            self._break_off()
            raise BadHttpMessage(str(error)) from error
        if messages:
            self._body = messages[-1][1]
        return messages, upgraded, tail

    def _break_off(self) -> None:
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(RequestPayloadError("malformed"))  # the parser's own words show what it read
            self._broken()
