"""Heads and framing as a browser gets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.answers import error_answer, json_answer
from proxy.http.downstream.response import Response, begin, interim, reply
from proxy.http.errors import NoCapacityError
from proxy.http.heads import AnswerHead
from proxy.http.message import Answer
from tests.http.downstream.browser import GET, OK, OK_WIRE, Browser
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.headers import RawHeaders

FIVE: RawHeaders = ((b"Content-Length", b"5"),)
HEAD = GET.replace(b"GET", b"HEAD")
OLD = b"GET / HTTP/1.0\r\n\r\n"
OLD_KEPT = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
CLOSING = GET[:-2] + b"Connection: close\r\n\r\n"


class Backend:
    """The head of an answer."""

    def __init__(self, status: int = 200, *fields: tuple[bytes, bytes]) -> None:
        self.status, self.reason, self.headers = status, b"Said", fields


def saying(backend: Backend, *pieces: bytes, trailers: RawHeaders = (), first: bytes = b"") -> Browser:
    async def handle(request: Request) -> Response:
        response = begin(request, backend, extra=((b"X", b"1"),), first=first)
        for piece in pieces:
            await response.write(piece)
        response.end(trailers)
        response.end()
        return response

    return Browser(handle)


CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n"


@pytest.mark.parametrize(
    ("request_", "fields", "wire"),
    [
        (GET, FIVE, b"Content-Length: 5\r\nX: 1\r\n\r\nhello"),
        (GET, (), b"X: 1\r\n" + CHUNKS + b"\r\n"),
        (CLOSING, FIVE, b"Content-Length: 5\r\nX: 1\r\nConnection: close\r\n\r\nhello"),
        (HEAD, FIVE, b"Content-Length: 5\r\nX: 1\r\n\r\n"),
        (HEAD, (), b"X: 1\r\n\r\n"),
        (OLD, (), b"X: 1\r\nConnection: close\r\n\r\nhello"),
        (OLD_KEPT, (), b"X: 1\r\nConnection: close\r\n\r\nhello"),
        (OLD_KEPT, FIVE, b"Content-Length: 5\r\nX: 1\r\nConnection: keep-alive\r\n\r\nhello"),
        (
            GET,
            (*FIVE, (b"Connection", b"A"), (b"A", b"b"), (b"Trailer", b"T")),
            b"Content-Length: 5\r\nX: 1\r\n\r\nhello",
        ),
    ],
)
@in_virtual_time
async def test_a_body_is_framed_for_its_connection(request_: bytes, fields: RawHeaders, wire: bytes) -> None:
    for browser in (saying(Backend(200, *fields), b"he", b"llo"), saying(Backend(200, *fields), b"llo", first=b"he")):
        assert await browser.send(request_) == b"HTTP/1.1 200 Said\r\n" + wire
        assert browser.is_open == (b"Connection: close" not in wire)


@in_virtual_time
async def test_trailers_go_where_they_have_a_place() -> None:
    named, trailers = (b"Trailer", b"T"), ((b"T", b"1"),)
    chunked, counted = (saying(Backend(200, *fields, named), b"hello", trailers=trailers) for fields in ((), FIVE))
    got = await chunked.send(GET)
    assert b"Trailer: T\r\n" in got
    assert got.endswith(b"0\r\nT: 1\r\n\r\n")
    assert (await counted.send(GET)).endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(("status", "has_length"), [(204, False), (304, True)])
@in_virtual_time
async def test_an_answer_without_a_body_has_none(status: int, *, has_length: bool) -> None:
    got = await saying(Backend(status, *FIVE), b"hello").send(GET)
    assert got.endswith(b"X: 1\r\n\r\n")
    assert (b"Content-Length" in got) == has_length


@in_virtual_time
async def test_a_whole_answer_is_sent_in_one_go() -> None:
    browser = Browser()
    assert await browser.send(GET) == OK_WIRE
    assert (browser.asked[0].account.status, browser.asked[0].account.sent) == (200, 2)
    assert browser.asked[0].is_answered


@in_virtual_time
async def test_a_reply_may_be_the_last_one() -> None:
    async def handle(request: Request) -> Response:
        return reply(request, OK, extra=((b"X", b"1"),), closes=True)

    browser = Browser(handle)
    assert await browser.send(GET) == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\nConnection: close\r\n\r\nok"
    assert not browser.is_open


@in_virtual_time
async def test_a_switch_is_the_last_that_http_says() -> None:
    async def handle(request: Request) -> Response:
        response = Response(request, 101)
        response.switch(request, b"Go", ((b"A", b"b"),), b"websocket")
        return response

    browser = Browser(handle)
    got = await browser.send(GET)
    assert got == b"HTTP/1.1 101 Go\r\nA: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert not browser.is_open


@in_virtual_time
async def test_a_slow_browser_is_waited_for() -> None:
    browser = saying(Backend(200, *FIVE), b"he", b"llo")
    browser.connection.pause_writing()
    assert await browser.send(GET) == b""
    browser.connection.resume_writing()
    assert (await browser.hear()).endswith(b"hello")

    async def handle(request: Request) -> Response:
        response = begin(request, Backend(200, *FIVE))
        request.connection.pause_writing()
        await response.write(b"he")
        assert not response.is_full
        response.send(b"llo")
        return response

    browser = Browser(handle)
    assert (await browser.send(GET)).endswith(b"\r\n\r\nhe")
    browser.connection.resume_writing()
    assert await browser.hear() == b"llo"


@pytest.mark.parametrize(("line", "is_told"), [(GET, True), (OLD, False)])
@in_virtual_time
async def test_an_interim_answer_is_for_those_who_know_it(line: bytes, *, is_told: bool) -> None:
    head = AnswerHead(
        (1, 1), 103, b"Hints", ((b"Link", b"x"), *FIVE, (b"Connection", b"x")), upgrades=False, should_close=False
    )

    async def handle(request: Request) -> Response:
        interim(request, head)
        request.connection.pause_writing()
        interim(request, head)  # nobody waits until it is taken
        request.connection.resume_writing()
        return reply(request, OK)

    got = await Browser(handle).send(line)
    assert got.startswith(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 " if is_told else b"HTTP/1.1 200 ")


def test_an_error_is_told_in_json() -> None:
    answer = error_answer(NoCapacityError("All are taken.", retry_after=3))
    assert json.loads(answer.body) == {"error": "All are taken.", "code": "no_capacity"}
    assert (answer.status, answer.reason) == (503, b"Service Unavailable")
    assert (b"Retry-After", b"3") in answer.headers
    assert dict(answer.headers)[b"Content-Length"] == b"%d" % len(answer.body)
    assert not [name for name, _ in error_answer(NoCapacityError("")).headers if name == b"Retry-After"]


def test_an_answer_of_our_own_is_kept_by_nobody() -> None:
    answer = json_answer(200, {})
    assert isinstance(answer, Answer)
    assert dict(answer.headers)[b"Cache-Control"] == b"no-store"
