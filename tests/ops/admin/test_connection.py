"""What is no HTTP is answered like any other mistake, and repeated to nobody."""

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from proxy.ops.admin import connection, listening
from proxy.ops.admin.errors import MALFORMED, MISTAKEN, TOO_LONG
from tests.support.raw import PATIENCE, RawBrowser

if TYPE_CHECKING:
    from tests.ops.admin.conftest import Guard, Operator

SECRET = b"secret-token"
HOST = b"Host: localhost\r\n"


async def answer(port: int, request: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, fields and JSON of the answer to bytes behind which the connection ends."""
    browser = RawBrowser(port)
    try:
        await browser.connect()
        await browser.send(request)
        head, _, body = (await browser.rest()).partition(b"\r\n\r\n")
    finally:
        browser.close()
    line, *fields = head.decode().split("\r\n")
    return int(line.split()[1]), dict(field.split(": ", 1) for field in fields), json.loads(body)


@pytest.mark.parametrize(
    "request_",
    [
        SECRET + b"\r\n\r\n",
        b"GET /" + SECRET + b"\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://[" + SECRET + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://[]a@" + SECRET + b" HTTP/1.1\r\n" + HOST + b"\r\n",  # yarl's IndexError, as of 1.24
        b"GET / HTTP/3.0\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nAuthorization Bearer " + SECRET + b"\r\n\r\n",
        b"POST /api/drain HTTP/1.1\r\n" + HOST + b"Content-Length: " + SECRET + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET,  # TLS
    ],
    ids=["line", "target", "host", "authority", "version", "field", "length", "tls"],
)
async def test_what_is_malformed_is_told_so_in_json(
    operator: "Operator", caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    """As every other mistake is; what was read may be a token, and is not repeated."""
    caplog.set_level(logging.DEBUG)

    status, _, said = await answer(operator.port, request_)

    assert (status, said) == (400, {"error": str(MALFORMED), "code": "bad_request"})
    assert SECRET.decode() not in caplog.text
    assert "Traceback" not in caplog.text


POST = b"POST /api/drain HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


@pytest.mark.parametrize("path", [b"/healthz", b"/api/status", b"/nothing", b"/api/drain"])
@pytest.mark.parametrize("expect", [SECRET, b"100-continue, " + SECRET, b"200-ok"])
async def test_an_expect_that_nobody_knows_is_told_so_in_json(operator: "Operator", path: bytes, expect: bytes) -> None:
    status, fields, said = await answer(
        operator.port, b"GET %b HTTP/1.1\r\n%bExpect: %b\r\n\r\n" % (path, HOST, expect)
    )

    assert (status, said["code"]) == (417, "expectation_failed")
    assert SECRET.decode() not in said["error"]
    assert fields["Cache-Control"] == "no-store"
    assert "Server" not in fields


async def test_what_expects_to_be_told_to_go_on_is(operator: "Operator") -> None:
    browser = RawBrowser(operator.port)
    await browser.connect()
    await browser.send(POST + b"Expect: 100-continue\r\nContent-Length: 18\r\n\r\n")
    await browser.until(b"HTTP/1.1 100 Continue\r\n\r\n")
    await browser.send(b'{"action":"begin"}')
    assert b'{"state": "draining", ' in await browser.until(b"}")
    browser.close()


BROKEN = {
    "a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", SECRET + b"\r\n"),
    "a later chunk": (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", SECRET + b"\r\n"),
    "a coding": (b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n", SECRET),
}


@pytest.mark.parametrize(("head", "rest"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_malformed_body_is_told_so_once_in_json(
    operator: "Operator", caplog: pytest.LogCaptureFixture, head: bytes, rest: bytes, pieces: int
) -> None:
    """Whether or not it comes behind a head that is being answered already."""
    browser = RawBrowser(operator.port)
    await browser.connect()
    if pieces == 1:
        await browser.send(POST + head + rest)
    else:
        await browser.send(POST + b"Expect: 100-continue\r\n" + head)
        await browser.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        browser.received.clear()
        await browser.send(rest)
    told, _, body = (await browser.rest()).partition(b"\r\n\r\n")
    browser.close()

    assert b" 400 " in told.partition(b"\r\n")[0]
    assert json.loads(body) == {"error": str(MALFORMED), "code": "bad_request"}
    assert SECRET.decode() not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "head",
    [b"GET /" + 9000 * b"a" + b" HTTP/1.1\r\n" + HOST, b"GET / HTTP/1.1\r\n" + HOST + 200 * b"X: a\r\n"],
    ids=["line", "fields"],
)
async def test_a_head_that_is_too_long_is_told_so(operator: "Operator", head: bytes) -> None:
    status, _, said = await answer(operator.port, head + b"\r\n")

    assert (status, said) == (431, {"error": str(TOO_LONG), "code": "head_too_long"})


async def test_the_answer_has_the_fields_of_every_other(operator: "Operator") -> None:
    """And does not say what it is made with."""
    _, fields, _ = await answer(operator.port, b"?\r\n\r\n")
    others = (await operator.ask("/nothing")).headers

    assert fields.keys() - {"Connection"} == others.keys()


async def test_what_no_application_catches_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("made by the test")

    app = web.Application()
    app.add_routes([web.get("/", fail)])
    async with listening(app, "127.0.0.1", 0) as port:
        status, _, said = await answer(port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")

    assert (status, said) == (500, {"error": str(MISTAKEN), "code": "internal_error"})
    assert "made by the test" in caplog.text


async def test_an_answer_that_has_begun_gets_no_second_head() -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        await web.StreamResponse().prepare(request)
        raise RuntimeError("made by the test")

    app = web.Application()
    app.add_routes([web.get("/", fail)])
    async with listening(app, "127.0.0.1", 0) as port:
        browser = RawBrowser(port)
        await browser.connect()
        await browser.get("/")
        assert (await browser.rest()).count(b"HTTP/1.1") == 1
        browser.close()


async def test_requests_sent_at_once_are_answered_in_turn(operator: "Operator", guard: "Guard") -> None:
    browser = RawBrowser(operator.port)
    await browser.connect()
    drain = POST + b"Content-Length: 18\r\n\r\n" + b'{"action":"begin"}'
    await browser.send(drain + b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n" + SECRET + b"\r\n\r\n")
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", await browser.rest())
    browser.close()

    assert statuses == [b"200", b"503", b"400"]
    assert guard.drain.state == "draining"


async def test_a_refused_head_request_gets_no_body(operator: "Operator") -> None:
    browser = RawBrowser(operator.port)
    await browser.connect()
    await browser.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"Expect: more\r\n\r\n")

    assert (await browser.rest()).endswith(b"\r\n\r\n")
    browser.close()


async def test_an_answer_gets_through_to_whoever_still_sends(operator: "Operator") -> None:
    """Bytes that nobody reads would reset the connection, and the answer with it."""
    head = POST + b"Content-Length: 1000000\r\n\r\n"
    status, fields, said = await answer(operator.port, head + b" " * 1_000_000)

    assert (status, said["code"]) == (413, "request_too_large")
    assert fields["Connection"] == "close"


async def test_whoever_was_refused_and_stays_is_ended(operator: "Operator", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    browser = RawBrowser(operator.port)
    await browser.connect()
    await browser.send(b"?\r\n\r\n")
    await browser.rest()
    with pytest.raises(ConnectionError):
        await browser.send_until_blocked(b" " * 1000, blocked_for=PATIENCE)
    browser.close()


async def test_an_answer_that_is_too_large_to_take_at_once_comes_whole() -> None:
    async def large(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(8_000_000))

    app = web.Application()
    app.add_routes([web.get("/", large)])
    async with listening(app, "127.0.0.1", 0) as port:
        browser = RawBrowser(port, receive_buffer=4096)
        await browser.connect()
        await browser.get("/", "Connection: close")
        _, _, body = (await browser.rest()).partition(b"\r\n\r\n")
        browser.close()

    assert len(body) == 8_000_000
