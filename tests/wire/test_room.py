"""What is held of all bodies together has a bound, and a small body is served whatever else comes (P7)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from proxy.http.downstream.answers import json_answer
from proxy.http.downstream.response import reply
from proxy.http.room import Room
from proxy.http.upstream.lanes import Lane
from tests.wire.messages import OK

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start, Wire

SIZE = 1 << 20
ROOM = SIZE - SIZE // 8
"""Bytes for bodies that are not small."""

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"


async def hold(request: Request, _upstream: Upstream) -> Response:
    """Answers with the length of the body, once that is there."""
    body = await request.buffered(16 * SIZE)
    return reply(request, json_answer(200, len(body or b"")))


async def send(proxied: Proxied, length: int, come: int) -> Wire:
    """A body of which so much comes."""
    browser = await proxied.browser()
    await browser.send(POST % length + bytes(come))
    return browser


async def until_held(room: Room, size: int) -> None:
    async with asyncio.timeout(5):
        while room.used != size:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def told(browser: Wire) -> tuple[int, object]:
    """Status and body of the answer."""
    head = await browser.head()
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), json.loads(await browser.take(length))


async def test_a_body_that_finds_no_room_is_503_with_retry_after(start: Start) -> None:
    room = Room(SIZE)
    proxied = await start(hold, room=room)
    browser = await send(proxied, 2 * SIZE, 0)
    sending = asyncio.create_task(browser.send(bytes(2 * SIZE)))
    head = await browser.head()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5\r\n" in head
    await sending
    assert b'"no_room"' in await browser.rest()
    assert room.used == 0


async def test_the_largest_gives_way_to_a_smaller_one(start: Start) -> None:
    room = Room(SIZE)
    proxied = await start(hold, room=room)
    large, larger = await send(proxied, SIZE, ROOM // 3), await send(proxied, SIZE, ROOM // 2)
    await until_held(room, ROOM // 3 + ROOM // 2)
    other = await send(proxied, ROOM // 4, ROOM // 4)
    assert await told(other) == (200, ROOM // 4)
    assert (await larger.head()).startswith(b"HTTP/1.1 503 ")
    await large.send(bytes(SIZE // 2 - ROOM // 3))
    await until_held(room, SIZE // 2)


async def test_a_message_is_taken_whatever_is_being_sent(start: Start) -> None:
    """Many large bodies at once, that all go on coming."""
    room = Room(SIZE)
    proxied = await start(hold, room=room)
    flooding = [asyncio.create_task(flood(proxied)) for _ in range(20)]
    for _ in range(20):
        browser = await send(proxied, 1000, 1000)
        assert await told(browser) == (200, 1000)
        assert room.used <= SIZE
    for flood_ in flooding:
        flood_.cancel()
    await asyncio.wait(flooding)


async def flood(proxied: Proxied) -> None:
    while True:
        browser = await send(proxied, SIZE, 0)
        for _ in range(16):
            try:
                await browser.send(bytes(SIZE // 16))
            except ConnectionError:
                break
            await asyncio.sleep(0)
        browser.close()


async def test_nothing_is_held_of_who_left(start: Start) -> None:
    room = Room(SIZE)
    proxied = await start(hold, room=room)
    browsers = [await send(proxied, SIZE, 1000) for _ in range(10)]
    await until_held(room, 10_000)
    for browser in browsers:
        browser.close()
    await until_held(room, 0)


async def test_what_streams_is_held_only_until_it_has_gone_on(start: Start, backend: Listener) -> None:
    room = Room(SIZE)
    proxied = await start(room=room)
    browser = await send(proxied, 16 * SIZE, 0)
    sending = asyncio.create_task(browser.send(bytes(16 * SIZE)))
    asked = await backend.accept()
    await asked.head()
    await asked.take(16 * SIZE)
    await until_held(room, 0)
    await asked.send(OK)
    assert (await browser.until(b"ok")).startswith(b"HTTP/1.1 200 ")
    await sending


async def test_what_waits_for_a_slot_is_held(start: Start, backend: Listener) -> None:
    room = Room(SIZE)
    proxied = await start(room=room, bounds={**dict.fromkeys(Lane, 1)})
    await send(proxied, 10, 10)
    await (await backend.accept()).head()
    waiting = await send(proxied, 1000, 1000)
    await until_held(room, 1000)
    waiting.close()
    await until_held(room, 0)
