"""What the parser lets through and must not, and what its errors are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod, BadStatusLine, InvalidURLError, LineTooLong

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
from proxy.http.strictness import MAX_FIELD, MAX_TARGET, check_answer, check_request, refusal

if TYPE_CHECKING:
    from proxy.http.headers import RawHeaders

CHUNKED: RawHeaders = ((b"Transfer-Encoding", b"Chunked"),)


@pytest.mark.parametrize(
    ("method", "version", "headers"),
    [
        ("GET", (1, 1), ()),
        ("GET", (1, 0), ()),
        ("BREW", (1, 1), CHUNKED),
        ("POST", (1, 1), ((b"Content-Length", b"9223372036854775807"),)),
        ("GET", (1, 1), ((b"Host", b"[2001:db8::1%25eth0]:80"),)),
    ],
)
def test_unambiguous_requests_pass(method: str, version: tuple[int, int], headers: RawHeaders) -> None:
    check_request(method, version, headers)


@pytest.mark.parametrize(
    ("method", "version", "headers", "error"),
    [
        ("GET", (2, 0), (), UnsupportedVersionError),
        ("GET", (0, 9), (), UnsupportedVersionError),
        ("CONNECT", (1, 1), (), UnsupportedRequestError),
        ("GET", (1, 1), ((b"Host", b"user@h"),), BadRequestError),
        ("POST", (1, 0), CHUNKED, BadRequestError),
        ("POST", (1, 1), CHUNKED + CHUNKED, UnsupportedRequestError),
        ("POST", (1, 1), ((b"transfer-encoding", b"gzip, chunked"),), UnsupportedRequestError),
        ("POST", (1, 1), ((b"transfer-encoding", b""),), UnsupportedRequestError),
        ("POST", (1, 1), ((b"Content-Length", b"9223372036854775808"),), RequestTooLargeError),
    ],
)
def test_ambiguous_requests_are_refused(
    method: str, version: tuple[int, int], headers: RawHeaders, error: type[BrowserError]
) -> None:
    with pytest.raises(error):
        check_request(method, version, headers)


@pytest.mark.parametrize(
    ("version", "status", "reason", "headers"),
    [
        ((1, 1), 200, b"OK", CHUNKED),
        ((1, 0), 999, b"\xff", ((b"Content-Length", b"9223372036854775807"),)),
        ((1, 1), 100, b"", ()),
    ],
)
def test_answers_with_one_reading_pass(
    version: tuple[int, int], status: int, reason: bytes, headers: RawHeaders
) -> None:
    check_answer(version, status, reason, headers)


@pytest.mark.parametrize(
    ("version", "status", "reason", "headers", "sentence"),
    [
        ((2, 0), 200, b"OK", (), "status line"),
        ((1, 1), 99, b"OK", (), "status line"),
        ((1, 1), 200, b"O\0K", (), "status line"),
        ((1, 0), 200, b"OK", CHUNKED, "transfer coding"),
        ((1, 1), 200, b"OK", CHUNKED + CHUNKED, "transfer coding"),
        ((1, 1), 200, b"OK", ((b"transfer-encoding", b"gzip, chunked"),), "transfer coding"),
        ((1, 1), 200, b"OK", ((b"content-length", b"9223372036854775808"),), "Content-Length"),
    ],
)
def test_answers_that_a_browser_could_read_otherwise_are_the_backends_fault(
    version: tuple[int, int], status: int, reason: bytes, headers: RawHeaders, sentence: str
) -> None:
    with pytest.raises(BackendBrokenError, match=sentence):
        check_answer(version, status, reason, headers)


@pytest.mark.parametrize(
    ("parser_said", "error", "sentence"),
    [
        (LineTooLong(b"/a...", MAX_TARGET), TargetTooLongError, "The request line is over 65536 bytes."),
        (LineTooLong(b"A...", MAX_FIELD), HeadersTooLargeError, "A header line is over 65536 bytes."),
        (
            BadHttpMessage("Too many headers received"),
            HeadersTooLargeError,
            "The request has more than 100 headers.",
        ),
        (
            BadHttpMethod(error="Received HTTPS traffic on an HTTP port"),
            BadRequestError,
            "This port speaks plain HTTP, and a TLS handshake arrived.",
        ),
        (
            BadHttpMethod(error="Invalid method encountered:\n\n  b'BREW /'"),
            UnsupportedRequestError,
            "The request method is not known here.",
        ),
        (BadStatusLine("Bad status line:\n  secret"), BadRequestError, "The request line is malformed."),
        (InvalidURLError("whatever"), BadRequestError, "The request target is malformed."),
        (ValueError("whatever"), BadRequestError, "The request target is malformed."),
        (
            BadHttpMessage("Request has invalid `Transfer-Encoding`:\n\n  b'1'"),
            UnsupportedRequestError,
            "The only transfer coding understood here is chunked.",
        ),
        (
            BadHttpMessage("Duplicate Content-Length:\n\n  b'secret'\n  ^"),
            BadRequestError,
            "The request is malformed: Duplicate Content-Length.",
        ),
    ],
)
def test_errors_of_the_parser_get_a_status_and_a_sentence_without_the_request(
    parser_said: Exception, error: type[BrowserError], sentence: str
) -> None:
    refused = refusal(parser_said)
    assert type(refused) is error
    assert str(refused) == sentence
