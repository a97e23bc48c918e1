"""What a backend may answer, and must not: the browser gets all of an answer, or can tell that it did not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.http.lanes import Lane
from tests.wire.messages import OK, answered, asked_with, get

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied

LINE = b"HTTP/1.1 200 OK\r\n"
CODED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"
FORGED = LINE + b"Content-Length: 6\r\n\r\nforged"
BROKEN = (502, "backend_broken")


async def next_one_is_served_afresh(proxied: Proxied, backend: Listener) -> None:
    """Nothing of what came before is given to the next browser, and every slot has been given back."""
    assert proxied.upstream.lanes.in_use(Lane.CALLS) == 0
    browser, asked = await asked_with(proxied, backend, get(line=b"GET /next HTTP/1.1"))
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK


# -- an answer and more (RFC 9112 sections 6.3 and 9.2) -------------------------------------------

STRAY = {
    "a length that is too short": (b"GET", LINE + b"Content-Length: 2\r\n\r\n", b"okSTRAY", b"ok"),
    "another answer": (b"GET", LINE + b"Content-Length: 2\r\n\r\n", b"ok" + FORGED, b"ok"),
    "half another answer": (b"GET", LINE + b"Content-Length: 2\r\n\r\n", b"ok" + FORGED[:20], b"ok"),
    "something behind the last chunk": (b"GET", CODED, b"2\r\nok\r\n0\r\n\r\nSTRAY", b"2\r\nok\r\n0\r\n\r\n"),
    "a body for HEAD": (b"HEAD", LINE + b"Content-Length: 2\r\n\r\n", b"ok", b""),
    "an answer as the body for HEAD": (b"HEAD", LINE + b"Content-Length: 64\r\n\r\n", FORGED, b""),
    "a 204 with a body": (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"ok", b""),
    "a 304 with a body": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"ok", b""),
    "a 304 and another answer": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 64\r\n\r\n", FORGED, b""),
}


@pytest.mark.parametrize("segments", ["one", "two"])
@pytest.mark.parametrize(("method", "head", "behind", "body"), STRAY.values(), ids=STRAY)
async def test_an_answer_is_whole_and_what_is_behind_it_is_nobodys(  # noqa: PLR0917 - pytest passes them by name
    proxied: Proxied, backend: Listener, method: bytes, head: bytes, behind: bytes, body: bytes, segments: str
) -> None:
    """Extra bytes are never another browser's answer, and never cost this one its own (response queue poisoning)."""
    browser, asked = await asked_with(proxied, backend, get(line=method + b" / HTTP/1.1"))
    await asked.send(head + behind if segments == "one" else head)
    assert await browser.take(len(head)) == head
    if segments == "two":
        await asked.send(behind)
    assert await browser.take(len(body)) == body
    await next_one_is_served_afresh(proxied, backend)
    assert not browser.buffer
    assert await asked.rest() == b""


UNASKED = {
    "an answer": FORGED,
    "half an answer": FORGED[:20],
    "one byte of an answer": b"H",
    "no answer": b"STRAY",
    "a request": get(),
    "a timeout": b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("said", UNASKED.values(), ids=UNASKED)
async def test_an_idle_connection_that_says_anything_is_not_used_again(
    proxied: Proxied, backend: Listener, said: bytes
) -> None:
    """RFC 9112 section 9.2: what was not asked for is not an answer."""
    browser, idle = await asked_with(proxied, backend)
    await idle.send(OK)
    assert await browser.take(len(OK)) == OK
    await idle.send(said)
    for _ in range(5):
        await asyncio.sleep(0)  # and the proxy has its turn
    await next_one_is_served_afresh(proxied, backend)
    assert await idle.rest() == b""
