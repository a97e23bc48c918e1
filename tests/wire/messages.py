"""Requests as bytes, and what a refusal of the proxy's looks like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied, Wire

HOST = b"Host: h\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BEGUN = bytes(65_536)
"""As much of a body as has come before the backend hears of its request."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
"""Another request, hidden in or behind one."""

ADDED = b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: h\r\n"
"""What the proxy says of whoever asked."""


def post(headers: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST / " + version + b"\r\n" + HOST + headers + b"\r\n" + body


def get(headers: bytes = b"", line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + HOST + headers + b"\r\n"


async def answered(browser: Wire) -> tuple[int, str]:
    """Status and code of a refusal, of which everything else is as promised."""
    status_line, _, rest = (await browser.head()).partition(b"\r\n")
    assert b"Content-Type: application/json\r\n" in rest
    assert b"Connection: close\r\n" in rest
    refusal = json.loads(await browser.rest())
    assert set(refusal) == {"error", "code"}
    assert refusal["error"].endswith(".")
    assert "\n" not in refusal["error"]
    return int(status_line.split()[1]), refusal["code"]


async def asked_with(proxied: Proxied, backend: Listener, request: bytes = get()) -> tuple[Wire, Wire]:
    """A browser that has asked, and the connection on which the backend has heard it."""
    browser = await proxied.browser()
    await browser.send(request)
    asked = await backend.accept()
    await asked.head()
    return browser, asked
