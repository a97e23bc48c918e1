"""Every request is told of once it has ended, whoever ended it, and before that if it is slow."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from proxy.http.downstream.observer import Observer
from proxy.http.downstream.response import reply
from proxy.http.forward import exchange, stream_back
from proxy.http.upstream.lanes import Lane
from tests.wire.messages import BEGUN

if TYPE_CHECKING:
    from proxy.events.event import Event
    from proxy.http.downstream.request import Request
    from proxy.http.downstream.response import Response
    from proxy.http.upstream.upstream import Upstream
    from tests.wire.conftest import Listener, Proxied, Start, Wire

PATIENCE = 5.0
GET = b"GET /a?b=secret HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


class Told:
    """What was told, as it is."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self._more = asyncio.Event()

    def __call__(self, event: Event, /) -> None:
        self.said.append((event.name, event.fields()))
        self._more.set()

    async def of(self, event: str) -> dict[str, Any]:
        """The first of that name."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [fields for name, fields in self.said if name == event]):
                self._more.clear()
                await self._more.wait()
        return found[0]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def observer(told: Told) -> Observer:
    return Observer(told, slow_after=PATIENCE)


async def ask(proxied: Proxied, backend: Listener, request: bytes = GET) -> tuple[Wire, Wire]:
    """A browser that asks, and the backend that was asked."""
    browser = await proxied.browser()
    await browser.send(request)
    asked = await backend.accept()
    await asked.head()
    return browser, asked


async def test_what_a_request_came_to(start: Start, backend: Listener, told: Told, observer: Observer) -> None:
    """Bodies are counted without their framing; a query is not told."""
    proxied = await start(observer=observer)
    browser = await proxied.browser()
    await browser.send(b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    asked = await backend.accept()
    await asked.until(b"0\r\n\r\n")
    await asked.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    await browser.until(b"0\r\n\r\n")

    ended = await told.of("request_ended")
    seconds, spent = ended.pop("seconds"), ended.pop("backend")
    assert 0 < spent <= seconds < PATIENCE
    assert list(ended.items()) == [
        ("method", "POST"),
        ("path", "/a"),
        ("call", "Refused"),
        ("status", 201),
        ("ended_by", "backend"),
        ("error", None),
        ("verdict", None),
        ("cancel", None),
        ("received", 3),
        ("sent", 5),
        ("client", "127.0.0.1"),
    ]


async def test_every_request_on_a_connection_is_told_of(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    proxied = await start(observer=observer)
    browser, asked = await ask(proxied, backend)
    await asked.send(OK + b"hello")
    await browser.until(b"hello")
    await browser.send(GET)
    await asked.head()
    await asked.send(OK + b"again")
    await browser.until(b"again")
    await told.of("request_ended")
    assert [fields["sent"] for _, fields in told.said] == [5, 5]


@pytest.mark.parametrize("said", [b"", OK, OK + b"hel"])
async def test_a_browser_that_leaves_too_early_is_told_as_499(
    start: Start, backend: Listener, told: Told, observer: Observer, said: bytes
) -> None:
    proxied = await start(observer=observer)
    browser, asked = await ask(proxied, backend)
    if said:
        await asked.send(said)
        await browser.take(len(said))
    browser.close()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["error"]) == (499, "browser", None)


async def test_a_browser_that_leaves_in_mid_upload_is_told_as_499(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    proxied = await start(observer=observer)
    upload = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n" + BEGUN
    browser, asked = await ask(proxied, backend, upload)
    await asked.take(len(BEGUN))
    browser.close()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["received"]) == (499, "browser", len(BEGUN))


async def test_a_browser_that_leaves_before_an_error_is_told_as_499(
    start: Start, told: Told, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_late(request: Request, _upstream: Upstream) -> Response:
        request.abort()
        raise ZeroDivisionError

    proxied = await start(fail_late, observer=observer)
    browser = await proxied.browser()
    await browser.send(GET)
    assert (await told.of("request_ended"))["status"] == 499
    caplog.clear()


async def test_an_answer_that_was_written_wholly_is_not_499(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    """The browser may leave while there is still something to learn from the answer."""

    async def linger(request: Request, upstream: Upstream) -> Response:
        answer = await exchange(upstream, request.head(), Lane.CALLS, limit=100, repeatable=False)
        response = reply(request, answer)
        await asyncio.sleep(PATIENCE)
        return response

    proxied = await start(linger, observer=observer)
    browser, asked = await ask(proxied, backend)
    await asked.send(OK + b"hello")
    await browser.until(b"hello")
    browser.close()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["sent"]) == (200, "backend", 5)


async def test_a_backend_that_breaks_off_is_told_by_its_code(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    proxied = await start(observer=observer)
    browser, asked = await ask(proxied, backend)
    await asked.send(OK + b"hel")
    await browser.until(b"hel")
    asked.reset()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["error"]) == (200, "backend", "backend_broken")


async def test_a_backend_that_is_not_there_is_told_by_its_code(start: Start, told: Told, observer: Observer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxied = await start(url=f"http://127.0.0.1:{port}", observer=observer)
    browser = await proxied.browser()
    await browser.send(GET)
    await browser.rest()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["error"]) == (502, "backend", "backend_unreachable")
    assert ended["sent"] > 0


async def test_a_mistake_of_the_proxys_is_told_as_its_own(
    start: Start, told: Told, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    async def mistaken(_request: Request, _upstream: Upstream) -> Response:
        raise ZeroDivisionError

    proxied = await start(mistaken, observer=observer)
    browser = await proxied.browser()
    await browser.send(GET)
    await browser.rest()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["error"]) == (500, "proxy", "internal_error")
    caplog.clear()


async def test_what_cannot_be_parsed_is_told_of_without_method_and_path(
    start: Start, told: Told, observer: Observer
) -> None:
    proxied = await start(observer=observer)
    browser = await proxied.browser()
    await browser.send(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: s\x00cret\r\n\r\n")
    await browser.rest()
    ended = await told.of("request_ended")
    assert (ended["method"], ended["path"], ended["call"]) == (None, None, "Refused")
    assert (ended["status"], ended["ended_by"], ended["error"]) == (400, "proxy", "bad_request")


async def test_a_browser_that_takes_nothing_is_dropped_by_the_proxy(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    proxied = await start(observer=observer, patience=0.2)
    browser = await proxied.browser(receive_buffer=4096)
    await browser.send(GET)
    asked = await backend.accept()
    await asked.head()
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        await asked.send_until_blocked(64 << 20)
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["error"]) == (200, "proxy", "browser_stalled")


async def test_an_end_of_the_proxys_own_is_not_the_browsers(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    proxied = await start(observer=observer)
    _, asked = await ask(proxied, backend)
    await proxied.server.shutdown(0.05)
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"]) == (503, "proxy")
    await asked.rest()


async def test_a_slow_request_is_told_of_while_it_is_waited_for(start: Start, backend: Listener, told: Told) -> None:
    """With the time that the backend has taken by then."""
    proxied = await start(observer=Observer(told, slow_after=0.05))
    browser, asked = await ask(proxied, backend)
    slow = await told.of("request_slow")
    assert (slow["path"], slow["status"], slow["ended_by"]) == ("/a", None, None)
    assert 0.04 < slow["backend"] <= slow["seconds"]
    await asked.send(OK + b"hello")
    await browser.until(b"hello")
    await told.of("request_ended")
    assert [event for event, _ in told.said] == ["request_slow", "request_ended"]


async def test_a_quick_request_is_never_told_of_as_slow(start: Start, backend: Listener, told: Told) -> None:
    proxied = await start(observer=Observer(told, slow_after=0.05))
    browser, asked = await ask(proxied, backend)
    await asked.send(OK + b"hello")
    await browser.until(b"hello")
    await asyncio.sleep(0.1)
    assert [event for event, _ in told.said] == ["request_ended"]


@pytest.mark.parametrize("has_begun", [True, False])
async def test_what_lasts_is_slow_only_until_it_has_begun(
    start: Start,
    backend: Listener,
    told: Told,
    has_begun: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    async def relay(request: Request, upstream: Upstream) -> Response:
        async with upstream.request(request.head(), Lane.RELAYS) as stream:
            request.account.disarm()
            return await stream_back(request, stream)

    proxied = await start(relay, observer=Observer(told, slow_after=0.1))
    browser, asked = await ask(proxied, backend)
    if has_begun:
        await asked.send(b"HTTP/1.1 200 OK\r\n\r\n: heartbeat\n\n")
        await browser.until(b"heartbeat")
    await asyncio.sleep(0.2)
    browser.close()
    await told.of("request_ended")
    assert [event for event, _ in told.said if event == "request_slow"] == ([] if has_begun else ["request_slow"])


async def test_who_asked_for_an_answer_that_lasts_is_told_of_at_its_end(
    start: Start, backend: Listener, told: Told, observer: Observer
) -> None:
    """Though its fields, by which a trusted proxy said who it was, were let go of."""

    async def relay(request: Request, upstream: Upstream) -> Response:
        async with upstream.request(request.head(), Lane.RELAYS) as stream:
            request.outlast()
            assert not request.raw_headers
            return await stream_back(request, stream)

    proxied = await start(relay, observer=observer, trusted_proxies=(ip_network("127.0.0.0/8"),))
    browser, asked = await ask(proxied, backend, GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"))
    await asked.send(b"HTTP/1.1 200 OK\r\n\r\n: heartbeat\n\n")
    await browser.until(b"heartbeat")
    browser.close()

    ended = await told.of("request_ended")
    assert (ended["method"], ended["client"], ended["status"]) == ("GET", "192.0.2.7", 499)


async def test_a_web_socket_is_told_of_by_its_101(start: Start, backend: Listener, told: Told) -> None:
    """It lasts, and what the backend said is counted."""
    proxied = await start(observer=Observer(told, slow_after=0.1))
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    browser, asked = await ask(proxied, backend, b"GET /ws HTTP/1.1\r\nHost: h\r\n" + upgrade + b"\r\n")
    await asked.send(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"\r\nhello")
    await browser.until(b"hello")
    await asyncio.sleep(0.2)
    asked.close()
    await browser.rest()
    ended = await told.of("request_ended")
    assert (ended["status"], ended["ended_by"], ended["sent"]) == (101, "backend", 5)
    assert [event for event, _ in told.said] == ["request_ended"]
