"""An answer while it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.http.chunks import FramingError
from proxy.http.errors import BackendBrokenError
from proxy.http.upstream.arriving import Arriving
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.heads import AnswerHead

OK = b"HTTP/1.1 200 OK\r\n"
FIVE = OK + b"Content-Length: 5\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer:
    """One that arrives, and what is told of it."""

    def __init__(self, method: str = "GET") -> None:
        self.interim: list[int] = []
        self.pieces: list[bytes] = []
        self.ends: list[BaseException | None] = []
        self.arriving = Arriving(method, self._interim, lambda: None)

    def _interim(self, head: AnswerHead) -> None:
        self.interim.append(head.status)

    def feed(self, *pieces: bytes) -> Arriving:
        for piece in pieces:
            self.arriving.feed(piece)
        return self.arriving

    def follow(self) -> None:
        self.arriving.follow(self.pieces.append, self.ends.append)


@in_virtual_time
async def test_the_head_comes_before_the_body() -> None:
    answer = Answer()
    assert not answer.feed(FIVE[:-1]).has_begun
    with pytest.raises(ValueError, match="head has not come"):
        _ = answer.arriving.decoder
    arriving = answer.feed(FIVE[-1:] + b"he")
    assert (await arriving.head()).status == 200
    assert not arriving.is_complete
    answer.feed(b"llo")
    assert await arriving.body.read() == b"hello"
    assert arriving.is_complete


@in_virtual_time
async def test_interim_answers_come_before_it() -> None:
    answer = Answer()
    arriving = answer.feed(CONTINUE + CONTINUE.replace(b"100", b"103") + FIVE + b"hello")
    assert answer.interim == [100, 103]
    assert (await arriving.head()).status == 200
    assert arriving.is_complete


@pytest.mark.parametrize(
    ("method", "head"),
    [("HEAD", FIVE), ("GET", OK.replace(b"200", b"204") + b"\r\n"), ("GET", OK + b"Content-Length: 0\r\n\r\n")],
)
@in_virtual_time
async def test_one_without_a_body_is_complete_with_its_head(method: str, head: bytes) -> None:
    assert Answer(method).feed(head).is_complete


@in_virtual_time
async def test_one_with_something_behind_it_is_not_complete() -> None:
    """F8: the backend may say more than it was asked for, which nobody may take for the next answer."""
    arriving = Answer().feed(FIVE + b"hello", b"HTTP/1.1")
    assert not arriving.is_complete
    assert arriving.decoder.rest == b"HTTP/1.1"


@in_virtual_time
async def test_a_switch_is_final_and_lasts() -> None:
    arriving = Answer().feed(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81")
    assert (await arriving.head()).status == 101
    assert arriving.lasts_as_long_as_its_connection
    assert arriving.body.take() == b"\x81"


@in_virtual_time
async def test_without_framing_the_end_of_the_connection_is_its_end() -> None:
    arriving = Answer().feed(OK + b"\r\n", b"hello")
    assert arriving.lasts_as_long_as_its_connection
    arriving.eof()
    assert arriving.is_complete
    assert not arriving.lasts_as_long_as_its_connection


@pytest.mark.parametrize("wire", [OK, CONTINUE])
@in_virtual_time
async def test_an_end_before_the_head_breaks_it(wire: bytes) -> None:
    arriving = Answer().feed(wire)
    arriving.eof()
    with pytest.raises(FramingError):
        await arriving.head()


@in_virtual_time
async def test_an_end_within_the_body_breaks_it_behind_what_came() -> None:
    arriving = Answer().feed(FIVE + b"he")
    arriving.eof()
    assert await arriving.body.read() == b"he"
    with pytest.raises(FramingError):
        await arriving.body.read()


@in_virtual_time
async def test_a_broken_chunk_breaks_it_behind_what_came() -> None:
    answer = Answer()
    with pytest.raises(BackendBrokenError):
        answer.feed(CHUNKED, b"2\r\nheXX")
    assert answer.arriving.body.take() == b"he"
    with pytest.raises(BackendBrokenError):
        answer.feed(b"XX")


@pytest.mark.parametrize(
    "wire", [b"HTTP/1.1 99 No\r\n\r\n", OK + b"Transfer-Encoding: gzip\r\n\r\n", OK + b"Content-Length: 05\r\n\r\n"]
)
@in_virtual_time
async def test_what_a_browser_could_read_otherwise_is_no_answer(wire: bytes) -> None:
    with pytest.raises(BackendBrokenError):
        Answer().feed(wire)


@in_virtual_time
async def test_the_first_end_counts() -> None:
    arriving = Answer().feed(FIVE + b"hello")
    arriving.end(ConnectionResetError())
    assert arriving.is_complete
    assert (await arriving.head()).status == 200


# -- followers ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_follower_is_given_what_waits_and_what_comes() -> None:
    answer = Answer()
    answer.feed(FIVE + b"he")
    answer.follow()
    assert answer.pieces == [b"he"]
    answer.feed(b"l", b"lo")
    assert (answer.pieces, answer.ends) == ([b"he", b"l", b"lo"], [None])


@in_virtual_time
async def test_whoever_follows_late_is_told_of_the_end_as_well() -> None:
    whole, broken = Answer(), Answer()
    whole.feed(FIVE + b"hello")
    broken.feed(FIVE)
    broken.arriving.end(error := ConnectionResetError())
    for answer in (whole, broken):
        answer.follow()
    assert (whole.pieces, whole.ends) == ([b"hello"], [None])
    assert (broken.pieces, broken.ends) == ([], [error])


@in_virtual_time
async def test_a_follower_is_given_what_came_before_a_broken_chunk() -> None:
    answer = Answer()
    answer.feed(CHUNKED)
    answer.follow()
    with pytest.raises(BackendBrokenError) as broken:
        answer.feed(b"2\r\nheXX")
    answer.arriving.end(broken.value)
    assert (answer.pieces, answer.ends) == ([b"he"], [broken.value])


@in_virtual_time
async def test_a_follower_that_left_is_told_nothing() -> None:
    answer = Answer()
    answer.feed(FIVE)
    answer.follow()
    answer.arriving.leave()
    answer.feed(b"hello")
    assert (answer.pieces, answer.ends) == ([], [])


@in_virtual_time
async def test_the_head_may_be_taken_once() -> None:
    """The body may last for hours, in which nobody keeps it."""
    arriving = Answer().feed(FIVE)
    await arriving.head()
    with pytest.raises(ValueError, match="was taken"):
        await arriving.head()
