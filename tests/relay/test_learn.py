"""Calls that pass unchanged while the guard reads along."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.http.downstream.request import Request
from proxy.http.errors import BackendBrokenError
from proxy.http.headers import RawHeaders
from proxy.http.message import RequestHead
from proxy.http.upstream.lanes import Lane
from proxy.relay import learn
from proxy.relay.learn import READ_ALONG, pass_and_learn
from tests.support.notes import Notes
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.upstream.upstream import Upstream


class Asking:
    """A browser's request."""

    def head(self) -> RequestHead:
        return RequestHead("GET", b"/health")

    def body(self) -> None:
        return None


class Exchange:
    """A backend's answer in pieces, what the browser gets of it, and what is read along."""

    status = 200
    headers: RawHeaders = ()
    trailers: RawHeaders = ()

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.notes = Notes()
        self.pieces = pieces
        self.lanes: list[Lane] = []
        self.written: list[bytes] = []
        self.ended = False
        self.read: list[tuple[int, bytes, float]] = []

    @asynccontextmanager
    async def request(self, _head: RequestHead, lane: Lane, **_asked: object) -> AsyncIterator["Exchange"]:
        self.lanes.append(lane)
        yield self

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def write(self, piece: bytes) -> None:
        self.written.append(piece)

    def end(self, _trailers: RawHeaders = ()) -> None:
        self.ended = True

    async def take_note(self, status: int, body: bytes, asked: float) -> None:
        assert not self.ended, "whoever asks next is answered with what this one has taught"
        self.read.append((status, body, asked))

    async def run(self, read: learn.Read | None = None) -> None:
        upstream = cast("Upstream", self)
        await pass_and_learn(cast("Request", Asking()), upstream, lambda: 7.0, read or self.take_note, self.notes)


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(_request: Request, stream: Any) -> Any:
        return stream

    monkeypatch.setattr(learn, "begin", begin)


@in_virtual_time
async def test_an_answer_passes_piece_by_piece_and_is_read_as_a_whole() -> None:
    exchange = Exchange(b'{"a":', b" 1}")
    await exchange.run()

    assert exchange.lanes == [Lane.CONTROL]
    assert exchange.written == [b'{"a":', b" 1}"]
    assert exchange.ended
    assert exchange.read == [(200, b'{"a": 1}', 7.0)]


@in_virtual_time
async def test_an_answer_of_the_most_that_is_kept_is_read() -> None:
    exchange = Exchange(bytes(READ_ALONG))
    await exchange.run()

    assert [len(body) for _, body, _ in exchange.read] == [READ_ALONG]


@in_virtual_time
async def test_a_longer_answer_passes_unread() -> None:
    """P7: nothing is kept for reading's sake."""
    pieces = [bytes(READ_ALONG), b"and", b"more"]
    exchange = Exchange(*pieces)
    await exchange.run()

    assert exchange.written == pieces
    assert exchange.ended
    assert exchange.read == []


@in_virtual_time
async def test_an_answer_that_breaks_off_teaches_nothing() -> None:
    exchange = Exchange(b'{"a"', BackendBrokenError("gone"))
    with pytest.raises(BackendBrokenError):
        await exchange.run()

    assert exchange.read == []
    assert not exchange.ended


@in_virtual_time
async def test_a_mistake_in_reading_is_nothing_to_the_browser() -> None:
    """P8: transparent on an internal error."""

    async def mistaken(_status: int, _body: bytes, _asked: float) -> None:
        raise ValueError("a mistake")

    exchange = Exchange(b"{}")
    await exchange.run(mistaken)

    assert exchange.ended
    assert exchange.notes.of("internal_error") == [{"step": "learning from an answer"}]
