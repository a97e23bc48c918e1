"""Parsing the fields of a head, or of a trailer section, by aiohttp's C parser (llhttp). Pure.

One parser reads one section and no body: it drops trailers, and takes the last field of a trailer section for the first
one of the next request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from aiohttp.http import HttpRequestParser, HttpResponseParser, RawRequestMessage, RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from proxy.http.headers import Fields

if TYPE_CHECKING:
    from aiohttp.http import HttpParser

Message = TypeVar("Message", RawRequestMessage, RawResponseMessage)

LINE: Final = 65_536
"""The longest line Hermes reads, in bytes with its CRLF (``http.server``, ``http.client``)."""

MAX_FIELD: Final = LINE - len(b": \r\n")

MAX_HEADERS: Final = 100
"""As many header lines as Hermes reads (``http.client._MAXHEADERS``)."""

MAX_ANSWER_HEADERS: Final = 256

MAX_HEAD: Final = 1 << 18
"""Bytes of a head, or of a trailer section, with all its fields."""

_END: Final = re.compile(rb"\n\r?\n")
"""The empty line behind the fields. Only of an answer does the parser take one without its CR."""

_TWO_READINGS: Final = re.compile(rb"\n[ \t]+\r?\n|\r(?!\n)")
"""A line of nothing but space, and a CR within a line: the lenient parser may take either for the end."""


class HeadTooLongError(BadHttpMessage):
    """A head, or a trailer section, is over ``MAX_HEAD`` bytes."""

    def __init__(self) -> None:
        super().__init__("too long")


class FieldSection(Generic[Message]):
    """One head as aiohttp's parser reads it, in however many pieces it comes.

    Args:
        parser: That has read nothing yet.
        start: A start line that it is shown in place of one from the connection.
    """

    __slots__ = ("_before", "_line", "_message", "_parser", "_size", "_start")

    def __init__(self, parser: HttpParser[Message], start: bytes = b"") -> None:
        self._parser: HttpParser[Message] = parser
        self._start = start  # until the parser has been shown it
        self._before = start[-1:]  # the line end before what comes
        self._line = b""  # which is not whole yet
        self._size = 0
        self._message: Message | None = None

    @property
    def message(self) -> Message:
        """What the parser made of it, once it is whole."""
        if self._message is None:
            raise ValueError("the head is not whole")
        return self._message

    @property
    def fields(self) -> Fields:
        """Its fields, without the space that may stand behind a name or a value (RFC 9112 §5.1)."""
        return Fields.of(self.message.raw_headers)

    def feed(self, data: bytes) -> bytes | None:
        """Read the next bytes of the connection.

        Returns:
            What is behind the head, which may be nothing; None while the head is not whole.

        Raises:
            HttpProcessingError: it is malformed.
        """
        data = self._line + data
        while self._message is None and (end := self._whole_lines(data)):
            self._read(data[:end])
            data = data[end:]
        if self._message is not None:
            return data
        self._keep(data)
        return None

    def _whole_lines(self, data: bytes) -> int:
        """Bytes of ``data`` that the parser may read: up to the first empty line, or else all whole lines."""
        found = _END.search(self._before + data)
        return found.end() - len(self._before) if found else data.rfind(b"\n") + 1

    def _read(self, lines: bytes) -> None:
        self._size += len(lines)
        if self._size > MAX_HEAD:
            raise HeadTooLongError
        text = self._before + lines
        if _TWO_READINGS.search(text):
            raise BadHttpMessage("a line has two readings")
        messages, _, _ = self._parser.feed_data(self._start + lines)
        self._start, self._before = b"", b"\n"
        if messages:
            if not text.endswith((b"\n\r\n", b"\n\n")):
                raise BadHttpMessage("the head ends within a line")
            self._message = messages[0][0]

    def _keep(self, line: bytes) -> None:
        if len(line) > LINE:
            raise LineTooLong(b"", LINE)
        self._line = line


def request_section(start: bytes) -> FieldSection[RawRequestMessage]:
    """Reads the fields of a request, strictly."""
    parser = HttpRequestParser(
        None,  # no body is read, so nothing is paused
        None,  # nor waits
        LINE,
        max_field_size=MAX_FIELD,
        max_headers=MAX_HEADERS,
        response_with_body=False,
        auto_decompress=False,
    )
    return FieldSection(parser, start)


def answer_section(start: bytes = b"") -> FieldSection[RawResponseMessage]:
    """Reads the fields of an answer, leniently; its status line too, unless it is given one."""
    parser = HttpResponseParser(
        None,  # as above
        None,  # as above
        LINE,
        max_line_size=LINE,
        max_field_size=MAX_FIELD,
        max_headers=MAX_ANSWER_HEADERS,
        response_with_body=False,
        auto_decompress=False,
    )
    return FieldSection(parser, start)
