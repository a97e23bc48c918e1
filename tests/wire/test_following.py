"""Following an answer: every piece of it is handed on in the call that it arrives in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from proxy.http.errors import BackendBrokenError
from proxy.http.message import Body, RequestHead
from proxy.http.upstream.lanes import Lane
from tests.wire.conftest import PATIENCE, Listener, Proxied, Wire
from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proxy.http.upstream.stream import ResponseStream
    from tests.wire.conftest import Start

HEAD = RequestHead("GET", b"/", ((b"Host", b"h"),))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


class Heard:
    """A sink that keeps what it is given."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[Exception | None] = []
        self._then = then
        self._changed = asyncio.Event()

    def data(self, chunk: bytes) -> None:
        self.pieces.append(chunk)
        self._changed.set()
        self._then()

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)
        self._changed.set()

    async def until(self, condition: Callable[[Heard], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def bytes(self, count: int) -> bytes:
        await self.until(lambda heard: sum(map(len, heard.pieces)) >= count)
        return b"".join(self.pieces)

    async def end(self) -> Exception | None:
        await self.until(lambda heard: heard.ends)
        (error,) = self.ends
        return error


@asynccontextmanager
async def answered(
    proxied: Proxied, backend: Listener, begun: bytes, *, body: Body | None = None
) -> AsyncIterator[tuple[ResponseStream, Wire]]:
    """An answer that has begun with `begun`, and the backend's end of it."""

    async def answer() -> Wire:
        asked = await backend.accept()
        await asked.head()
        await asked.send(begun)
        return asked

    answering = asyncio.create_task(answer())
    async with proxied.upstream.request(HEAD, Lane.RELAYS, body=body) as stream:
        yield stream, await answering


async def all_arrived(stream: ResponseStream) -> None:
    async with asyncio.timeout(PATIENCE):
        while not stream._arriving.body.is_ended:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0)


async def test_pieces_come_as_they_arrive(proxied: Proxied, backend: Listener) -> None:
    """The first of them with the head, and none of them twice."""
    heard = Heard()
    async with answered(proxied, backend, CHUNKED + b"4\r\none \r\n") as (stream, asked):
        stream.follow(heard)
        assert await heard.bytes(4) == b"one "
        await asked.send(b"3\r\ntwo\r\n1\r\n \r\n2\r\nth")
        assert await heard.bytes(10) == b"one two th"
        await asked.send(b"\r\n3\r\nree\r\n0\r\n\r\n")
        assert await heard.end() is None
        assert b"".join(heard.pieces) == b"one two three"


async def test_what_arrived_in_whole_ends_at_once(proxied: Proxied, backend: Listener) -> None:
    heard = Heard()
    async with answered(proxied, backend, CHUNKED + b"3\r\nall\r\n0\r\n\r\n") as (stream, _):
        await all_arrived(stream)
        stream.follow(heard)
        assert (heard.pieces, heard.ends) == ([b"all"], [None])


async def test_an_end_of_file_ends_what_has_no_framing(proxied: Proxied, backend: Listener) -> None:
    heard = Heard()
    async with answered(proxied, backend, UNFRAMED + b"all") as (stream, asked):
        stream.follow(heard)
        await heard.bytes(3)
        asked.close()
        assert await heard.end() is None


@pytest.mark.parametrize(
    ("begun", "leave"),
    [(CHUNKED + b"9\r\npart", Wire.close), (CHUNKED + b"9\r\npart", Wire.reset), (UNFRAMED + b"part", Wire.reset)],
    ids=["chunked, closed", "chunked, reset", "unframed, reset"],
)
async def test_what_breaks_off_says_so(
    proxied: Proxied, backend: Listener, begun: bytes, leave: Callable[[Wire], None]
) -> None:
    heard = Heard()
    async with answered(proxied, backend, begun) as (stream, asked):
        stream.follow(heard)
        await heard.bytes(4)
        leave(asked)
        assert isinstance(await heard.end(), BackendBrokenError)


async def test_what_is_malformed_breaks_off(proxied: Proxied, backend: Listener) -> None:
    heard = Heard()
    async with answered(proxied, backend, CHUNKED + b"4\r\npart\r\n") as (stream, asked):
        stream.follow(heard)
        await heard.bytes(4)
        await asked.send(b"no size\r\n")
        assert isinstance(await heard.end(), BackendBrokenError)


@pytest.mark.parametrize("begun", [CHUNKED + b"4\r\npart\r\n", UNFRAMED + b"part"], ids=["chunked", "unframed"])
async def test_after_an_abort_nothing_is_told(proxied: Proxied, backend: Listener, begun: bytes) -> None:
    """Not even from within a piece."""
    async with answered(proxied, backend, begun) as (stream, asked):
        heard = Heard(then=stream.abort)
        stream.follow(heard)
        await heard.bytes(4)
        assert await asked.hear_end(5.0) < 2.0
        assert (heard.pieces, heard.ends) == ([b"part"], [])


@pytest.mark.parametrize("begun", [CHUNKED + b"4\r\npart\r\n", UNFRAMED + b"part"], ids=["chunked", "unframed"])
async def test_a_request_whose_body_fails_breaks_its_answer_off(
    proxied: Proxied, backend: Listener, begun: bytes
) -> None:
    heard, failing = Heard(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield BEGUN
        await failing.wait()
        raise ZeroDivisionError

    async with answered(proxied, backend, begun, body=Body(1 << 20, chunks())) as (stream, _):
        stream.follow(heard)
        await heard.bytes(4)
        failing.set()
        error = await heard.end()
    assert isinstance(error, BackendBrokenError)


@pytest.mark.parametrize("begun", [CHUNKED + b"4\r\npart\r\n", UNFRAMED + b"part"], ids=["chunked", "unframed"])
async def test_the_request_goes_on_while_its_answer_is_followed(
    proxied: Proxied, backend: Listener, begun: bytes
) -> None:
    """Though it had come to a halt before, since the backend answers first and reads then."""
    heard, size = Heard(), 1 << 20

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield bytes(size)

    async with answered(proxied, backend, begun, body=Body(16 * size, chunks())) as (stream, asked):
        stream.follow(heard)
        await heard.bytes(4)
        async with asyncio.timeout(PATIENCE):
            await asked.take(16 * size)


@pytest.mark.parametrize("more", [(CHUNKED + b"4\r\npart\r\n", b"7fffffff\r\n"), (UNFRAMED + b"part", b"")])
async def test_a_pause_holds_the_backend_back(proxied: Proxied, backend: Listener, more: tuple[bytes, bytes]) -> None:
    """P7: until reading is resumed, and then nothing was lost."""
    async with answered(proxied, backend, more[0]) as (stream, asked):
        heard = Heard(then=stream.pause)
        stream.follow(heard)
        await heard.bytes(4)
        await asked.send(more[1])
        sent = await asked.send_until_blocked(64 << 20)
        arrived = sum(map(len, heard.pieces))

        assert arrived < 1 << 20
        assert sent < 64 << 20
        heard._then = lambda: None
        stream.resume()
        await heard.bytes(arrived + 1)


async def test_the_last_words_of_a_backend_that_breaks_off_are_heard(proxied: Proxied, backend: Listener) -> None:
    heard = Heard()
    async with answered(proxied, backend, UNFRAMED + b"first ") as (stream, asked):
        stream.follow(heard)
        await heard.bytes(6)
        stream.pause()
        await asked.send(b"last")
        asked.reset()
        stream.resume()
        assert isinstance(await heard.end(), BackendBrokenError)
    assert b"first last".startswith(b"".join(heard.pieces))


async def test_what_had_ended_before_it_is_followed_ends_at_once(proxied: Proxied, backend: Listener) -> None:
    heard = Heard()
    async with answered(proxied, backend, UNFRAMED + b"all") as (stream, asked):
        asked.close()
        await all_arrived(stream)
        stream.follow(heard)
        assert (heard.pieces, heard.ends) == ([b"all"], [None])


async def test_a_followed_answer_may_be_silent(start: Start, backend: Listener) -> None:
    """`response_timeout` is for answers that somebody waits for; a relay has limits of its own."""
    proxied, heard = await start(upstream={"response_timeout": 0.1}), Heard()
    async with answered(proxied, backend, CHUNKED + b"4\r\npart\r\n") as (stream, _):
        stream.follow(heard)
        await asyncio.sleep(0.3)
        assert not heard.ends
