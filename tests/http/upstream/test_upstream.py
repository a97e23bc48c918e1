"""Requests to the backend: how they go out, on which connection, and whose slot they hold."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from proxy.http.errors import BackendBrokenError, BackendUnreachableError, NoCapacityError
from proxy.http.message import Body, Expectation, RequestHead
from proxy.http.upstream.exchange import BEGUN
from proxy.http.upstream.lanes import Lane
from tests.http.upstream.backend import EVENTS, GET, OK, POST, Backend, pieces
from tests.support.transport import turns
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.http.heads import AnswerHead
    from proxy.http.upstream.exchange import Exchange
    from proxy.http.upstream.stream import ResponseStream
    from proxy.http.upstream.upstream import Upstream

BOUNDS = {Lane.CONTROL: 1, Lane.CALLS: 2, Lane.RELAYS: 1}


class Asking:
    """An exchange under way in a task of its own, until it is told to leave."""

    def __init__(self, exchange: Exchange) -> None:
        self._leave = asyncio.Event()
        self.stream: asyncio.Future[ResponseStream] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._ask(exchange))

    async def _ask(self, exchange: Exchange) -> None:
        async with exchange as stream:
            self.stream.set_result(stream)
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def sent(upstream: Upstream, backend: Backend, head: RequestHead, **asked: Any) -> bytes:
    """What the backend is sent."""
    asking = Asking(upstream.request(head, Lane.CALLS, **asked))
    await turns()
    wire = await backend.wires[-1].hear()
    asking.task.cancel()
    await asyncio.wait({asking.task})
    return wire


@asynccontextmanager
async def answered(upstream: Upstream, backend: Backend, answer: bytes, **asked: Any) -> AsyncIterator[ResponseStream]:
    asking = Asking(upstream.request(asked.pop("head", GET), asked.pop("lane", Lane.CALLS), **asked))
    await turns()
    await backend.wires[-1].say(answer)
    yield await asking.stream
    await asking.leave()


def in_use(upstream: Upstream) -> list[int]:
    return [upstream.lanes.in_use(lane) for lane in Lane]


# -- how it goes out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "asked", "wire"),
    [
        (GET, {}, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        (RequestHead("GET", b"/"), {}, b"GET / HTTP/1.1\r\nHost: backend\r\n\r\n"),
        (GET, {"repeatable": False}, b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        (POST, {}, b"POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        (
            GET,
            {"upgrade": b"websocket"},
            b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
    ],
)
@in_virtual_time
async def test_a_request_goes_out_as_it_is(head: RequestHead, asked: dict[str, Any], wire: bytes) -> None:
    backend = Backend()
    assert await sent(backend.asked_by(), backend, head, **asked) == wire


@in_virtual_time
async def test_a_body_is_framed_unless_it_says_how_it_ends() -> None:
    backend = Backend()
    upstream = backend.asked_by()
    stated = RequestHead("POST", b"/p", (*POST.headers, (b"content-length", b"2"), (b"Trailer", b"T")))
    assert await sent(upstream, backend, stated, body=Body.of(b"ok")) == (
        b"POST /p HTTP/1.1\r\nHost: h\r\ncontent-length: 2\r\nConnection: close\r\n\r\nok"
    )
    assert b"\r\nContent-Length: 2\r\n" in await sent(upstream, backend, POST, body=Body.of(b"ok"))
    assert (await sent(upstream, backend, POST, body=Body(None, pieces(b"ok")))).endswith(
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )


# -- connections ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_connection_is_shared_by_those_who_may() -> None:
    backend = Backend()
    upstream = backend.asked_by()
    for _ in range(3):
        async with answered(upstream, backend, OK) as stream:
            assert stream.arrived() == b"ok"
    assert len(backend.wires) == 1
    async with answered(upstream, backend, OK, head=POST):
        pass
    assert [wire.is_open for wire in backend.wires] == [True, False]
    upstream.close()
    assert not backend.wires[0].is_open


@in_virtual_time
async def test_an_idle_connection_that_died_is_asked_in_vain_once() -> None:
    """RFC 9112 section 9.3.1."""
    backend = Backend()
    upstream = backend.asked_by()
    async with answered(upstream, backend, OK):
        pass
    asking = Asking(upstream.request(GET, Lane.CALLS))
    await turns()
    await backend.wires[0].hang_up(ConnectionResetError())
    await backend.wires[1].say(OK)
    assert (await asking.stream).status == 200
    await asking.leave()


@in_virtual_time
async def test_one_that_began_to_answer_is_not_asked_again() -> None:
    backend = Backend()
    upstream = backend.asked_by()
    async with answered(upstream, backend, OK):
        pass
    asking = Asking(upstream.request(GET, Lane.CALLS))
    await turns()
    await backend.wires[0].say(b"H")
    await backend.wires[0].hang_up()
    with pytest.raises(BackendBrokenError):
        await asking.task
    assert len(backend.wires) == 1


@pytest.mark.parametrize("answer", [OK[:-1], OK + b"more", EVENTS])
@in_virtual_time
async def test_an_answer_that_is_not_complete_takes_its_connection_along(answer: bytes) -> None:
    backend = Backend()
    async with answered(backend.asked_by(), backend, answer):
        pass
    assert backend.wires[0].transport.was_aborted


@in_virtual_time
async def test_a_connection_that_the_backend_closes_is_closed() -> None:
    backend = Backend()
    async with answered(backend.asked_by(), backend, OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)):
        pass
    assert not backend.wires[0].is_open
    assert not backend.wires[0].transport.was_aborted


# -- slots ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_slot_is_held_until_the_end() -> None:
    backend = Backend()
    upstream = backend.asked_by(BOUNDS)
    async with answered(upstream, backend, OK):
        assert in_use(upstream) == [0, 1, 0]
    assert in_use(upstream) == [0, 0, 0]


@in_virtual_time
async def test_a_slot_is_given_back_whatever_happens() -> None:
    backend = Backend()
    backend.refuses = BackendUnreachableError("nobody there")
    upstream = backend.asked_by(BOUNDS)
    with pytest.raises(BackendUnreachableError):
        await Asking(upstream.request(GET, Lane.CALLS)).task
    assert in_use(upstream) == [0, 0, 0]


@in_virtual_time
async def test_an_event_stream_holds_a_slot_of_the_relays() -> None:
    backend = Backend()
    upstream = backend.asked_by(BOUNDS)
    async with answered(upstream, backend, EVENTS):
        assert in_use(upstream) == [0, 0, 1]
        asking = Asking(upstream.request(GET, Lane.CALLS))
        await turns()
        await backend.wires[1].say(EVENTS)
        with pytest.raises(NoCapacityError):
            await asking.task
        assert backend.wires[1].transport.was_aborted
    assert in_use(upstream) == [0, 0, 0]
    async with answered(upstream, backend, EVENTS, lane=Lane.RELAYS):
        assert in_use(upstream) == [0, 0, 1]


@in_virtual_time
async def test_a_body_that_is_still_to_come_never_goes_by_control() -> None:
    backend = Backend()
    upstream = backend.asked_by(BOUNDS)
    for body, lanes in ((Body.of(b"ok"), [1, 0, 0]), (Body(None, pieces(bytes(BEGUN), b"x")), [0, 1, 0])):
        async with answered(upstream, backend, OK, head=POST, lane=Lane.CONTROL, body=body):
            assert in_use(upstream) == lanes


# -- expectations ---------------------------------------------------------------------------------


class Waiting:
    """A browser that waits to be told to send its body."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.expectation = Expectation(lambda: self.told.append("here"))
        self.body = Body(2, pieces(b"ok"), expectation=self.expectation)

    def interim(self, head: AnswerHead) -> None:
        self.told.append(head.status)


