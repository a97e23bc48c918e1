"""No lane keeps another from the backend (F7)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proxy.http.forward import forward
from proxy.http.upstream.lanes import Lane
from tests.wire.conftest import Stopwatch
from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start, Wire

BOUNDS = {Lane.CONTROL: 2, Lane.CALLS: 5, Lane.RELAYS: 20}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def by_path(request: Request, upstream: Upstream) -> Response:
    return await forward(request, upstream, Lane(request.target[1:].decode()))


async def hold(proxied: Proxied, backend: Listener, lane: Lane) -> Wire:
    """Take one slot of a lane and leave it taken."""
    browser = await proxied.browser()
    await browser.send(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % lane.value.encode())
    await (await backend.accept()).head()
    return browser


async def test_a_stop_gets_through_with_every_other_slot_taken(start: Start, backend: Listener) -> None:
    proxied = await start(by_path, bounds=BOUNDS)
    for lane in (Lane.CALLS, Lane.RELAYS):
        for _ in range(BOUNDS[lane]):
            await hold(proxied, backend, lane)
    waiting = [await proxied.browser() for _ in range(10)]
    for browser in waiting:
        await browser.send(b"GET /calls HTTP/1.1\r\nHost: h\r\n\r\n")
    stopping = await proxied.browser()
    async with Stopwatch() as watch:
        await stopping.send(b"GET /control HTTP/1.1\r\nHost: h\r\n\r\n")
        asked = await backend.accept()
        assert (await asked.head()).startswith(b"GET /control ")
        await asked.send(OK)
        assert await stopping.until(b"ok") == OK
        assert watch.seconds < 0.1


async def test_full_relay_lane_is_503_at_once_with_retry_after(start: Start, backend: Listener) -> None:
    proxied = await start(by_path, bounds=BOUNDS, lane_wait=5.0)
    for _ in range(BOUNDS[Lane.RELAYS]):
        await hold(proxied, backend, Lane.RELAYS)
    browser = await proxied.browser()
    async with Stopwatch() as watch:
        await browser.send(b"GET /relays HTTP/1.1\r\nHost: h\r\n\r\n")
        head = await browser.head()
        assert watch.seconds < 0.1
    assert head.startswith(b"HTTP/1.1 503 ")
    assert 2 <= int(head.partition(b"Retry-After: ")[2].partition(b"\r\n")[0]) <= 6
    assert json.loads(await browser.rest())["code"] == "no_capacity"


async def test_full_call_lane_is_503_after_a_while(start: Start, backend: Listener) -> None:
    proxied = await start(by_path, bounds=BOUNDS, lane_wait=0.2)
    for _ in range(BOUNDS[Lane.CALLS]):
        await hold(proxied, backend, Lane.CALLS)
    browser = await proxied.browser()
    await browser.send(b"GET /calls HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await browser.head()).startswith(b"HTTP/1.1 503 ")


async def test_call_takes_the_slot_that_becomes_free(start: Start, backend: Listener) -> None:
    proxied = await start(by_path, bounds=BOUNDS)
    held = [await hold(proxied, backend, Lane.CALLS) for _ in range(BOUNDS[Lane.CALLS])]
    browser = await proxied.browser()
    await browser.send(b"GET /calls HTTP/1.1\r\nHost: h\r\n\r\n")
    assert await backend.nobody_comes(0.05)
    held[0].close()
    asked = await backend.accept()
    await asked.head()
    await asked.send(OK)
    assert await browser.until(b"ok") == OK


ANNOUNCED = b"POST /%b HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n"
GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"


async def announce(proxied: Proxied, lane: Lane, body: bytes = b"") -> Wire:
    """A body of which no more comes."""
    browser = await proxied.browser()
    await browser.send(ANNOUNCED % lane.value.encode() + body)
    return browser


async def is_answered(proxied: Proxied, backend: Listener, lane: Lane) -> bool:
    """Whether the backend hears of the next request, though there are others."""
    browser = await proxied.browser()
    await browser.send(GET % lane.value.encode())
    asked = await backend.accept()
    assert (await asked.head()).startswith(b"GET /")
    await asked.send(OK)
    return await browser.until(b"ok") == OK


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("body", [b"", b"x" * 60_000], ids=["nothing", "some of it"])
async def test_a_body_that_does_not_come_holds_no_slot(
    start: Start, backend: Listener, lane: Lane, body: bytes
) -> None:
    """``slowhttptest -B``: as many as there are slots, and as many again."""
    proxied = await start(by_path, bounds=BOUNDS)
    for _ in range(2 * BOUNDS[lane]):
        await announce(proxied, lane, body)
    assert await is_answered(proxied, backend, lane)


async def test_control_is_free_of_bodies_that_are_still_coming(start: Start, backend: Listener) -> None:
    """However much of them has come, they are uploads, and a Stop does not wait for uploads."""
    proxied = await start(by_path, bounds=BOUNDS)
    for _ in range(2 * BOUNDS[Lane.CONTROL]):
        await announce(proxied, Lane.CONTROL, BEGUN)
        assert (await (await backend.accept()).head()).startswith(b"POST /control ")
    assert proxied.upstream.lanes.in_use(Lane.CONTROL) == 0
    assert await is_answered(proxied, backend, Lane.CONTROL)


@pytest.mark.parametrize("lane", Lane)
async def test_a_body_that_is_there_goes_by_its_own_lane(start: Start, backend: Listener, lane: Lane) -> None:
    proxied = await start(by_path, bounds=BOUNDS)
    browser = await proxied.browser()
    await browser.send(b"POST /%b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi" % lane.value.encode())
    asked = await backend.accept()
    await asked.until(b"\r\n\r\nhi")
    assert [proxied.upstream.lanes.in_use(each) for each in Lane] == [each is lane for each in Lane]


SSE = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n: here\n\n"


async def observe(proxied: Proxied, backend: Listener) -> Wire:
    """An event stream that nobody could have known for one by its request."""
    browser = await proxied.browser()
    await browser.send(GET % Lane.CALLS.value.encode())
    asked = await backend.accept()
    await asked.head()
    await asked.send(SSE)
    return browser


async def test_an_answer_that_is_an_event_stream_holds_no_slot_of_another_lane(start: Start, backend: Listener) -> None:
    proxied = await start(by_path, bounds=BOUNDS)
    observing = [await observe(proxied, backend) for _ in range(2 * BOUNDS[Lane.CALLS])]
    for browser in observing:
        await browser.until(b": here\n\n")
    lanes = proxied.upstream.lanes
    assert (lanes.in_use(Lane.CALLS), lanes.in_use(Lane.RELAYS)) == (0, len(observing))
    assert await is_answered(proxied, backend, Lane.CALLS)


async def test_an_event_stream_too_many_is_503_and_leaves_the_backend(start: Start, backend: Listener) -> None:
    proxied = await start(by_path, bounds={**BOUNDS, Lane.RELAYS: 1})
    await (await observe(proxied, backend)).until(b": here\n\n")
    refused = await observe(proxied, backend)
    assert (await refused.head()).startswith(b"HTTP/1.1 503 ")
    assert b'"no_capacity"' in await refused.until(b"}")
    assert await backend.accepted[-1].hear_end(5.0) < 2.0
    assert proxied.upstream.lanes.in_use(Lane.CALLS) == 0
