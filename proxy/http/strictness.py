"""Which requests are refused before the backend sees them, and which answers before the browser does. Pure.

Two parties that read one message differently are how requests are smuggled (RFC 9112 §11.2), so
whatever has two readings is refused. aiohttp's C parser (llhttp, strict for requests) refuses most
of it: two ``Content-Length``, one beside ``Transfer-Encoding``, folded headers, bare CR or LF, NUL.
Here stands what it lets through, and what its errors are called on the wire.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from proxy.http.errors import (
    BackendBrokenError,
    BadRequestError,
    BrowserError,
    HeadersTooLargeError,
    RequestTooLargeError,
    UnsupportedRequestError,
)
from proxy.http.fieldsection import LINE, MAX_HEAD, MAX_HEADERS, HeadTooLongError
from proxy.http.headers import RawHeaders, values

MAX_LENGTH: Final = 2**63 - 1
"""The longest body that can be counted; llhttp takes 2**64-1 for "until the end" instead."""

VERSIONS: Final = frozenset({(1, 0), (1, 1)})
FIRST_STATUS: Final = 100

_ENDS_LINE: Final = re.compile(b"[\r\n\0]")

HOST: Final = re.compile(
    rb"(?:\[[0-9a-f.]*:[0-9a-f:.]*(?:%25[\w.~-]+)?\]"  # an IPv6 address, with a zone (RFC 6874)
    rb"|\[v[0-9a-f]+\.[\w.~!$&'()*+,;=:-]+\]"
    rb"|(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})*)"
    rb"(?::[0-9]*)?",
    re.IGNORECASE,
)
"""What ``Host`` may say (RFC 9110 §7.2, RFC 3986 §3.2.2): above all no user, path or space."""


def check_request(version: tuple[int, int], headers: RawHeaders) -> None:
    """Refuse what the parser let through.

    Raises:
        UnsupportedRequestError: a transfer coding other than exactly ``chunked``.
        BadRequestError: a transfer coding in HTTP/1.0 (RFC 9112 §6.1), a ``Host`` that is none (§3.2), or a length with
            two readings.
        RequestTooLargeError: a length nobody can count to.
    """
    for host in values(headers, b"host"):
        if not HOST.fullmatch(host):
            raise BadRequestError("The request's Host is malformed.")
    _check_framing(version, headers)


def _check_framing(version: tuple[int, int], headers: RawHeaders) -> None:
    codings = values(headers, b"transfer-encoding")
    if codings and version == (1, 0):
        raise BadRequestError("Transfer-Encoding does not exist in HTTP/1.0.")
    if _is_coded_otherwise(codings):
        raise UnsupportedRequestError("The only transfer coding understood here is chunked.")
    for length in values(headers, b"content-length"):
        if _is_ambiguous(length):
            raise BadRequestError("The request's Content-Length begins with a zero, which some read as octal.")
        if int(length) > MAX_LENGTH:
            raise RequestTooLargeError("The request states an impossible Content-Length.")


def check_answer(version: tuple[int, int], status: int, reason: bytes, headers: RawHeaders) -> None:
    """Refuse what the parser, which is lenient with answers, let through.

    A transfer coding ends with its hop (RFC 9112 §7): one that is not undone here would leave the
    browser a body that it cannot read.

    Raises:
        BackendBrokenError: no HTTP/1.0 or HTTP/1.1, a head that cannot go on, or a body whose end
            nobody can tell.
    """
    codings = values(headers, b"transfer-encoding")
    if version not in VERSIONS or status < FIRST_STATUS or _ENDS_LINE.search(reason):
        raise BackendBrokenError("The backend's status line is malformed.")
    if _is_coded_otherwise(codings) or (codings and version == (1, 0)):
        raise BackendBrokenError("The backend's answer has a transfer coding that is not understood here.")
    for length in values(headers, b"content-length"):
        if _is_ambiguous(length) or int(length) > MAX_LENGTH:
            raise BackendBrokenError("The backend's answer states an impossible Content-Length.")


def _is_coded_otherwise(codings: list[bytes]) -> bool:
    return bool(codings) and [coding.lower() for coding in codings] != [b"chunked"]


def _is_ambiguous(length: bytes) -> bool:
    """Whether a length can be read as decimal (RFC 9110 §8.6) or, by a C library's ``strtol``, as octal."""
    return length != b"0" and length.startswith(b"0")


def refusal(error: HttpProcessingError) -> BrowserError:
    """What an error of the parser's in the fields of a request is called on the wire."""
    if isinstance(error, HeadTooLongError):
        return HeadersTooLargeError(f"The head of the request is over {MAX_HEAD} bytes.")
    if isinstance(error, LineTooLong):
        return HeadersTooLargeError(f"A header line is over {LINE} bytes.")
    if error.message == "Too many headers received":
        return HeadersTooLargeError(f"The request has more than {MAX_HEADERS} headers.")
    reason = error.message.partition("\n")[0].rstrip(":. ")
    if "`Transfer-Encoding`" in reason:
        return UnsupportedRequestError("The only transfer coding understood here is chunked.")
    return BadRequestError(f"The request is malformed: {reason}.")
