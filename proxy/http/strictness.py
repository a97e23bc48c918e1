"""Which requests are refused before the backend sees them. Pure.

Two parties that read one message differently are how requests are smuggled (RFC 9112 §11.2), so
whatever has two readings is refused. aiohttp's C parser (llhttp, strict) refuses most of it: two
``Content-Length``, one beside ``Transfer-Encoding``, folded headers, bare CR or LF, NUL. Here
stands what it lets through, and what its errors are called on the wire.
"""

from __future__ import annotations

from typing import Final

from aiohttp.http_exceptions import (
    BadHttpMethod,
    HttpProcessingError,
    InvalidURLError,
    LineTooLong,
)

from proxy.http.errors import (
    BadRequestError,
    BrowserError,
    HeadersTooLargeError,
    RequestTooLargeError,
    TargetTooLongError,
    UnsupportedRequestError,
    UnsupportedVersionError,
)
from proxy.http.headers import RawHeaders, values

LINE: Final = 65_536
"""The longest line Hermes reads, in bytes with its CRLF (``http.server``, ``http.client``)."""

MAX_TARGET: Final = LINE - len(b"GET  HTTP/1.1\r\n")
MAX_FIELD: Final = LINE - len(b": \r\n")
MAX_HEADERS: Final = 100
"""As many header lines as Hermes reads (``http.client._MAXHEADERS``)."""

MAX_LENGTH: Final = 2**63 - 1
"""The longest body that can be counted; llhttp takes 2**64-1 for "until the end" instead."""

VERSIONS: Final = frozenset({(1, 0), (1, 1)})


def check_request(method: str, version: tuple[int, int], headers: RawHeaders) -> None:
    """Refuse what the parser let through.

    Raises:
        UnsupportedVersionError: not HTTP/1.0 or HTTP/1.1.
        UnsupportedRequestError: ``CONNECT``, or a transfer coding other than exactly ``chunked``.
        BadRequestError: a transfer coding in HTTP/1.0 (RFC 9112 §6.1).
        RequestTooLargeError: a length nobody can count to.
    """
    if version not in VERSIONS:
        raise UnsupportedVersionError("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if method == "CONNECT":
        raise UnsupportedRequestError("This is no tunnelling proxy: CONNECT is not implemented.")
    _check_framing(version, headers)


def _check_framing(version: tuple[int, int], headers: RawHeaders) -> None:
    codings = values(headers, b"transfer-encoding")
    if codings and version == (1, 0):
        raise BadRequestError("Transfer-Encoding does not exist in HTTP/1.0.")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise UnsupportedRequestError("The only transfer coding understood here is chunked.")
    if any(int(length) > MAX_LENGTH for length in values(headers, b"content-length")):
        raise RequestTooLargeError("The request states an impossible Content-Length.")


def refusal(error: Exception) -> BrowserError:
    """What a parser's error is called on the wire."""
    if isinstance(error, LineTooLong):
        return _too_long(error)
    if isinstance(error, BadHttpMethod):
        return _unknown_method(error)
    if isinstance(error, InvalidURLError) or not isinstance(error, HttpProcessingError):
        return BadRequestError("The request target is malformed.")
    if error.message == "Too many headers received":
        return HeadersTooLargeError(f"The request has more than {MAX_HEADERS} headers.")
    reason = error.message.partition("\n")[0].rstrip(":. ")
    if "`Transfer-Encoding`" in reason:
        return UnsupportedRequestError("The only transfer coding understood here is chunked.")
    return BadRequestError(f"The request is malformed: {reason}.")


def _too_long(error: LineTooLong) -> BrowserError:
    # aiohttp says only which limit was passed; the two are different numbers for that reason too.
    if error.args[1] == MAX_TARGET:
        return TargetTooLongError(f"The request line is over {LINE} bytes.")
    return HeadersTooLargeError(f"A header line is over {LINE} bytes.")


def _unknown_method(error: BadHttpMethod) -> BrowserError:
    if "HTTPS" in error.message:
        return BadRequestError("This port speaks plain HTTP, and a TLS handshake arrived.")
    return UnsupportedRequestError("The request method is not known here.")
