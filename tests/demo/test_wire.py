from __future__ import annotations

import asyncio

import pytest

from proxy.demo.wire import BadLengthError, BadRequestError, Request, read_request


async def _read(raw: bytes) -> Request | None:
    reader = asyncio.StreamReader(limit=65536)
    reader.feed_data(raw)
    reader.feed_eof()
    return await read_request(reader)


async def _head(raw: bytes) -> Request:
    request = await _read(raw)
    assert request is not None
    return request


async def test_a_head_is_kept_as_it_came() -> None:
    raw = b"GET /a%2Fb?x=1&x=2 HTTP/1.1\r\nHOST: h\r\nX-Two: a\r\nx-two: b\r\n\r\n"
    request = await _head(raw)
    assert (request.method, request.target, request.raw) == ("GET", "/a%2Fb?x=1&x=2", raw)
    assert (request.path, request.query("x"), request.query("y", "z")) == ("/a%2Fb", "1", "z")
    assert request.headers.get_all("X-Two") == ["a", "b"]
    assert request.header("Missing") == ""


@pytest.mark.parametrize(
    ("line", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"GET /\r\n\r\n", False),
    ],
)
async def test_who_keeps_a_connection(line: bytes, keep_alive: bool) -> None:  # noqa: FBT001  a column of the table above
    assert (await _head(line)).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("target", "path"),
    [("//api//x", "/api//x"), ("http://other/api/x?y", "/api/x"), ("/a;b", "/a")],
)
async def test_targets_are_read_as_python_reads_them(target: str, path: str) -> None:
    assert (await _head(f"GET {target} HTTP/1.1\r\n\r\n".encode())).path == path


@pytest.mark.parametrize(
    ("raw", "status", "message", "bare"),
    [
        (b"hello\r\n\r\n", 400, "Bad request syntax ('hello')", True),
        (b'{"a": 1}GET / HTTP/1.1\r\n\r\n', 400, "Bad request syntax ('{\"a\": 1}GET / HTTP/1.1')", False),
        (b"GET / HTTQ/1.1\r\n\r\n", 400, "Bad request version ('HTTQ/1.1')", True),
        (b"POST /\r\n\r\n", 400, "Bad HTTP/0.9 request type ('POST')", True),
        (b"GET / HTTP/2.0\r\n\r\n", 505, "Invalid HTTP version (2.0)", True),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431, "Too many headers", False),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70000 + b"\r\n\r\n", 431, "Line too long", False),
    ],
)
async def test_what_python_refuses_by_itself(
    raw: bytes,
    status: int,
    message: str,
    bare: bool,  # noqa: FBT001  a column of the table above
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await _read(raw)
    assert (caught.value.status, caught.value.message, caught.value.bare) == (status, message, bare)


async def test_a_line_beyond_the_limit_is_414() -> None:
    with pytest.raises(BadRequestError) as caught:
        await _read(b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n")
    assert caught.value.status == 414


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"  \r\n"])
async def test_an_empty_line_ends_the_connection(raw: bytes) -> None:
    assert await _read(raw) is None


@pytest.mark.parametrize(("value", "message"), [("x", "Content-Length: 'x'"), ("-1", "Content-Length: -1")])
async def test_a_length_must_be_one(value: str, message: str) -> None:
    request = await _head(f"POST / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n".encode())
    with pytest.raises(BadLengthError, match=message):
        _ = request.length


async def test_a_chunked_body_is_none() -> None:
    """F8: ``Transfer-Encoding`` is not looked at, so the chunks are the next request."""
    assert (await _head(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")).length == 0
