"""Several requests on one connection: each is answered for itself, and nothing of one is taken for another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied

GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("segments", [1, 2])
async def test_a_trailer_is_never_a_field_of_the_next_request(
    proxied: Proxied, backend: Listener, segments: int
) -> None:
    """RFC 9110 section 6.5: a trailer section belongs to its own message.

    aiohttp's parser hands its last field to the request behind it, which may be somebody else's where a proxy in front
    shares its connections. So a connection ends with its first chunked request.
    """
    browser = await proxied.browser()
    chunked, behind = CHUNKED + b"0\r\nX-Mine: 1\r\nCookie: mine\r\n\r\n", GET % b"/theirs"
    for segment in [chunked + behind] if segments == 1 else [chunked, behind]:
        await browser.send(segment)
    asked = await backend.accept()
    assert (await asked.until(b"0\r\n\r\n")).startswith(b"POST / ")
    await asked.send(OK)
    assert await browser.rest() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    assert await backend.nobody_comes(0.05)
