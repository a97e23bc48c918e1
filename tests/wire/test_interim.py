"""Interim answers go on at once, to a browser that knows of them (RFC 9110 §15.2)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from proxy.http.upstream.lanes import Lane
from tests.support.raw import PATIENCE
from tests.wire.conftest import Wire
from tests.wire.messages import BEGUN, OK, SMUGGLED, answered, asked_with, get, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.wire.conftest import Listener, Proxied, Start

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
MOST = 64
"""As many as go on before an answer."""

PASSED = {
    "100 unasked": (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 with fields": (b"HTTP/1.1 100 Go\r\nA: b\r\n\r\n", b"HTTP/1.1 100 Go\r\nA: b\r\n\r\n"),
    "102": (b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "103 with fields": (HINTS, HINTS),
    "one that nobody knows": (b"HTTP/1.1 199 Odd\r\n\r\n", b"HTTP/1.1 199 Odd\r\n\r\n"),
    "no reason": (b"HTTP/1.1 103\r\nA: b\r\n\r\n", b"HTTP/1.1 103 \r\nA: b\r\n\r\n"),
    "bytes, case, order and repetition": (
        b"HTTP/1.1 103 \xff\r\nb: \xe4\r\nA: 1\r\nB: 2\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\r\n",
        b"HTTP/1.1 103 \xff\r\nb: \xe4\r\nA: 1\r\nB: 2\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\r\n",
    ),
    "fields of the hop": (
        b"HTTP/1.1 103 Early Hints\r\nConnection: A, keep-alive\r\nA: b\r\nKeep-Alive: timeout=5\r\nC: d\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nC: d\r\n\r\n",
    ),
    "a length, and no body": (  # RFC 9110 section 8.6: there must not be one
        b"HTTP/1.1 102 Processing\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ),
    "two": (HINTS + b"HTTP/1.1 102 Processing\r\n\r\n", HINTS + b"HTTP/1.1 102 Processing\r\n\r\n"),
    "as many as may be": (HINTS * MOST, HINTS * MOST),
}


@pytest.mark.parametrize("segments", ["one", "two"])
@pytest.mark.parametrize(("interim", "got"), PASSED.values(), ids=PASSED)
async def test_interim_answers_go_on_and_the_last_one_counts(
    proxied: Proxied, backend: Listener, interim: bytes, got: bytes, segments: str
) -> None:
    browser, asked = await asked_with(proxied, backend)
    for segment in [interim + OK] if segments == "one" else [interim, OK]:
        await asked.send(segment)
    assert await browser.take(len(got + OK)) == got + OK
    await browser.send(get())
    assert (await asked.head()).startswith(b"GET / ")
    assert not browser.buffer


async def test_an_interim_answer_goes_on_at_once(proxied: Proxied, backend: Listener) -> None:
    """It is of use only as long as there is nothing else."""
    browser, asked = await asked_with(proxied, backend)
    for _ in range(3):
        await asked.send(HINTS)
        assert await browser.take(len(HINTS)) == HINTS
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


async def test_interim_answers_belong_to_their_own_request(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend, get(line=b"GET /1 HTTP/1.1") + get(line=b"GET /2 HTTP/1.1"))
    await asked.send(HINTS + OK)
    assert (await asked.head()).startswith(b"GET /2 ")
    assert await browser.take(len(HINTS + OK)) == HINTS + OK
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


@pytest.mark.parametrize("method", [b"HEAD", b"DELETE", b"OPTIONS", b"BREW"])
async def test_interim_answers_go_on_whatever_was_asked(proxied: Proxied, backend: Listener, method: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    browser, asked = await asked_with(proxied, backend, get(line=method + b" / HTTP/1.1"))
    await asked.send(HINTS + answer)
    assert await browser.take(len(HINTS + answer)) == HINTS + answer


@pytest.mark.parametrize("connection", [b"", b"Connection: close\r\n"])
async def test_an_interim_answer_ends_no_connection(proxied: Proxied, backend: Listener, connection: bytes) -> None:
    """That the connection ends, its last answer says."""
    browser, asked = await asked_with(proxied, backend, get(connection))
    await asked.send(HINTS)
    assert await browser.take(len(HINTS)) == HINTS
    await asked.send(OK)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"])
@pytest.mark.parametrize(("interim", "_"), PASSED.values(), ids=PASSED)
async def test_a_browser_of_http_1_0_gets_none(
    proxied: Proxied, backend: Listener, interim: bytes, _: bytes, keep: bytes
) -> None:
    """RFC 9110 section 15.2: it does not know them."""
    browser, asked = await asked_with(proxied, backend, get(keep, b"GET / HTTP/1.0"))
    await asked.send(interim + OK)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")


async def test_a_thousand_of_them_pass_and_the_last_one_counts(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(HINTS * 1000 + OK)
    expected = HINTS * 1000 + OK
    assert await browser.take(len(expected)) == expected


async def test_who_takes_none_of_them_is_not_written_to_without_end(start: Start, backend: Listener) -> None:
    """P7: nobody can wait until they are taken, so the rest of them is dropped; and their time is limited."""
    proxied = await start(upstream={"response_timeout": 1.0}, patience=1.0)
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(get())
    asked = await backend.accept()
    await asked.head()
    (connection,) = proxied.server.connections
    with contextlib.suppress(OSError):
        for _ in range(400):
            await asked.send(HINTS * 1000)
            transport = connection.writer.transport
            assert transport is None or transport.get_write_buffer_size() < 512 * 1024
    assert await asked.rest() == b""
    async with asyncio.timeout(PATIENCE):
        while proxied.upstream.lanes.in_use(Lane.CALLS):  # noqa: ASYNC110 - nothing tells when a slot is given back
            await asyncio.sleep(0.01)


async def test_each_request_may_have_as_many(proxied: Proxied, backend: Listener) -> None:
    """They are counted for one request, and not for the connections that it shares."""
    browser, asked = await asked_with(proxied, backend)
    for _ in range(2):
        await asked.send(HINTS * MOST + OK)
        assert await browser.take(len(HINTS) * MOST + len(OK)) == HINTS * MOST + OK
        await browser.send(get())
        await asked.head()


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.shut_down])
async def test_a_backend_that_leaves_behind_one_is_502(
    proxied: Proxied, backend: Listener, leave: Callable[[Wire], None]
) -> None:
    """An interim answer is none."""
    browser, asked = await asked_with(proxied, backend)
    await asked.send(HINTS)
    assert await browser.take(len(HINTS)) == HINTS
    leave(asked)
    assert await answered(browser) == (502, "backend_broken")


async def test_what_has_an_interim_answer_is_not_asked_again(proxied: Proxied, backend: Listener) -> None:
    """RFC 9112 section 9.3.1: repeated is what was never heard; and the browser would get the hints twice."""
    browser, idle = await asked_with(proxied, backend)
    await idle.send(OK)
    assert await browser.take(len(OK)) == OK
    await browser.send(get())
    await idle.head()
    await idle.send(HINTS)
    assert await browser.take(len(HINTS)) == HINTS
    idle.close()
    assert await answered(browser) == (502, "backend_broken")
    assert await backend.nobody_comes(0.05)


MALFORMED = {
    "a bare CR": b"HTTP/1.1 103 Early Hints\r\nA: b\rC: d\r\n\r\n",
    "NUL": b"HTTP/1.1 103 Early Hints\r\nA: b\x00\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 103 Early\x00Hints\r\n\r\n",
    "no name": b"HTTP/1.1 103 Early Hints\r\n: b\r\n\r\n",
    "another version": b"HTTP/1.2 103 Early Hints\r\n\r\n",
    "two digits": b"HTTP/1.1 10 Early Hints\r\n\r\n",
}


@pytest.mark.parametrize("interim", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_one_is_502(proxied: Proxied, backend: Listener, interim: bytes) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(interim + OK)
    assert await answered(browser) == (502, "backend_broken")
    assert await asked.rest() == b""


async def test_they_go_on_while_the_body_is_sent(proxied: Proxied, backend: Listener) -> None:
    """One that is under way is not done with (RFC 9112 section 9.5): only an answer may end it."""
    browser = await proxied.browser()
    await browser.send(post(b"Content-Length: %d\r\n" % (len(BEGUN) + 2), BEGUN))
    asked = await backend.accept()
    await asked.until(BEGUN)
    await asked.send(HINTS)
    assert await browser.take(len(HINTS)) == HINTS
    await browser.send(b"hi" + SMUGGLED)
    assert await asked.take(2) == b"hi"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")


async def test_a_refusal_behind_one_stops_the_upload(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(post(b"Content-Length: %d\r\n" % (len(BEGUN) + 2), BEGUN))
    asked = await backend.accept()
    await asked.until(BEGUN)
    await asked.send(HINTS + b"HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\n\r\nbig")
    assert await browser.rest() == HINTS + b"HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
    assert await asked.rest() == b""


async def test_an_event_stream_may_come_behind_one(proxied: Proxied, backend: Listener) -> None:
    browser, asked = await asked_with(proxied, backend)
    await asked.send(HINTS + b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: here\n\n")
    assert (await browser.until(b": here\n\n")).startswith(HINTS + b"HTTP/1.1 200 OK\r\n")
    assert proxied.upstream.lanes.in_use(Lane.RELAYS) == 1


async def test_a_browser_that_takes_none_of_them_gives_the_backend_back(start: Start, backend: Listener) -> None:
    """P7: 64 of them with long fields are some MB, and none is an answer that the browser could be slow with."""
    proxied = await start(patience=0.3, upstream={"response_timeout": 1.0})
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(get())
    asked = await backend.accept()
    await asked.head()
    long = b"HTTP/1.1 103 Early Hints\r\n" + (b"A: " + b"b" * 60_000 + b"\r\n") * 4 + b"\r\n"
    sending = asyncio.create_task(asked.send(long * MOST))
    assert await asked.hear_end(3.0) < 2.5
    assert proxied.upstream.lanes.in_use(Lane.CALLS) == 0
    sending.cancel()
    await asyncio.wait({sending})
