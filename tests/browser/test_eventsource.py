"""Everything of an EventSource that a proxy can break, in a real browser: the same through the proxy as without it.

Chromium says what is right: a script of a backend is played to it twice, once directly and once through the proxy, and
what its page saw and what the backend heard must be the same (WHATWG HTML, section 9.2 "Server-sent events").
"""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.browser.scripted import (
    END,
    NO_MORE,
    PATH,
    PATIENCE,
    SOON,
    STREAM,
    UNFRAMED,
    WATCH,
    Backend,
    Script,
    backend_of,
    head,
    play,
    says,
    streams,
    way,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

CHUNKED = b"Transfer-Encoding: chunked"
PATHS = {
    "any stream": PATH,
    "a turn's": "/api/chat/stream?stream_id=x",
    "a channel's": "/api/session/stream?session_id=s",
}
"""Event streams that the proxy does not look at, and those that it does."""


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def names(seen: list[Any]) -> list[str]:
    return [one[0] for one in seen]


STREAMS: dict[str, list[Script]] = {
    "line ends of LF": [streams(b"data: a\ndata: b\n\n", END)],
    "line ends of CR": [streams(b"data: a\rdata: b\r\r", END)],
    "line ends of CRLF": [streams(b"data: a\r\ndata: b\r\n\r\n", END)],
    "line ends of every kind": [streams(b"data: a\rdata: b\r\ndata: c\n\r\ndata: d\r\n\rdata: e\n\r", END)],
    "CR and LF apart": [streams(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n", END)],
    "a byte order mark": [streams(b"\xef\xbb\xbfdata: a\n\n", END)],
    "a byte order mark in three": [streams(b"\xef", b"\xbb", b"\xbfdata: a\n\n", END)],
    "two byte order marks": [streams(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", END)],
    "comments": [streams(b": heartbeat\n\n:\n\n:data: no\ndata: a\n: b\ndata: c\n\n", END)],
    "data of every kind": [streams(b"data\n\ndata:\n\ndata: \n\ndata:  a\n\ndata:a:b\n\ndata\ndata\n\n", END)],
    "no data": [streams(b"event: token\n\nid: 1\n\n\n\n", b"data: a\n\n", END)],
    "types": [streams(b"event: token\ndata: a\n\nevent: Token\ndata: b\n\nevent: other\ndata: c\n\ndata: d\n\n", END)],
    "odd types": [
        streams(b"event:\ndata: a\n\nevent\ndata: b\n\nevent:  two\ndata: c\n\nevent: h\xc3\xa9\ndata: d\n\n", END)
    ],
    "the last of two types": [streams(b"event: other\nevent: token\ndata: a\n\n", END)],
    "unknown fields": [streams(b"Data: a\ndata : b\n data: c\nfoo: d\nfoo\ndata: e\n\n", END)],
    "ids": [streams(b"id: 1\ndata: a\n\ndata: b\n\nid: s:2\ndata: c\n\nid\ndata: d\n\nid: 3\nid:\ndata: e\n\n", END)],
    "an id with NUL": [streams(b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", END)],
    "NUL in data": [streams(b"data: a\x00b\n\n", END)],
    "UTF-8": [streams("data: …\N{PILE OF POO}\n\nevent: hé\ndata: é\n\n".encode(), END)],
    "bytes that are not UTF-8": [streams(b"data: \xff\xc3\ndata: \xf0\x9f\n\n", END)],
    "every byte apart": [streams(*bytewise("id: 1\r\nevent: token\r\ndata: a…\N{PILE OF POO}\r\n\r\n".encode() + END))],
    "one chunk for every byte": [
        says(head(STREAM, CHUNKED), *(chunk(byte) for byte in bytewise("data: é…\n\n".encode() + END)), b"0\r\n\r\n")
    ],
    "a frame in three chunks": [
        says(head(STREAM, CHUNKED), chunk(b"da"), chunk(b"ta: a\n"), chunk(b"\n" + END), b"0\r\n\r\n")
    ],
    "a large event": [streams(b"data: " + b"x" * 3_000_000 + b"\n\n", END)],
    "many events": [streams(*[b"id: %d\ndata: %d\n\n" % (number, number) for number in range(2000)], END)],
    "HTTP/1.0": [says(head(STREAM, version=b"HTTP/1.0"), b"data: a\n\n", END)],
    "a length": [says(head(STREAM, b"Content-Length: %d" % len(b"data: a\n\n" + END)), b"data: a\n\n", END)],
    "an interim answer": [says(head(b"Link: </a>", status=b"103 Early Hints"), UNFRAMED, b"data: a\n\n", END)],
    "a charset": [says(head(STREAM + b"; charset=UTF-8"), b"data: \xc3\xa9\n\n", END)],
    "a type in capitals": [says(head(b"Content-Type: Text/Event-Stream;x=y"), b"data: a\n\n", END)],
    "gzip": [says(head(STREAM, b"Content-Encoding: gzip"), gzip.compress(b"data: a\n\n" + END))],
}
"""Streams that say what they have to say on one connection."""

RECONNECTIONS: dict[str, list[Script]] = {
    "after its end": [streams(SOON, b"id: 1\ndata: a\n\n"), streams(b"data: b\n\n", END)],
    "after the last chunk": [
        says(head(STREAM, CHUNKED), chunk(SOON + b"id: 1\ndata: a\n\n"), b"0\r\n\r\n"),
        streams(b"data: b\n\n", END),
    ],
    "after a length": [
        says(head(STREAM, b"Content-Length: 27"), SOON + b"id: 1\ndata: ab\n\n"),
        streams(END),
    ],
    "with an unfinished frame": [streams(SOON, b"id: 1\ndata: a\n\nid: 2\ndata: lost\n"), streams(b"data: b\n\n", END)],
    "with an unfinished line": [streams(SOON, b"data: a\n\nid: 2\nda"), streams(b"data: b\n\n", END)],
    "with an id that dispatched nothing": [streams(SOON, b"id: 7\n\n"), streams(END)],
    "with an id that is not ASCII": [streams(SOON, "id: é…\ndata: a\n\n".encode()), streams(END)],
    "with an id that was taken back": [streams(SOON, b"id: 1\ndata: a\n\nid\ndata: b\n\n"), streams(END)],
    "without any id": [streams(SOON, b"data: a\n\n"), streams(END)],
    "with a retry that is none": [streams(SOON, b"retry: x\n\nretry: 1.5\n\ndata: a\n\n"), streams(END)],
    "three times": [streams(SOON, b"id: %d\ndata: a\n\n" % number) for number in range(3)] + [streams(END)],
    "until 204": [streams(SOON, b"data: a\n\n"), says(NO_MORE)],
    "until an error": [streams(SOON, b"data: a\n\n"), says(head(STREAM, status=b"500 Oops"), b"data: b\n\n")],
    "by way of a redirect": [
        streams(SOON, b"id: 1\ndata: a\n\n"),
        says(head(b"Location: /api/other", b"Content-Length: 0", status=b"307 There")),
        streams(END),
    ],
}
"""Streams that end, and what becomes of them."""

REFUSALS: dict[str, list[Script]] = {
    "204": [says(NO_MORE)],
    "205": [says(head(STREAM, b"Content-Length: 0", status=b"205 Reset Content"))],
    "404": [says(head(STREAM, status=b"404 Not Found"), b"data: a\n\n")],
    "401": [says(head(STREAM, b"Content-Length: 0", status=b"401 Who"))],
    "500": [says(head(STREAM, status=b"500 Oops"), b"data: a\n\n")],
    "503": [says(head(b"Retry-After: 1", b"Content-Length: 0", status=b"503 Full"))],
    "another type": [says(head(b"Content-Type: text/plain"), b"data: a\n\n")],
    "no type": [says(head(), b"data: a\n\n")],
    "a type that begins like it": [says(head(STREAM + b"x"), b"data: a\n\n")],
    "another charset": [says(head(STREAM + b";charset=latin-1"), b"data: a\n\n")],
    "a redirect to nowhere": [says(head(b"Content-Length: 0", status=b"302 There"))],
}
"""Answers that are no stream."""

REDIRECTS: dict[str, list[Script]] = {
    status.decode(): [
        says(head(b"Location: /api/other?c=d", b"Content-Length: 0", status=status)),
        streams(b"data: a\n\n", END),
    ]
    for status in (b"301 A", b"302 B", b"303 C", b"307 D", b"308 E")
}


@pytest.mark.parametrize("scripts", STREAMS.values(), ids=STREAMS)
async def test_a_stream_is_the_same(tab: Page, scripts: list[Script]) -> None:
    """Sections 9.2.5 and 9.2.6: how it is parsed, whichever way it is cut."""
    direct, _ = await play(tab, scripts, proxied=False)
    assert names(direct)[0] == "open"
    assert names(direct)[-2:] == ["end", "closed"]
    for path in PATHS.values():
        proxied, _ = await play(tab, scripts, proxied=True, path=path)
        assert proxied == direct


@pytest.mark.parametrize("scripts", RECONNECTIONS.values(), ids=RECONNECTIONS)
async def test_a_stream_is_taken_up_again_as_without_the_proxy(tab: Page, scripts: list[Script]) -> None:
    """Sections 9.2.3 and 9.2.4: when, with which Last-Event-ID, and when no more."""
    direct = await play(tab, scripts, proxied=False)
    assert await play(tab, scripts, proxied=True) == direct
    assert len(direct[1]) >= 2


@pytest.mark.parametrize("scripts", [*REFUSALS.values(), *REDIRECTS.values()], ids=[*REFUSALS, *REDIRECTS])
async def test_what_is_no_stream_is_none(tab: Page, scripts: list[Script]) -> None:
    """Section 9.2.2: what fails the connection for good, and what leads elsewhere."""
    direct = await play(tab, scripts, proxied=False)
    assert await play(tab, scripts, proxied=True) == direct
    assert names(direct[0])[-1] == "closed"


CORS: dict[str, tuple[bytes, bool, bool]] = {
    "nobody": (b"X: y", False, False),
    "anybody": (b"Access-Control-Allow-Origin: *", False, True),
    "anybody, but with credentials": (b"Access-Control-Allow-Origin: *", True, False),
    "this page": (b"Access-Control-Allow-Origin: ORIGIN", False, True),
    "this page, but with credentials": (b"Access-Control-Allow-Origin: ORIGIN", True, False),
    "this page with credentials": (
        b"Access-Control-Allow-Origin: ORIGIN\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin",
        True,
        True,
    ),
    "another page": (b"Access-Control-Allow-Origin: http://other.test", False, False),
}


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize(("fields", "credentials", "allowed"), CORS.values(), ids=CORS)
async def test_another_origins_page_is_let_in_by_the_backend_alone(
    tab: Page,
    fields: bytes,
    credentials: bool,  # noqa: FBT001 - a parameter of the test
    allowed: bool,  # noqa: FBT001 - the same
    proxied: bool,  # noqa: FBT001 - the same
) -> None:
    """Section 9.2.2, and the Fetch standard's CORS protocol: the proxy adds no permission and takes none away."""
    script = says(head(STREAM, fields), b"data: a\n\n", END)
    seen, _ = await play(tab, [script], proxied=proxied, credentials=credentials, host="localhost")
    assert names(seen) == (["open", "message", "end", "closed"] if allowed else ["error", "closed"])
    assert not allowed or seen[0] == ["open", 1, credentials]


@pytest.mark.parametrize("proxied", [False, True])
async def test_what_is_said_is_parsed_as_the_standard_says(
    tab: Page,
    proxied: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """One stream with everything in it, spelled out, so that the two ways are not merely wrong alike."""
    first = streams(
        b"\xef\xbb\xbf: hello\r\r" + SOON,
        b"event: token\rid: s:1\rdata: a\rdata:  b\r\r",
        b"data\n\nid\ndata: \xff\n\nid: \xc3\xa9\ndata: c\n\nid: 9\ndata: never",
    )
    seen, heard = await play(tab, [first, streams(END)], proxied=proxied)
    assert seen == [
        ["open", 1, False],
        ["token", "a\n b", "s:1", ""],
        ["message", "", "s:1", ""],
        ["message", "\N{REPLACEMENT CHARACTER}", "", ""],
        ["message", "c", "\u00e9", ""],
        ["error", 0],
        ["open", 1, False],
        ["end", "", "\u00e9", ""],
        ["closed", 2],
    ]
    assert b"Last-Event-ID: \xc3\xa9" not in heard[0]
    assert b"Last-Event-ID: \xc3\xa9" in heard[1]


FRAMINGS = {
    "its connection's end": UNFRAMED + b"data: a\n\ndata: half",
    "chunks": head(STREAM, CHUNKED) + chunk(b"data: a\n\ndata: half"),
    "half a chunk": head(STREAM, CHUNKED) + chunk(b"data: a\n\ndata: half")[:-6],
    "a length": head(STREAM, b"Content-Length: 999") + b"data: a\n\ndata: half",
    "HTTP/1.0": head(STREAM, version=b"HTTP/1.0") + b"data: a\n\ndata: half",
}


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("leave", ["source.close()", "location = 'about:blank'"])
@pytest.mark.parametrize("said", FRAMINGS.values(), ids=FRAMINGS)
async def test_an_event_is_seen_at_once_and_the_page_leaves_at_once(
    tab: Page,
    said: bytes,
    leave: str,
    proxied: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Nothing waits for the end of a stream, on either way; and the backend hears of that end (P6: no orphan)."""
    script = Script([said], hangs_up=False)
    async with backend_of(script) as (backend, upstream), way(upstream, proxied=proxied) as url:
        await tab.goto(url + "/")
        await tab.evaluate(f"void ({WATCH})(['/api/sessions/events', false, ''])")
        await tab.wait_for_function("seen.length >= 2", timeout=PATIENCE * 1000)
        assert await tab.evaluate("seen.map(one => one.slice(0, 2))") == [["open", 1], ["message", "a"]]
        assert not backend.left.is_set()
        await tab.evaluate(leave)
        async with asyncio.timeout(PATIENCE):
            await backend.left.wait()


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_page_waits_as_long_as_it_is_told_before_it_comes_again(
    tab: Page,
    proxied: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Section 9.2.3: the reconnection time is the backend's to choose."""
    times: list[float] = []

    class Timed(Backend):
        async def _answer(self, asked: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            goes_on = await super()._answer(asked, reader, writer)
            times.append(asyncio.get_running_loop().time())
            return goes_on

    scripts = streams(b"retry: 400\n\ndata: a\n\n"), streams(END)
    async with backend_of(*scripts, kind=Timed) as (_, upstream), way(upstream, proxied=proxied) as url:
        await tab.goto(url + "/")
        async with asyncio.timeout(PATIENCE):
            await tab.evaluate(WATCH, ["/api/sessions/events", False, ""])
    assert times[-1] - times[-2] >= 0.4
