"""Asking Hermes in whole answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.backend.backend import Backend
from proxy.http.errors import AnswerTooLargeError
from proxy.http.message import Body, RequestHead
from proxy.http.upstream.lanes import Lane
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.http.upstream.upstream import Upstream


class Stream:
    """An answer that arrives in two pieces."""

    status = 200
    reason = b"OK"
    headers = ((b"Content-Type", b"application/json"), (b"Connection", b"close"))

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b'{"a":'
        yield b" 1}"


class Upstreams:
    """Keeps what is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[RequestHead, Lane, dict[str, Any]]] = []

    @asynccontextmanager
    async def request(self, head: RequestHead, lane: Lane, **how: Any) -> AsyncIterator[Stream]:
        self.asked.append((head, lane, how))
        yield Stream()


@pytest.fixture
def upstreams() -> Upstreams:
    return Upstreams()


def backend(upstreams: Upstreams, *, answer_limit: int = 100) -> Backend:
    return Backend(cast("Upstream", upstreams), answer_limit=answer_limit)


@in_virtual_time
async def test_an_answer_is_held_in_whole_without_its_hop(upstreams: Upstreams) -> None:
    answer = await backend(upstreams).ask(RequestHead("GET", b"/"))

    assert (answer.status, answer.reason, answer.body) == (200, b"OK", b'{"a": 1}')
    assert answer.headers == ((b"Content-Type", b"application/json"),)


@in_virtual_time
async def test_an_answer_over_the_limit_is_not_held(upstreams: Upstreams) -> None:
    """P7: every buffer has a size."""
    with pytest.raises(AnswerTooLargeError):
        await backend(upstreams, answer_limit=7).ask(RequestHead("GET", b"/"))


@in_virtual_time
async def test_a_request_goes_out_once_on_the_lane_that_never_waits(upstreams: Upstreams) -> None:
    """F7; and a cancel is a GET that must not be repeated."""
    head, body = RequestHead("GET", b"/api/chat/cancel?stream_id=x"), Body.of(b"")
    await backend(upstreams).ask(head, body)

    assert upstreams.asked == [(head, Lane.CONTROL, {"body": body, "repeatable": False})]


@in_virtual_time
async def test_a_status_is_asked_for_with_the_callers_own_credentials(upstreams: Upstreams) -> None:
    """P9; and without what would make another answer of it."""
    caller = (
        (b"Host", b"hermes"),
        (b"Cookie", b"a=1"),
        (b"Authorization", b"Bearer x"),
        (b"If-None-Match", b'"etag"'),
        (b"if-modified-since", b"yesterday"),
        (b"Range", b"bytes=0-1"),
        (b"Accept-Encoding", b"br"),
        (b"Content-Length", b"5"),
    )
    await backend(upstreams).ask_status("a&b=c/ü", caller)

    head, lane, how = upstreams.asked[0]
    assert (head.method, head.target) == ("GET", b"/api/chat/stream/status?stream_id=a%26b%3Dc%2F%C3%BC")
    assert head.headers == caller[:3]
    assert (lane, how["repeatable"]) == (Lane.CONTROL, True)


@in_virtual_time
async def test_health_is_asked_for_in_nobodys_name(upstreams: Upstreams) -> None:
    await backend(upstreams).ask_health()

    head, lane, how = upstreams.asked[0]
    assert (head, lane, how["repeatable"]) == (RequestHead("GET", b"/health"), Lane.CONTROL, True)


@in_virtual_time
async def test_a_session_is_asked_for_without_its_messages_in_the_callers_name(upstreams: Upstreams) -> None:
    """P9; with its messages it can be megabytes."""
    await backend(upstreams).ask_session("a&b", ((b"Cookie", b"a=1"), (b"Range", b"bytes=0-1")))

    head, _, how = upstreams.asked[0]
    assert (head.method, head.target) == ("GET", b"/api/session?session_id=a%26b&messages=0&resolve_model=0")
    assert head.headers == ((b"Cookie", b"a=1"),)
    assert how["repeatable"]