@in_virtual_time
async def test_the_backend_itself_says_whether_a_body_may_come() -> None:
    backend, waiting = Backend(), Waiting()
    upstream = backend.asked_by(BOUNDS)
    asking = Asking(upstream.request(POST, Lane.CONTROL, body=waiting.body, interim=waiting.interim))
    await turns()
    assert b"\r\nExpect: 100-continue\r\n" in await backend.wires[0].hear()
    assert (upstream.ahead, in_use(upstream)) == (1, [0, 1, 0])
    await backend.wires[0].say(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    await asking.stream
    assert waiting.told == [100]
    await asking.leave()
    assert (upstream.ahead, in_use(upstream)) == (0, [0, 0, 0])


@pytest.mark.parametrize("taken", ["ahead", "slots", "interim"])
@in_virtual_time
async def test_otherwise_its_body_is_awaited_first(taken: str) -> None:
    """Each of them holds a thread of the backend for a browser that may never send."""
    backend, waiting = Backend(), Waiting()
    upstream = backend.asked_by(BOUNDS)
    if taken == "ahead":
        upstream.ahead = upstream.most_ahead
    if taken == "slots":
        upstream.lanes.resize({**BOUNDS, Lane.CALLS: 0})
    asked: dict[str, Any] = {} if taken == "interim" else {"interim": waiting.interim}
    asking = Asking(upstream.request(POST, Lane.CONTROL, body=waiting.body, **asked))
    await turns()
    assert b"Expect" not in await backend.wires[0].hear()
    asking.task.cancel()
    await asyncio.wait({asking.task})
