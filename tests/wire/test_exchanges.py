"""Asking the backend on one's own account, and answering in its stead."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.answers import json_answer
from proxy.http.downstream.response import reply
from proxy.http.errors import AnswerTooLargeError, BackendBrokenError
from proxy.http.forward import exchange
from proxy.http.message import Answer, RequestHead
from proxy.http.upstream.lanes import Lane
from tests.wire.conftest import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HEAD = RequestHead("POST", b"/api/chat/start?", ((b"Host", b"h"), (b"cOOkie", b"a=\xff")))


def asking(proxied: Proxied, head: RequestHead = HEAD, **how: object) -> asyncio.Task[Answer]:
    settings: dict[str, object] = {"limit": 100, "repeatable": False, **how}
    return asyncio.create_task(
        exchange(proxied.upstream, head, Lane.CONTROL, **settings)  # type: ignore[arg-type]  # as given
    )


async def test_exchange_sends_what_it_is_given_and_holds_the_answer(proxied: Proxied, backend: Listener) -> None:
    answering = asking(proxied, body=b"{}")
    asked = await backend.accept()
    assert await asked.until(b"{}") == (
        b"POST /api/chat/start? HTTP/1.1\r\nHost: h\r\ncOOkie: a=\xff\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    await asked.send(
        b"HTTP/1.1 409 Nope\r\nX: \xe9\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    assert await answering == Answer(409, b"Nope", ((b"X", b"\xe9"),), b"abc")


async def test_exchange_holds_only_so_much(proxied: Proxied, backend: Listener) -> None:
    answering = asking(proxied, limit=3)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\nabcd")
    with pytest.raises(AnswerTooLargeError):
        await answering
    assert await asked.hear_end(5.0) < 2.0


async def test_exchange_that_breaks_off_is_no_answer(proxied: Proxied, backend: Listener) -> None:
    answering = asking(proxied)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
    asked.close()
    with pytest.raises(BackendBrokenError):
        await answering


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
async def test_request_that_arrives_with_its_browsers_goodbye_is_carried_out_if_shielded(
    start: Start, backend: Listener, leave: Callable[[Wire], None]
) -> None:
    """P10: what a browser has sent in whole is run though it leaves; its handler has begun."""

    async def cancel_turn(request: Request, upstream: Upstream) -> Response:
        body = await request.buffered(100)
        asking = exchange(upstream, request.head(), Lane.CONTROL, body=body, limit=100, repeatable=False)
        return reply(request, await asyncio.shield(asyncio.create_task(asking)))

    proxied = await start(cancel_turn)
    for warm in (False, True, False, True):
        browser = await proxied.browser()
        if warm:
            await browser.send(POST)
            assert await (await backend.accept(1.0)).answer_with(OK, 2) == b"hi"
            await browser.head()
        browser.socket.send(POST)
        leave(browser)
        assert await (await backend.accept(1.0)).answer_with(OK, 2) == b"hi"


async def answer_for(request: Request, upstream: Upstream) -> Response:
    """Answers with another body and one more field, as a guard does."""
    held = await exchange(upstream, request.head(), Lane.CONTROL, limit=1000, repeatable=True)
    changed = held.with_body(b'{"cancelled": false}')
    return reply(request, changed, extra=((b"Stream-Guard", b"verdict=stale"),))


@pytest.mark.parametrize(
    ("sent", "framing"),
    [
        (b"content-length: 2\r\nA: 1\r\n\r\n{}", b"Content-Length: 20\r\nA: 1\r\n"),
        (
            b"Transfer-Encoding: chunked\r\nA: 1\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"A: 1\r\nContent-Length: 20\r\n",
        ),
    ],
)
async def test_replaced_body_has_its_length_put_right(
    start: Start, backend: Listener, sent: bytes, framing: bytes
) -> None:
    proxied = await start(answer_for)
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\n" + sent)
    assert await browser.until(b"false}") == (
        b"HTTP/1.1 200 OK\r\n" + framing + b'Stream-Guard: verdict=stale\r\n\r\n{"cancelled": false}'
    )


@pytest.mark.parametrize("chunked", [True, False])
async def test_held_request_body_is_limited(
    start: Start,
    backend: Listener,
    chunked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async def hold(request: Request, _: Upstream) -> Response:
        await request.buffered(3)
        raise AssertionError

    proxied = await start(hold)
    browser = await proxied.browser()
    framing, body = b"Content-Length: 4", b"abcd"
    if chunked:
        framing, body = b"Transfer-Encoding: chunked", b"4\r\nabcd\r\n0\r\n\r\n"
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n" + body)
    assert (await browser.head()).startswith(b"HTTP/1.1 413 ")


async def test_handler_learns_who_asks_and_that_there_is_no_body(start: Start) -> None:
    async def tell(request: Request, _: Upstream) -> Response:
        body = await request.buffered(3)
        return reply(request, json_answer(200, [request.client, body]))

    proxied = await start(tell, trusted_proxies=(ip_network("127.0.0.1/32"),))
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n")
    await browser.head()
    assert await browser.until(b"]") == b'["9.9.9.9", null]'


async def test_handler_can_break_the_connection_off(start: Start) -> None:
    async def abort(request: Request, _: Upstream) -> Response:
        request.abort()
        raise ConnectionResetError

    proxied = await start(abort)
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert await browser.rest() == b""
    assert browser.was_reset


async def test_request_body_sent_again_is_framed_by_its_length(start: Start, backend: Listener) -> None:
    async def again(request: Request, upstream: Upstream) -> Response:
        body = await request.buffered(100)
        answer = await exchange(upstream, request.head(), Lane.CALLS, body=body, limit=10, repeatable=False)
        return reply(request, answer)

    proxied = await start(again)
    browser = await proxied.browser()
    await browser.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    asked = await backend.accept()
    head = await asked.head()
    assert b"Content-Length: 2\r\n" in head
    assert b"ransfer-" not in head
    assert await asked.take(2) == b"hi"
