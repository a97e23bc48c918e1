"""One section of fields, in however many pieces it comes."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong

from proxy.http.fieldsection import (
    LINE,
    MAX_ANSWER_HEADERS,
    MAX_HEAD,
    MAX_HEADERS,
    FieldSection,
    HeadTooLongError,
    answer_section,
    request_section,
)

POST = b"POST / HTTP/1.0\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def sections() -> list[FieldSection[Any]]:
    return [request_section(POST), answer_section(OK)]


def test_fields_are_read_however_they_are_cut() -> None:
    wire = b"A: b\r\nc:\t d \r\n\r\n"
    for size in (1, 3, 7, len(wire)):
        for section in sections():
            pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
            assert [section.feed(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [b""]
            assert section.fields == ((b"A", b"b"), (b"c", b"d"))


def test_a_section_may_be_empty() -> None:
    for section in sections():
        assert section.feed(b"\r\nnext") == b"next"
        assert section.fields == ()


def test_there_is_no_message_before_its_end() -> None:
    for section in sections():
        section.feed(b"A: b\r\n")
        with pytest.raises(ValueError, match="not whole"):
            _ = section.message


@pytest.mark.parametrize(
    "lines",
    [
        b"A: b\r\n \r\n",
        b"A: b\r\n\t\r\n\r\n",
        b"A: b\rC: d\r\n\r\n",
        b"A: b\r\r\n\r\n",
        b" \r\n\r\n",
    ],
)
def test_a_line_with_two_readings_is_malformed(lines: bytes) -> None:
    for section in sections():
        with pytest.raises(HttpProcessingError):
            section.feed(lines)


def test_lines_may_only_be_so_long() -> None:
    for section in sections():
        section.feed(b"A: " + b"b" * (LINE - 3))
        with pytest.raises(LineTooLong):
            section.feed(b"b")


def test_a_section_may_only_be_so_long() -> None:
    line = b"A: " + b"b" * (LINE // 2) + b"\r\n"
    for section in sections():
        for _ in range(MAX_HEAD // len(line)):
            assert section.feed(line) is None
        with pytest.raises(HeadTooLongError):
            section.feed(line)


@pytest.mark.parametrize(
    ("section", "most"), [(request_section(POST), MAX_HEADERS), (answer_section(OK), MAX_ANSWER_HEADERS)]
)
def test_there_may_only_be_so_many_fields(section: FieldSection[Any], most: int) -> None:
    section.feed(b"A: b\r\n" * (most + 1))
    with pytest.raises(BadHttpMessage):
        section.feed(b"\r\n")


class Hasty:
    """A parser that takes every line for the last one."""

    def feed_data(self, data: bytes) -> tuple[list[tuple[bytes, None]], bool, bytes]:
        return [(data, None)], False, b""


def test_a_head_that_ends_elsewhere_than_at_an_empty_line_is_malformed() -> None:
    hasty: Any = Hasty()
    with pytest.raises(BadHttpMessage, match="ends within a line"):
        FieldSection(hasty).feed(b"A: b\r\n")
