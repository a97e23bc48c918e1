"""What becomes of a request and of its connection, whatever its handler does."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from proxy.http.downstream.observer import Observer
from proxy.http.downstream.response import begin, reply
from proxy.http.errors import BackendBrokenError, NoCapacityError, RequestTimeoutError
from tests.http.downstream.browser import GET, OK, STRANGER, Browser, say_ok_to_a_full_browser
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    import pytest

    from proxy.events.event import Event
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response

OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST /p?secret HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"


class Backend:
    status, reason = 200, b"OK"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Told:
    """What an observer tells."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.observer = Observer(self._report, slow_after=1.0)

    def _report(self, event: Event) -> None:
        self.events.append((event.name, event.fields()))


def failing(error: BaseException, *, late: bool = False) -> Browser:
    """Its handler fails, at once or behind the head of an answer."""

    async def handle(request: Request) -> Response:
        if late:
            begin(request, Backend())
        raise error

    return Browser(handle)


def code(wire: bytes) -> str:
    fields: dict[str, str] = json.loads(wire.partition(b"\r\n\r\n")[2])
    return fields["code"]


@in_virtual_time
async def test_an_error_becomes_an_answer_and_ends_the_connection() -> None:
    browser = failing(NoCapacityError("None is free.", retry_after=2))
    got = await browser.send(GET)
    assert got.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 2\r\nConnection: close\r\n\r\n" in got
    assert code(got) == "no_capacity"
    assert not browser.is_open
    assert browser.asked[0].account.error == "no_capacity"


@in_virtual_time
async def test_a_mistake_is_logged_without_the_query_and_told_without_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        got = await failing(ValueError("secret")).send(POST)
    assert code(got) == "internal_error"
    assert b"secret" not in got
    assert [record.getMessage() for record in caplog.records] == ["POST /p failed"]


@in_virtual_time
async def test_an_error_behind_a_head_is_told_by_the_framing() -> None:
    browser = failing(BackendBrokenError("gone"), late=True)
    assert (await browser.send(GET)).endswith(b"chunked\r\n\r\n")
    assert not browser.is_open
    assert not browser.transport.was_aborted


@in_virtual_time
async def test_in_http_1_0_only_a_reset_tells_it() -> None:
    """RFC 9112 section 6.3."""
    browser = failing(BackendBrokenError("gone"), late=True)
    await browser.send(OLD)
    assert browser.transport.was_aborted


@in_virtual_time
async def test_a_browser_that_is_gone_is_told_nothing() -> None:
    browser = failing(ConnectionResetError())
    assert await browser.send(GET) == b""
    assert browser.transport.was_aborted
    assert browser.asked[0].account.left


@in_virtual_time
async def test_a_browser_that_leaves_while_it_is_told_is_gone() -> None:
    async def handle(request: Request) -> Response:
        request.connection.writer.transport.close()  # type: ignore[union-attr]
        raise NoCapacityError("")

    browser = Browser(handle)
    assert await browser.send(GET) == b""
    assert browser.asked[0].account.left


@in_virtual_time
async def test_the_rest_of_a_refused_body_is_read_so_that_the_refusal_arrives() -> None:
    """RFC 9112 section 9.6."""
    browser = failing(NoCapacityError(""))
    assert b"503" in await browser.send(POST + b"he")
    assert browser.transport.has_ended
    assert browser.is_open
    await asyncio.sleep(20.0)
    assert browser.transport.was_aborted


@in_virtual_time
async def test_behind_a_body_that_came_too_late_nothing_is_read() -> None:
    browser = failing(RequestTimeoutError(""))
    assert b"408" in await browser.send(POST + b"he")
    assert not browser.is_open


@in_virtual_time
async def test_a_handler_may_leave_the_rest_of_its_answer_for_later() -> None:
    async def handle(request: Request) -> Response:
        response = begin(request, Backend())

        async def rest() -> None:
            response.send(b"rest")

        response.rest = rest
        return response

    assert (await Browser(handle).send(GET)).endswith(b"4\r\nrest\r\n0\r\n\r\n")


@in_virtual_time
async def test_the_end_of_an_answer_is_waited_for_as_well() -> None:
    browser = Browser(say_ok_to_a_full_browser)
    assert (await browser.send(GET)).endswith(b"ok")
    assert not browser.connection.is_idle
    browser.connection.resume_writing()
    await browser.hear()
    assert browser.connection.is_idle


@in_virtual_time
async def test_a_slow_request_is_told_of_and_an_ended_one() -> None:
    told = Told()

    async def handle(request: Request) -> Response:
        await asyncio.sleep(1.5)
        return reply(request, OK)

    browser = Browser(handle, observer=told.observer)
    browser.connection.data_received(GET)
    await asyncio.sleep(2.0)
    assert [event for event, _ in told.events] == ["request_slow", "request_ended"]
    slow, ended = (fields for _, fields in told.events)
    assert (slow["status"], slow["ended_by"]) == (None, None)
    assert (ended["status"], ended["ended_by"], ended["sent"], ended["client"]) == (200, "proxy", 2, STRANGER)


@in_virtual_time
async def test_a_browser_that_left_is_told_of() -> None:
    told = Told()

    async def handle(_request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers")

    browser = Browser(handle, observer=told.observer)
    await browser.send(GET)
    await browser.leave()
    assert [(event, fields["status"]) for event, fields in told.events] == [("request_ended", 499)]


@in_virtual_time
async def test_what_could_not_be_read_is_told_of_without_a_method_or_path() -> None:
    told = Told()
    browser = Browser(observer=told.observer)
    assert b"400 Bad Request" in await browser.send(b"\0")
    [(_, fields)] = told.events
    assert (fields["method"], fields["path"], fields["status"], fields["error"]) == (None, None, 400, "bad_request")
