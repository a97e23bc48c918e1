"""What the parser lets through and must not, and what its errors are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from proxy.http.errors import (
    BackendBrokenError,
    BadRequestError,
    BrowserError,
    HeadersTooLargeError,
    RequestTooLargeError,
    UnsupportedRequestError,
)
from proxy.http.fieldsection import MAX_FIELD, HeadTooLongError
from proxy.http.strictness import check_answer, check_request, refusal

if TYPE_CHECKING:
    from aiohttp.http_exceptions import HttpProcessingError

    from proxy.http.headers import RawHeaders

CHUNKED: RawHeaders = ((b"Transfer-Encoding", b"Chunked"),)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ((1, 1), ()),
        ((1, 0), ((b"Content-Length", b"0"),)),
        ((1, 1), CHUNKED),
        ((1, 1), ((b"Content-Length", b"9223372036854775807"),)),
        ((1, 1), ((b"Host", b"[2001:db8::1%25eth0]:80"),)),
        ((1, 1), ((b"Host", b"[v1.a:b]"),)),
        ((1, 1), ((b"Host", b""),)),
        ((1, 1), ((b"Host", b"a%2db_c:"),)),
    ],
)
def test_unambiguous_requests_pass(version: tuple[int, int], headers: RawHeaders) -> None:
    check_request(version, headers)


@pytest.mark.parametrize(
    ("version", "headers", "error"),
    [
        ((1, 1), ((b"Host", b"user@h"),), BadRequestError),
        ((1, 1), ((b"host", b"h/path"),), BadRequestError),
        ((1, 1), ((b"Host", b"a b"),), BadRequestError),
        ((1, 1), ((b"Host", b"h:a"),), BadRequestError),
        ((1, 1), ((b"Host", b"[1]"),), BadRequestError),
        ((1, 1), ((b"Host", b"h"), (b"Host", b"\xff")), BadRequestError),
        ((1, 0), CHUNKED, BadRequestError),
        ((1, 1), CHUNKED + CHUNKED, UnsupportedRequestError),
        ((1, 1), ((b"transfer-encoding", b"gzip, chunked"),), UnsupportedRequestError),
        ((1, 1), ((b"transfer-encoding", b""),), UnsupportedRequestError),
        ((1, 1), ((b"Content-Length", b"010"),), BadRequestError),
        ((1, 1), ((b"Content-Length", b"00"),), BadRequestError),
        ((1, 1), ((b"Content-Length", b"9223372036854775808"),), RequestTooLargeError),
    ],
)
def test_ambiguous_requests_are_refused(
    version: tuple[int, int], headers: RawHeaders, error: type[BrowserError]
) -> None:
    with pytest.raises(error):
        check_request(version, headers)


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
        ((1, 1), 200, b"OK", ((b"content-length", b"010"),), "Content-Length"),
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
        (HeadTooLongError(), HeadersTooLargeError, "The head of the request is over 262144 bytes."),
        (LineTooLong(b"A...", MAX_FIELD), HeadersTooLargeError, "A header line is over 65536 bytes."),
        (
            BadHttpMessage("Too many headers received"),
            HeadersTooLargeError,
            "The request has more than 100 headers.",
        ),
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
    parser_said: HttpProcessingError, error: type[BrowserError], sentence: str
) -> None:
    refused = refusal(parser_said)
    assert type(refused) is error
    assert str(refused) == sentence
