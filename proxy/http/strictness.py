"""Which requests are refused before the backend sees them, and which answers before the browser does. Pure.

Two parties that read one message differently are how requests are smuggled (RFC 9112 §11.2), so
whatever has two readings is refused. aiohttp's C parser (llhttp, strict for requests) refuses most
of it: two ``Content-Length``, one beside ``Transfer-Encoding``, folded headers, bare CR or LF, NUL.
Here stands what it lets through, and what its errors are called on the wire.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp.http_exceptions import (
    BadHttpMethod,
    BadStatusLine,
    HttpProcessingError,
    InvalidURLError,
    LineTooLong,
)

from proxy.http.errors import (
    BackendBrokenError,
    BadRequestError,
    BrowserError,
    HeadersTooLargeError,
    RequestTooLargeError,
    TargetTooLongError,
    UnsupportedRequestError,
    UnsupportedVersionError,
)
from proxy.http.headers import FORBIDDEN, RawHeaders, values
from proxy.http.parser import MAX_HEAD, HeadTooLongError

LINE: Final = 65_536
"""The longest line Hermes reads, in bytes with its CRLF (``http.server``, ``http.client``)."""

MAX_TARGET: Final = LINE - len(b"GET  HTTP/1.1\r\n")
MAX_FIELD: Final = LINE - len(b": \r\n")
MAX_HEADERS: Final = 100
"""As many header lines as Hermes reads (``http.client._MAXHEADERS``)."""

MAX_LENGTH: Final = 2**63 - 1
"""The longest body that can be counted; llhttp takes 2**64-1 for "until the end" instead."""

VERSIONS: Final = frozenset({(1, 0), (1, 1)})
FIRST_STATUS: Final = 100

_OF_RTSP: Final = frozenset(
    {
        *("ANNOUNCE", "DESCRIBE", "FLUSH", "GET_PARAMETER", "PAUSE", "PLAY", "RECORD", "REDIRECT"),
        *("SET_PARAMETER", "SETUP", "TEARDOWN"),
    }
)
"""Methods that llhttp takes from whoever says RTSP for HTTP (RFC 2326 §10)."""

_UNKNOWN: Final = "The request method is not known here."

_FOR_RTSP: Final = "Invalid method for"
"""What llhttp says of one of these in HTTP."""

HOST: Final = re.compile(
    rb"(?:\[[0-9a-f.]*:[0-9a-f:.]*(?:%25[\w.~-]+)?\]"  # an IPv6 address, with a zone (RFC 6874)
    rb"|\[v[0-9a-f]+\.[\w.~!$&'()*+,;=:-]+\]"
    rb"|(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})*)"
    rb"(?::[0-9]*)?",
    re.IGNORECASE,
)
"""What ``Host`` may say (RFC 9110 §7.2, RFC 3986 §3.2.2): above all no user, path or space."""


def check_request(method: str, version: tuple[int, int], headers: RawHeaders) -> None:
    """Refuse what the parser let through.

    Raises:
        UnsupportedVersionError: not HTTP/1.0 or HTTP/1.1.
        UnsupportedRequestError: ``CONNECT``, a method of RTSP, or a transfer coding other than exactly ``chunked``.
        BadRequestError: a transfer coding in HTTP/1.0 (RFC 9112 §6.1), a ``Host`` that is none (§3.2), or a length with
            two readings.
        RequestTooLargeError: a length nobody can count to.
    """
    if version not in VERSIONS:
        raise UnsupportedVersionError("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if method == "CONNECT":
        raise UnsupportedRequestError("This is no tunnelling proxy: CONNECT is not implemented.")
    if method in _OF_RTSP:
        raise UnsupportedRequestError(_UNKNOWN)
    if not all(HOST.fullmatch(host) for host in values(headers, b"host")):
        raise BadRequestError("The request's Host is malformed.")
    _check_framing(version, headers)


def _check_framing(version: tuple[int, int], headers: RawHeaders) -> None:
    codings = values(headers, b"transfer-encoding")
    if codings and version == (1, 0):
        raise BadRequestError("Transfer-Encoding does not exist in HTTP/1.0.")
    if _is_coded_otherwise(codings):
        raise UnsupportedRequestError("The only transfer coding understood here is chunked.")
    if _is_ambiguous(headers):
        raise BadRequestError("The request's Content-Length begins with a zero, which some read as octal.")
    if _is_uncountable(headers):
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
    if version not in VERSIONS or status < FIRST_STATUS or any(byte in reason for byte in FORBIDDEN):
        raise BackendBrokenError("The backend's status line is malformed.")
    if _is_coded_otherwise(codings) or (codings and version == (1, 0)):
        raise BackendBrokenError("The backend's answer has a transfer coding that is not understood here.")
    if _is_ambiguous(headers) or _is_uncountable(headers):
        raise BackendBrokenError("The backend's answer states an impossible Content-Length.")


def _is_coded_otherwise(codings: list[bytes]) -> bool:
    return bool(codings) and [coding.lower() for coding in codings] != [b"chunked"]


def _is_ambiguous(headers: RawHeaders) -> bool:
    """Whether a length can be read as decimal (RFC 9110 §8.6) or, by a C library's ``strtol``, as octal."""
    return any(length != b"0" and length.startswith(b"0") for length in values(headers, b"content-length"))


def _is_uncountable(headers: RawHeaders) -> bool:
    return any(int(length) > MAX_LENGTH for length in values(headers, b"content-length"))


def refusal(error: Exception) -> BrowserError:
    """What a parser's error is called on the wire."""
    if isinstance(error, HeadTooLongError):
        return HeadersTooLargeError(f"The head of the request is over {MAX_HEAD} bytes.")
    if isinstance(error, LineTooLong):
        return _too_long(error)
    if isinstance(error, BadHttpMethod):
        return _unknown_method(error)
    if isinstance(error, BadStatusLine):
        return _bad_line(error)
    if isinstance(error, HttpProcessingError) and not isinstance(error, InvalidURLError):
        return _malformed(error.message)
    return BadRequestError("The request target is malformed.")


def _malformed(said: str) -> BrowserError:
    if said == "Too many headers received":
        return HeadersTooLargeError(f"The request has more than {MAX_HEADERS} headers.")
    reason = said.partition("\n")[0].rstrip(":. ")
    if "`Transfer-Encoding`" in reason:
        return UnsupportedRequestError("The only transfer coding understood here is chunked.")
    return BadRequestError(f"The request is malformed: {reason}.")


def _too_long(error: LineTooLong) -> BrowserError:
    # aiohttp says only which limit was passed; the two are different numbers for that reason too.
    if error.args[1] == MAX_TARGET:
        return TargetTooLongError(f"The request line is over {LINE} bytes.")
    return HeadersTooLargeError(f"A header line is over {LINE} bytes.")


def _bad_line(error: BadStatusLine) -> BrowserError:
    """Of a request, it is the request line."""
    if _FOR_RTSP in error.message:
        return UnsupportedRequestError(_UNKNOWN)
    return BadRequestError("The request line is malformed.")


def _unknown_method(error: BadHttpMethod) -> BrowserError:
    if "HTTPS" in error.message:
        return BadRequestError("This port speaks plain HTTP, and a TLS handshake arrived.")
    return UnsupportedRequestError(_UNKNOWN)
