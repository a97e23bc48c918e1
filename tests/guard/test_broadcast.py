"""One upstream's bytes, on their way to its browsers."""

import asyncio

import pytest

from proxy.guard.broadcast import Broadcast, Subscription
from tests.support.virtual_time import in_virtual_time


async def take_all(subscription: Subscription, *, pause: float = 0.0) -> list[bytes]:
    """The pieces that a browser gets which is busy for `pause` seconds with each."""
    pieces = []
    async for piece in subscription.chunks():
        pieces.append(piece)
        await asyncio.sleep(pause)
    return pieces


@in_virtual_time
async def test_what_waits_is_taken_in_order_and_in_one_piece() -> None:
    broadcast = Broadcast()
    subscription = broadcast.subscribe(limit=100)
    assert subscription.is_empty
    for chunk in (b"one ", b"two ", b"three"):
        await broadcast.publish(chunk)
    assert not subscription.is_empty
    broadcast.close()

    assert await take_all(subscription) == [b"one two three"]
    assert subscription.is_empty


@in_virtual_time
async def test_a_browser_that_keeps_up_gets_every_chunk_as_it_comes() -> None:
    broadcast = Broadcast()
    taking = asyncio.create_task(take_all(broadcast.subscribe(limit=100)))
    for chunk in (b"one", b"two"):
        await broadcast.publish(chunk)
        await asyncio.sleep(1)
    broadcast.close()

    assert await taking == [b"one", b"two"]


@in_virtual_time
async def test_publishing_waits_until_a_slow_browser_has_room() -> None:
    """P7: the upstream is held back; a browser that is 10 s a piece sets its pace."""
    loop = asyncio.get_running_loop()
    broadcast = Broadcast()
    taking = asyncio.create_task(take_all(broadcast.subscribe(limit=4), pause=10))
    published = [(await broadcast.publish(b"full"), loop.time()) for _ in range(3)]
    broadcast.close()

    assert published == [(True, 0), (True, 10), (True, 20)]
    assert await taking == [b"full", b"full", b"full"]


@in_virtual_time
async def test_below_the_limit_nobody_waits() -> None:
    broadcast = Broadcast()
    broadcast.subscribe(limit=4)

    waited = await broadcast.publish(b"abc")

    assert not waited
    assert asyncio.get_running_loop().time() == 0


@in_virtual_time
async def test_a_chunk_over_the_limit_is_passed_on_whole() -> None:
    broadcast = Broadcast()
    taking = asyncio.create_task(take_all(broadcast.subscribe(limit=4)))
    await broadcast.publish(b"longer than the limit")
    broadcast.close()

    assert await taking == [b"longer than the limit"]


@in_virtual_time
async def test_a_slow_browser_does_not_keep_a_chunk_from_another() -> None:
    """Both have it before the next one is waited for."""
    broadcast = Broadcast()
    broadcast.subscribe(limit=1)
    quick = broadcast.subscribe(limit=1)
    publishing = asyncio.create_task(broadcast.publish(b"chunk"))

    assert await anext(quick.chunks()) == b"chunk"
    assert not publishing.done(), "the other one has not taken it"
    publishing.cancel()


@in_virtual_time
async def test_a_browser_gets_what_is_published_from_its_subscription_on() -> None:
    broadcast = Broadcast()
    await broadcast.publish(b"before ")
    subscription = broadcast.subscribe(limit=100)
    await broadcast.publish(b"after")
    broadcast.close()

    assert await take_all(subscription) == [b"after"]


@in_virtual_time
async def test_the_last_words_come_behind_the_backlog_without_waiting_for_room() -> None:
    broadcast = Broadcast()
    one, two = broadcast.subscribe(limit=1), broadcast.subscribe(limit=100)
    one.put(b"backlog ")
    broadcast.close(b"last")

    assert await take_all(one) == [b"backlog last"]
    assert await take_all(two) == [b"last"]


@in_virtual_time
async def test_an_error_is_raised_once_the_backlog_has_been_taken() -> None:
    broadcast = Broadcast()
    chunks = broadcast.subscribe(limit=100).chunks()
    await broadcast.publish(b"backlog")
    broadcast.close(error=ConnectionError("broken"))

    assert await anext(chunks) == b"backlog"
    with pytest.raises(ConnectionError, match="broken"):
        await anext(chunks)


@in_virtual_time
async def test_an_end_without_a_word_wakes_a_browser_that_waits() -> None:
    broadcast = Broadcast()
    taking = asyncio.create_task(take_all(broadcast.subscribe(limit=100)))
    await asyncio.sleep(1)
    broadcast.close()

    assert await taking == []
