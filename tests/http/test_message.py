"""Bodies under way, and answers in whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.http.message import PIECE, Answer, Body, Expectation
from proxy.http.room import Room
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(body: Body) -> list[bytes]:
    return [chunk async for chunk in body.chunks]


@in_virtual_time
async def test_one_that_is_at_hand_goes_out_in_pieces() -> None:
    body = Body.of(bytes(PIECE + 1))
    assert (body.length, body.is_whole, body.trailers()) == (PIECE + 1, True, ())
    assert await body.begun(10) is body
    assert [len(chunk) for chunk in await content(body)] == [PIECE, 1]


@pytest.mark.parametrize(
    ("length", "size", "is_whole", "chunks"),
    [
        (4, 3, False, [b"abc", b"d"]),
        (None, 100, True, [b"abcd"]),
        (4, 4, True, [b"abcd"]),
    ],
)
@in_virtual_time
async def test_it_begins_once_so_much_has_come(
    length: int | None, size: int, chunks: list[bytes], *, is_whole: bool
) -> None:
    body = await Body(length, pieces(b"ab", b"c", b"d")).begun(size)
    assert body.is_whole is is_whole
    assert await content(body) == chunks


def test_what_has_gone_on_makes_room() -> None:
    held = Room(1 << 20).held(lambda _: None)
    held.grow(10)
    Body(None, pieces(), held).passed(4)
    assert held.size == 6
    Body(None, pieces()).passed(4)


def test_an_expectation_is_met_once_or_by_somebody_else() -> None:
    told: list[str] = []
    here, there = (Expectation(lambda name=name: told.append(name)) for name in ("here", "there"))  # type: ignore[misc]
    for _ in range(2):
        here.meet()
    there.leave_to_backend()
    there.meet()
    assert told == ["here"]


def test_an_answer_may_say_something_else() -> None:
    answer = Answer(200, b"OK", ((b"content-length", b"5"), (b"A", b"b")), b"hello")
    assert answer.with_body(b"no") == Answer(200, b"OK", ((b"Content-Length", b"2"), (b"A", b"b")), b"no")
