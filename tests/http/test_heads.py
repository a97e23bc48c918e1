"""Heads of requests and answers, found in the bytes of a connection."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.errors import (
    BackendBrokenError,
    BadRequestError,
    BrowserError,
    HeadersTooLargeError,
    TargetTooLongError,
    UnsupportedVersionError,
)
from proxy.http.fieldsection import LINE
from proxy.http.heads import AnswerHead, AnswerParser, ReceivedHead, RequestParser

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST = b"Host: h\r\n\r\n"


def request(*pieces: bytes) -> ReceivedHead:
    parser = RequestParser()
    _feed(parser, pieces)
    assert parser.head is not None
    return parser.head


def answer(*pieces: bytes) -> AnswerHead:
    parser = AnswerParser()
    _feed(parser, pieces)
    assert parser.head is not None
    return parser.head


def _feed(parser: RequestParser | AnswerParser, pieces: Iterable[bytes]) -> None:
    *before, last = pieces
    assert [parser.feed(piece) for piece in before] == [None] * len(before)
    assert parser.head is None
    assert parser.feed(last) == b""


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


# -- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "method", "target", "version"),
    [
        (b"GET / HTTP/1.1", "GET", b"/", (1, 1)),
        (b"GET / HTTP/1.0", "GET", b"/", (1, 0)),
        (b"brew *?\xff HTTP/1.1", "brew", b"*?\xff", (1, 1)),
        (b"M-SEARCH  http://h/   HTTP/1.1", "M-SEARCH", b"http://h/", (1, 1)),
        (b"!#$%&'*+.^_`|~09Az- \x80\x84\x86\x9f\xa1 HTTP/1.1", "!#$%&'*+.^_`|~09Az-", b"\x80\x84\x86\x9f\xa1", (1, 1)),
    ],
)
def test_a_request_line_is_read_as_it_came(line: bytes, method: str, target: bytes, version: tuple[int, int]) -> None:
    for pieces in ([line + b"\r\n" + HOST], bytewise(line + b"\r\n" + HOST)):
        assert request(*pieces)[:4] == (method, target, version, ((b"Host", b"h"),))


@given(st.lists(st.integers(0, 60), max_size=6))
def test_a_head_is_the_same_however_it_is_cut(places: list[int]) -> None:
    wire = b"\r\n\r\nPOST /a HTTP/1.1\r\nHost: h\r\nA:\t b \r\nA:\r\n\r\n"
    edges = [0, *sorted(place for place in places if place < len(wire)), len(wire)]
    pieces = [wire[start:end] for start, end in pairwise(edges)]
    assert request(*pieces).fields == ((b"Host", b"h"), (b"A", b"b"), (b"A", b""))


@pytest.mark.parametrize("pieces", [[b"\r\n\n\r\n"], [b"\r", b"\n"]])
def test_empty_lines_before_a_request_are_none_of_it(pieces: list[bytes]) -> None:
    """RFC 9112 section 2.2."""
    parser = RequestParser()
    for piece in pieces:
        assert parser.feed(piece) is None
        assert not parser.has_begun
    assert parser.feed(b"G") is None
    assert parser.has_begun
    assert parser.feed(b"ET / HTTP/1.1\r\n" + HOST + b"next") == b"next"


@pytest.mark.parametrize(
    ("fields", "upgrades", "should_close"),
    [
        (b"", False, False),
        (b"Connection: close\r\n", False, True),
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", True, False),
    ],
)
def test_what_a_request_says_of_its_connection(fields: bytes, upgrades: bool, should_close: bool) -> None:  # noqa: FBT001
    head = request(b"GET / HTTP/1.1\r\n" + fields + HOST)
    assert (head.upgrades, head.should_close) == (upgrades, should_close)


def test_a_request_of_http_1_0_closes_unless_it_says_otherwise() -> None:
    assert request(b"GET / HTTP/1.0\r\n\r\n").should_close
    assert not request(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").should_close


@pytest.mark.parametrize(
    ("line", "error", "sentence"),
    [
        (b"GET\r\n", BadRequestError, "request line is malformed"),
        (b"GET / HTTP/1.1 \r\n", BadRequestError, "request line is malformed"),
        (b"GET / HTTP/1.1\n", BadRequestError, "request line is malformed"),
        (b"GET\t/ HTTP/1.1\r\n", BadRequestError, "request line is malformed"),
        (b"GET /\xa0 HTTP/1.1\r\n", BadRequestError, "request line is malformed"),
        (b"GET / HTTP/1.2\r\n", BadRequestError, "request line is malformed"),
        (b"GET / http/1.1\r\n", BadRequestError, "request line is malformed"),
        (b"GET nowhere\r\n", BadRequestError, "request line is malformed"),
        (b"PRI * HTTP/2.0\r\n", BadRequestError, "request line is malformed"),
        (b"(", BadRequestError, "request line is malformed"),
        (b"\x16\x03\x01", BadRequestError, "a TLS handshake"),
        (b"GET /\r\n", UnsupportedVersionError, r"HTTP/1\.0"),
        (b"GET / HTTP/2.0\r\n", UnsupportedVersionError, r"HTTP/1\.0"),
        (b"GET /" + b"a" * LINE, TargetTooLongError, "over 65536 bytes"),
    ],
)
def test_a_line_with_no_reading_or_two_is_refused(line: bytes, error: type[BrowserError], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        RequestParser().feed(line)


def test_a_line_of_the_longest_is_taken() -> None:
    line = b"GET /" + b"a" * (LINE - len(b"GET / HTTP/1.1\r\n")) + b" HTTP/1.1\r\n"
    assert len(request(line, HOST).target) == LINE - len(b"GET  HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (b"\r\n", BadRequestError),  # no Host
        (b"Host: h\r\nA : b\r\n\r\n", BadRequestError),
        (b"A: b\r\n" * 101 + HOST, HeadersTooLargeError),
        (b"A: " + b"b" * LINE, HeadersTooLargeError),
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" + HOST, BadRequestError),
    ],
)
def test_fields_that_hermes_would_not_read_are_refused(fields: bytes, error: type[BrowserError]) -> None:
    parser = RequestParser()
    with pytest.raises(error):
        parser.feed(b"GET / HTTP/1.1\r\n" + fields)
    assert parser.head is None


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "head"),
    [
        (
            b"HTTP/1.1 200 OK\r\nA:  b \r\n\r\n",
            AnswerHead((1, 1), 200, b"OK", ((b"A", b"b"),), upgrades=False, should_close=True),
        ),
        (
            b"HTTP/1.0 404 Not\xff\xc3\xa4 Found\r\nA: b\n\n",
            AnswerHead((1, 0), 404, b"Not\xff\xc3\xa4 Found", ((b"A", b"b"),), upgrades=False, should_close=True),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
            AnswerHead((1, 1), 200, b"OK", ((b"Content-Length", b"5"),), upgrades=False, should_close=False),
        ),
        (
            b"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            AnswerHead(
                (1, 1),
                101,
                b"",
                ((b"Connection", b"upgrade"), (b"Upgrade", b"websocket")),
                upgrades=True,
                should_close=False,
            ),
        ),
    ],
)
def test_an_answers_head_is_read_as_it_came(wire: bytes, head: AnswerHead) -> None:
    assert answer(wire) == answer(*bytewise(wire)) == head


def test_what_is_behind_an_answers_head_is_left() -> None:
    parser = AnswerParser()
    assert parser.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200") == b"HTTP/1.1 200"


@pytest.mark.parametrize("wire", [b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", b"x" * (LINE + 1)])
def test_what_is_no_answer_is_the_backends_fault(wire: bytes) -> None:
    with pytest.raises(BackendBrokenError):
        AnswerParser().feed(wire)
