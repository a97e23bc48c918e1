"""A backend that refuses, breaks off or dawdles: an error, or an aborted connection; never both."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Start, Wire

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def failed(browser: Wire) -> tuple[int, str]:
    status_line = (await browser.head()).partition(b"\r\n")[0]
    refusal = json.loads(await browser.rest())
    assert set(refusal) == {"error", "code"}
    return int(status_line.split()[1]), refusal["code"]


async def test_refused_connection_is_502(start: Start) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxied = await start(url=f"http://127.0.0.1:{port}")
    browser = await proxied.browser()
    await browser.send(GET)
    assert await failed(browser) == (502, "backend_unreachable")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_connection_that_ends_before_the_head_does_is_502(
    proxied: Proxied, backend: Listener, said: bytes, how: str
) -> None:
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    if said:
        await asked.send(said)
    asked.close() if how == "close" else asked.reset()
    assert await failed(browser) == (502, "backend_broken")


async def test_backend_that_never_answers_is_504(start: Start, backend: Listener) -> None:
    proxied = await start(upstream={"response_timeout": 0.1})
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    assert await failed(browser) == (504, "backend_too_slow")
    assert await asked.rest() == b""


async def test_backend_that_never_accepts_is_504(start: Start) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)  # noqa: FBT003 - its only argument
            second.connect_ex(address)
            proxied = await start(url=f"http://127.0.0.1:{address[1]}", upstream={"connect_timeout": 0.1})
            browser = await proxied.browser()
            await browser.send(GET)
            assert await failed(browser) == (504, "backend_too_slow")


BROKEN_BODIES = {
    "a short length": (b"Content-Length: 9\r\n\r\n", b"abc"),
    "no last chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"),
    "half a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"9\r\nabc"),
}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
@pytest.mark.parametrize(("framing", "body"), BROKEN_BODIES.values(), ids=BROKEN_BODIES)
async def test_truncated_answer_never_looks_whole(  # noqa: PLR0917 - pytest passes them by name
    proxied: Proxied, backend: Listener, framing: bytes, body: bytes, version: bytes, how: str
) -> None:
    """Also for HTTP/1.0, where a chunked answer ends with its connection: that must be a reset."""
    browser = await proxied.browser()
    await browser.send(b"GET / %b\r\nHost: h\r\n\r\n" % version)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\n" + framing + body)
    assert await browser.until(b"abc")
    asked.close() if how == "close" else asked.reset()
    rest = await browser.rest()
    assert b"HTTP/1.1" not in rest
    assert b"0\r\n\r\n" not in rest
    assert browser.was_reset or (version, framing[:1]) != (b"HTTP/1.0", b"T")


async def test_answer_without_framing_that_is_reset_never_looks_whole(proxied: Proxied, backend: Listener) -> None:
    """aiohttp's client takes the reset for the end of such a body."""
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert await browser.until(b"abc\r\n")
    asked.reset()
    assert await browser.rest() == b""


async def test_malformed_chunk_of_the_backend_aborts(proxied: Proxied, backend: Listener) -> None:
    """aiohttp's client leaves the reader of such a body waiting for ever."""
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert await browser.until(b"abc\r\n")
    await asked.send(b"nonsense\r\n")
    assert await browser.rest() == b""


async def test_backend_that_stops_in_mid_body_is_given_up(start: Start, backend: Listener) -> None:
    proxied = await start(upstream={"response_timeout": 0.1})
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    assert (await browser.rest()).endswith(b"abc")
    assert await asked.rest() == b""


async def test_header_that_would_end_its_line_is_502(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\nContent-Length: 0\r\n\r\n")
    assert await failed(browser) == (502, "backend_broken")


async def test_switch_that_nobody_asked_for_is_502(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert await failed(browser) == (502, "backend_broken")


async def test_bug_in_a_handler_is_500_in_json(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    proxied = await start(broken)
    browser = await proxied.browser()
    await browser.send(GET)
    assert await failed(browser) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()
