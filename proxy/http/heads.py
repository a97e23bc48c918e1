"""Parsing the heads of messages. Pure.

A request's first line is read here and its fields by aiohttp's parser, which knows some methods only and takes no byte
over 0x7f in a target. Hermes takes both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from aiohttp.http import HttpProcessingError

from proxy.http.errors import (
    BackendBrokenError,
    BadRequestError,
    BrowserError,
    TargetTooLongError,
    UnsupportedVersionError,
)
from proxy.http.fieldsection import LINE, answer_section, request_section
from proxy.http.strictness import VERSIONS, refusal

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage

    from proxy.http.fieldsection import FieldSection
    from proxy.http.headers import RawHeaders

Version = tuple[int, int]

_METHOD: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

_TARGET: Final = rb"[\x21-\x7e\x80-\x84\x86-\x9f\xa1-\xff]+"
"""Any bytes but controls and space: Hermes splits the line at what is space in Latin-1, as 0x85 and 0xa0 are."""

_LINE: Final = re.compile(rb"(" + _METHOD + rb") +(" + _TARGET + rb")(?: +HTTP/([0-9])\.([0-9]))?\r\n")
"""RFC 9112 §3, with one space or more between its parts, as a recipient may take them. HTTP/0.9 had no version."""

_BEGUN: Final = re.compile(_METHOD + rb"(?: [^\n]*)?")
"""How such a line may begin."""

_STAND_IN: Final = {version: b"POST / HTTP/%d.%d\r\n" % version for version in VERSIONS}
"""What aiohttp's parser is shown in place of the line."""

_PREFACE: Final = b"PRI"
"""A method that is none: HTTP/2 begins so, that no server may take it for an earlier version (RFC 9113 §3.4)."""

_OTHERS: Final = frozenset({(0, 9), (2, 0)})
"""Versions of HTTP that somebody may mean to speak."""


class ReceivedHead(NamedTuple):
    """The head of a request.

    Attributes:
        method: As received; methods are case-sensitive.
        target: As received.
        version: Of HTTP.
        fields: As received.
        upgrades: Whether it asks to switch protocols (RFC 9110 §7.8).
        should_close: Whether it is the last one on its connection, as it says (RFC 9112 §9.3).
    """

    method: str
    target: bytes
    version: Version
    fields: RawHeaders
    upgrades: bool
    should_close: bool


class AnswerHead(NamedTuple):
    """The head of an answer.

    Attributes:
        version: Of HTTP.
        status: The status code.
        reason: The reason phrase as sent.
        fields: As received, but for space behind a name, which might hide the field (RFC 9112 §5.1).
        upgrades: Whether it says that protocols are switched (RFC 9110 §7.8).
        should_close: Whether it is the last one on its connection, as it says (RFC 9112 §9.3).
    """

    version: Version
    status: int
    reason: bytes
    fields: RawHeaders
    upgrades: bool
    should_close: bool


class RequestParser:
    """Finds one request head in the bytes of a connection.

    Attributes:
        head: The head, once it is whole.
        has_begun: Whether a byte of it has come.
    """

    __slots__ = ("_line", "_section", "_start", "has_begun", "head")

    def __init__(self) -> None:
        self.head: ReceivedHead | None = None
        self.has_begun = False
        self._line = b""
        self._start: tuple[str, bytes, Version] | None = None
        self._section: FieldSection[RawRequestMessage] | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Read the next bytes of the connection.

        Returns:
            What is behind the head, which may be nothing; None while the head is not whole.

        Raises:
            BrowserError: it is malformed.
        """
        if self._section is None:
            data = self._take_line(data)
            if self._section is None:
                return None
        try:
            rest = self._section.feed(data)
        except HttpProcessingError as error:
            raise refusal(error) from error
        if rest is not None and self._start is not None:
            found = self._section.message
            self.head = ReceivedHead(*self._start, self._section.fields, found.upgrade, found.should_close)
        return rest

    def _take_line(self, data: bytes) -> bytes:
        """Read the request line, and any empty ones before it (RFC 9112 §2.2); what is behind it."""
        if not self._line:
            data = data.lstrip(b"\r\n")
        self.has_begun = self.has_begun or bool(data)
        end = data.find(b"\n") + 1
        self._line += data[:end] if end else data
        if len(self._line) > LINE:
            raise TargetTooLongError(f"The request line is over {LINE} bytes.")
        if end:
            self._start = _read_line(self._line)
            self._section = request_section(_STAND_IN[self._start[2]])
        elif self._line and not _BEGUN.fullmatch(self._line):
            raise _malformed(self._line)
        return data[end:] if end else b""


def _read_line(line: bytes) -> tuple[str, bytes, Version]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _malformed(line)
    method, target, major, minor = match.groups()
    version = (int(major), int(minor)) if major else (0, 9)
    if method == _PREFACE or (not major and not target.startswith(b"/")):
        raise _malformed(line)
    if version in _OTHERS:
        raise UnsupportedVersionError("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if version not in VERSIONS:
        raise _malformed(line)
    return method.decode("ascii"), target, version


def _malformed(line: bytes) -> BrowserError:
    if line.startswith(b"\x16"):
        return BadRequestError("This port speaks plain HTTP, and a TLS handshake arrived.")
    return BadRequestError("The request line is malformed.")


class AnswerParser:
    """Finds one answer's head in the bytes of a connection, which may be an interim one (RFC 9110 §15.2).

    Attributes:
        head: The head, once it is whole.
    """

    __slots__ = ("_section", "head")

    def __init__(self) -> None:
        self.head: AnswerHead | None = None
        self._section = answer_section()

    def feed(self, data: bytes) -> bytes | None:
        """Read the next bytes of the connection, as `RequestParser.feed`.

        Raises:
            BackendBrokenError: it is malformed.
        """
        try:
            rest = self._section.feed(data)
        except HttpProcessingError as error:
            raise BackendBrokenError("The backend's answer is malformed.") from error
        if rest is not None:
            found = self._section.message
            reason = found.reason.encode("utf-8", "surrogateescape")
            version = cast("Version", tuple(found.version))
            self.head = AnswerHead(version, found.code, reason, self._section.fields, found.upgrade, found.should_close)
        return rest
