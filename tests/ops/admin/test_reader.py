"""Requests, read from bytes: one after the other, whole, within bounds, and plain."""

import gzip

import pytest

from proxy.ops.admin.errors import MALFORMED, TOO_LARGE, TOO_LONG, UNEXPECTED, RefusalError
from proxy.ops.admin.reader import LARGEST_BODY, RequestReader, UnreadableError

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /api/drain HTTP/1.1\r\n" + HOST
UPGRADE = GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes) -> list[bytes]:
    reader, requests = RequestReader(), []
    for piece in pieces:
        reader.feed(piece)
        while (request := reader.take()) is not None:
            requests.append(request)
    return requests


REQUESTS = {
    "no body": (GET + b"\r\n", GET + b"Content-Length: 0\r\n\r\n"),
    "length": (POST + b"Content-Length: 4\r\n\r\n\r\n{}", POST + b"Content-Length: 4\r\n\r\n\r\n{}"),
    "chunks": (CHUNKED + b"1;a=b\r\n{\r\n3\r\n\r\n}\r\n0\r\n\r\n", POST + b"Content-Length: 4\r\n\r\n{\r\n}"),
    "trailers": (CHUNKED + b"0\r\nX: a\r\nY: b\r\n\r\n", POST + b"Content-Length: 0\r\n\r\n"),
    "upgrade": (UPGRADE + b"\r\n", UPGRADE + b"Content-Length: 0\r\n\r\n"),
    "expect": (POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n{", POST + b"Content-Length: 1\r\n\r\n{"),
    "last": (GET + b"Connection: close\r\n\r\n", GET + b"Connection: close\r\nContent-Length: 0\r\n\r\n"),
    "old": (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"),
    "bytes": (GET + b"X: \xff\r\n\r\n", GET + b"X: \xff\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize(("sent", "expected"), REQUESTS.values(), ids=REQUESTS)
async def test_a_request_is_read_whole_and_written_plainly_however_it_comes(sent: bytes, expected: bytes) -> None:
    assert read(sent) == [expected]
    assert read(*(bytes([byte]) for byte in sent)) == [expected]
    assert read(sent[:-1]) == []


async def test_requests_are_read_one_after_the_other() -> None:
    """None of them takes a byte of the next, whatever it says of the connection."""
    sent, expected = zip(*REQUESTS.values(), strict=True)

    assert read(b"".join(sent)) == list(expected)
    assert read(*(bytes([byte]) for byte in b"".join(sent))) == list(expected)


def refusal(sent: bytes) -> RefusalError:
    with pytest.raises(UnreadableError) as caught:
        read(sent)
    return caught.value.refusal


REFUSED = {
    "a head without an end": (b"GET / HTTP/1.1\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 5, TOO_LONG),
    "empty lines": (b"\r\n" * 20_000, TOO_LONG),
    "a line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", TOO_LONG),
    "fields": (GET + b"X: a\r\n" * 64 + b"\r\n", TOO_LONG),
    "a length": (POST + b"Content-Length: %d\r\n\r\n" % (LARGEST_BODY + 1), TOO_LARGE),
    "chunks": (CHUNKED + b"1001\r\n" + b"a" * (LARGEST_BODY + 1), TOO_LARGE),
    "a chunk's extension": (CHUNKED + b"1;" + b"a" * 20_000, TOO_LARGE),
    "trailers": (CHUNKED + b"0\r\n" + b"X: a\r\n" * 4000, TOO_LARGE),
    "a length and chunks": (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", MALFORMED),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", MALFORMED),
    "another coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", MALFORMED),
    "a size": (CHUNKED + b"-1\r\n", MALFORMED),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: localhost\n\n", MALFORMED),
    "CONNECT": (b"CONNECT hermes:80 HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "HTTP/2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", MALFORMED),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", MALFORMED),
    "expect": (POST + b"Expect: 100-continue\r\nExpect: more\r\n\r\n", UNEXPECTED),
}


@pytest.mark.parametrize(("sent", "expected"), REFUSED.values(), ids=REFUSED)
async def test_what_is_malformed_or_too_large_is_refused_before_it_ends(sent: bytes, expected: RefusalError) -> None:
    assert refusal(sent) is expected


async def test_a_coded_body_is_refused_unread() -> None:
    """Some kilobytes of it may be megabytes."""
    body = gzip.compress(bytes(1_000_000))

    assert refusal(POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)) is MALFORMED


@pytest.mark.parametrize(("version", "owed"), [(b"1.1", True), (b"1.0", False)])
async def test_a_sender_that_waits_for_it_is_told_once_to_go_on(version: bytes, owed: bool) -> None:  # noqa: FBT001
    reader = RequestReader()
    reader.feed(b"POST / HTTP/%b\r\n%bExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n" % (version, HOST))

    assert reader.take() is None
    assert reader.owes_continue() is owed
    assert reader.owes_continue() is False
