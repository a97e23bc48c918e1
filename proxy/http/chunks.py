"""Bodies in chunks (RFC 9112 §7.1): reading and writing them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp.http import HttpProcessingError

from proxy.http.fieldsection import MAX_HEAD, answer_section, request_section
from proxy.http.headers import serialize_fields

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage, RawResponseMessage

    from proxy.http.fieldsection import FieldSection
    from proxy.http.headers import RawHeaders

MAX_LINE: Final = MAX_HEAD
"""Bytes of one chunk-size line, with its extensions."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*"'
_EXTENSIONS: Final = rb"(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*"

_SIZE: Final = re.compile(rb"0*([0-9A-Fa-f]{1,16})" + _EXTENSIONS + rb"\r\n")
"""A chunk-size line: up to 64 bits, and extensions, which are about one connection and end here."""

_LENIENT_SIZE: Final = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*" + _EXTENSIONS + rb"\r\n")
"""The same with space behind the size, as some servers pad it."""

_BEGUN: Final = re.compile(rb"[0-9A-Fa-f]+(?:[ \t;\r][^\n]*)?")
"""How such a line may begin."""

_SPACE: Final = (b" ", b"\t")
"""What no first field may stand behind (RFC 9112 §2.2); the lenient parser takes it behind a status line."""

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class FramingError(ValueError):
    """A body that is malformed, or ends before its end.

    Attributes:
        content: What of it came in the same bytes, before that.
    """

    content = b""


class Chunked:
    """Finds the content of a chunked body in the bytes of a connection; see `proxy.http.framing.Decoder`.

    Args:
        lenient: Whether space behind a size, and a bare LF behind the data, are tolerated: as a server sends them.
    """

    __slots__ = ("_is_behind_data", "_left", "_lenient", "_line", "_section", "is_done", "rest", "trailers")

    def __init__(self, *, lenient: bool = False) -> None:
        self.is_done = False
        self.rest = b""
        self.trailers: RawHeaders = ()
        self._lenient = lenient
        self._line = b""  # of a chunk's size, or the end of its data, as far as it has come
        self._left = 0
        self._is_behind_data = False
        self._section: _Trailers | None = None

    def feed(self, data: bytes) -> bytes:
        """The content in the next bytes of the connection.

        Raises:
            FramingError: they are malformed.
        """
        content: list[bytes] = []
        try:
            while data and not self.is_done:
                data = self._step(data, content)
        except FramingError as error:
            error.content = b"".join(content)
            raise
        self.rest += data
        return content[0] if len(content) == 1 else b"".join(content)

    def feed_eof(self) -> None:
        """The connection has ended.

        Raises:
            FramingError: the body has not.
        """
        if not self.is_done:
            raise FramingError("the connection ended before the body did")

    def _step(self, data: bytes, content: list[bytes]) -> bytes:
        """Take what comes next: data, the line end behind it, a size line, or the trailer section."""
        if self._left:
            return self._take_data(data, content)
        if self._section is not None:
            return self._take_trailers(self._section, data)
        if self._is_behind_data:
            return self._take_line_end(data)
        return self._take_size(data)

    def _take_data(self, data: bytes, content: list[bytes]) -> bytes:
        taken = data[: self._left]
        content.append(taken)
        self._left -= len(taken)
        self._is_behind_data = True
        return data[len(taken) :]

    def _take_line_end(self, data: bytes) -> bytes:
        line = self._line + data[: 2 - len(self._line)]
        if line == b"\r\n" or (self._lenient and line[:1] == b"\n"):
            taken = line.index(b"\n") + 1 - len(self._line)
            self._line, self._is_behind_data = b"", False
            return data[taken:]
        if line != b"\r":
            raise FramingError("no line end behind a chunk")
        self._line = line
        return b""

    def _take_size(self, data: bytes) -> bytes:
        end = data.find(b"\n") + 1
        line = self._line + (data[:end] if end else data)
        if len(line) > MAX_LINE:
            raise FramingError("a chunk's size line is too long")
        if not end:
            return self._keep(line)
        match = (_LENIENT_SIZE if self._lenient else _SIZE).fullmatch(line)
        if match is None:
            raise FramingError("a chunk's size line is malformed")
        self._line, self._left = b"", int(match[1], 16)
        if not self._left:
            self._section = _Trailers(lenient=self._lenient)
        return data[end:]

    def _keep(self, line: bytes) -> bytes:
        if not _BEGUN.fullmatch(line):
            raise FramingError("a chunk's size is no number")
        self._line = line
        return b""

    def _take_trailers(self, section: _Trailers, data: bytes) -> bytes:
        rest = section.feed(data)
        if rest is None:
            return b""
        self.trailers, self._section, self.is_done = section.fields, None, True
        return rest


class _Trailers:
    """The fields behind the last chunk (RFC 9112 §7.1.2)."""

    __slots__ = ("_has_begun", "_section")

    def __init__(self, *, lenient: bool) -> None:
        self._has_begun = False
        self._section: FieldSection[RawRequestMessage] | FieldSection[RawResponseMessage]
        if lenient:
            self._section = answer_section(b"HTTP/1.1 200 OK\r\n")
        else:
            self._section = request_section(b"POST / HTTP/1.0\r\n")  # which needs no Host

    @property
    def fields(self) -> RawHeaders:
        """What came."""
        return self._section.fields

    def feed(self, data: bytes) -> bytes | None:
        """As `FieldSection.feed`.

        Raises:
            FramingError: it is malformed, or would frame the message anew (RFC 9110 §6.5.1).
        """
        if not self._has_begun and data.startswith(_SPACE):
            raise FramingError("a trailer section begins with space")
        self._has_begun = True
        try:
            rest = self._section.feed(data)
        except HttpProcessingError as error:
            raise FramingError("a trailer section is malformed") from error
        if rest is not None and any(name.rstrip().lower() in _FRAMING for name, _ in self.fields):
            raise FramingError("a trailer would frame the message")
        return rest


def chunk_of(data: bytes) -> bytes:
    """A chunk that says ``data``, which is not empty: an empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: RawHeaders = ()) -> bytes:
    """The end of a body in chunks, and the fields behind it.

    Raises:
        ValueError: a field holds CR, LF or NUL.
    """
    return b"0\r\n" + serialize_fields(trailers)
