"""What is seen of a backend: each release's habits, a login in the way, and answers that are odd."""

import asyncio
import socket
import ssl
from email.utils import formatdate
from pathlib import Path
from time import time

import aiohttp
import pytest
import trustme

from proxy.check import Evidence, asking, look, look_briefly
from proxy.check.evidence import Outcome, Streaming, Unreachable
from proxy.config import UpstreamSettings
from proxy.demo import RELEASES, Backend
from proxy.hermes.probe import Forwarded
from proxy.hermes.releases import Span
from tests.check.conftest import SERVER, Serve, http, said, stream

CALLS = ["Health", "Start", "Cancel", "Status", "OpenStream", "SessionChannel", "EventStream"]
NO_THREAD = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
OLD = Span(until=(0, 51, 285))


async def seen(url: str, cookie: str | None = None) -> Evidence:
    return await look(UpstreamSettings(url=url), cookie)


def outcomes(evidence: Evidence) -> dict[str, Outcome]:
    return {one.question.call: one.outcome for one in evidence.tried}


@pytest.mark.parametrize(
    ("release", "span", "forwarded"),
    [
        ("v0.51.195", OLD, Forwarded.BELIEVED),
        ("v0.51.265", OLD, Forwarded.BELIEVED),
        ("v0.52.262", Span(first=(0, 52, 7)), Forwarded.IGNORED),
    ],
)
async def test_each_release_speaks_the_contract(release: str, span: Span, forwarded: Forwarded) -> None:
    async with Backend(release) as backend:
        evidence = await seen(backend.url)

        assert outcomes(evidence) == dict.fromkeys(CALLS, Outcome.AS_EXPECTED)
        assert (evidence.is_hermes, evidence.unreachable, evidence.is_guard) == (True, None, False)
        assert evidence.release == span
        assert evidence.forwarded is forwarded
        assert evidence.login is not None
        assert not evidence.login.needed
        assert evidence.peer == "127.0.0.1"
        assert evidence.skew is not None
        assert abs(evidence.skew) < 2
        assert evidence.streaming is not None
        assert evidence.streaming.first_bytes is not None
        assert evidence.streaming.encoding == ""


@pytest.mark.parametrize("release", sorted(RELEASES))
async def test_nothing_is_left_behind(release: str) -> None:
    """No session, no turn, no open stream: what it asks about does not exist."""
    async with Backend(release) as backend:
        await seen(backend.url)

        assert not backend.world.sessions
        assert not backend.world.streams
        await backend.ledger.until(lambda: not backend.ledger.open_streams)
        await backend.ledger.until(lambda: not backend.ledger.open_connections)


@pytest.mark.parametrize("release", sorted(RELEASES))
async def test_a_login_hides_all_but_a_little(release: str) -> None:
    async with Backend(release, password="p") as backend:
        evidence = await seen(backend.url, cookie="hermes_session=wrong")

        hidden = dict.fromkeys(CALLS[1:], Outcome.NOT_LOOKED_AT)
        assert outcomes(evidence) == {"Health": Outcome.AS_EXPECTED, **hidden}
        assert evidence.login is not None
        assert (evidence.login.needed, evidence.login.done, evidence.has_cookie) == (True, False, True)
        assert (evidence.streaming, evidence.forwarded) == (None, None)
        assert evidence.release == (OLD if release.startswith("v0.51") else Span(first=(0, 52, 7)))


@pytest.mark.parametrize("release", sorted(RELEASES))
async def test_a_cookie_looks_behind_the_login(release: str) -> None:
    async with Backend(release, password="p") as backend, aiohttp.ClientSession() as session:
        async with session.post(f"{backend.url}/api/auth/login", json={"password": "p"}) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        evidence = await seen(backend.url, cookie)

        assert outcomes(evidence) == dict.fromkeys(CALLS, Outcome.AS_EXPECTED)
        assert evidence.login is not None
        assert evidence.login.done
        assert evidence.forwarded is None, "with a login Hermes does not ask who is local"


async def test_the_release_is_taken_at_its_word(serve: Serve) -> None:
    evidence = await seen(await serve())
    assert outcomes(evidence) == dict.fromkeys(CALLS, Outcome.AS_EXPECTED)
    assert evidence.said == "v0.52.262"
    assert str(evidence.release) == "v0.52.262"


async def test_an_answer_of_another_shape_is_different(serve: Serve) -> None:
    evidence = await seen(
        await serve(
            {
                "GET /api/chat/cancel": http(404, b"<html>", kind="text/html; charset=utf-8"),
                "GET /api/chat/stream/status": b"",
                "GET /api/chat/stream": NO_THREAD,
                "POST /api/chat/start": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            }
        )
    )
    told = {one.question.call: (one.outcome, one.answer) for one in evidence.tried}
    assert told["Cancel"] == (Outcome.DIFFERENT, "404 (text/html)")
    assert told["Status"] == (Outcome.DIFFERENT, "nothing (The backend hung up without an answer.)")
    assert told["OpenStream"] == (Outcome.BUSY, "503 (nothing said of what it is)")
    assert told["Start"] == (Outcome.DIFFERENT, "200 (nothing said of what it is)")
    assert told["Health"][0] is Outcome.AS_EXPECTED


async def test_a_preflight_that_is_refused_tells_nothing_of_the_release(serve: Serve) -> None:
    health = said(runs=[], uptime_seconds=1, server_started_at=1).replace(SERVER.encode(), b"HermesWebUI")
    evidence = await seen(await serve({"GET /health": health, "OPTIONS /health": http(405)}))
    assert evidence.release == Span(first=(0, 51, 789))


async def test_another_guard_gives_itself_away(serve: Serve) -> None:
    evidence = await seen(await serve({"GET /api/chat/cancel": said(200, "Stream-Guard: verdict=forwarded")}))
    assert evidence.is_guard


async def test_a_stream_that_says_nothing_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PROMPT", 0.05)
    evidence = await seen(await serve({"GET /api/approval/stream": stream(b"", "Content-Encoding: gzip")}))
    assert evidence.streaming == Streaming(None, "gzip")
    assert outcomes(evidence)["EventStream"] is Outcome.HELD_BACK


async def test_a_stream_may_be_held_back_with_its_head(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As nginx does while its buffer has room."""
    monkeypatch.setattr(asking, "LIMIT", 0.3)
    evidence = await seen(await serve({"GET /api/approval/stream": None}))
    assert evidence.streaming == Streaming(None, "")
    assert outcomes(evidence)["EventStream"] is Outcome.HELD_BACK


async def test_who_is_in_between_is_named(serve: Serve) -> None:
    health = said(200, "Via: 1.1 varnish", runs=[], uptime_seconds=1).replace(SERVER.encode(), b"nginx")
    evidence = await seen(await serve({"GET /health": health}))
    assert (evidence.is_hermes, evidence.server, evidence.via) == (True, "nginx", "1.1 varnish")


async def skew_of(serve: Serve, date: str) -> float | None:
    health = said(200, f"Date: {date}", runs=[], uptime_seconds=1)
    return (await seen(await serve({"GET /health": health}))).skew


async def test_its_clock_is_compared(serve: Serve) -> None:
    assert await skew_of(serve, formatdate(time() + 3600, usegmt=True)) == pytest.approx(3600.0, abs=30)


@pytest.mark.parametrize("date", ["yesterday", ""])
async def test_a_clock_that_cannot_be_read_is_not_compared(serve: Serve, date: str) -> None:
    assert await skew_of(serve, date) is None


async def test_what_does_not_say_who_is_local_leaves_it_open(serve: Serve) -> None:
    assert (await seen(await serve({"POST /api/onboarding/probe": http(404)}))).forwarded is None
    assert (await seen(await serve({"POST /api/onboarding/probe": b""}))).forwarded is None


async def test_a_health_without_runs_is_hermes_by_its_name(serve: Serve) -> None:
    evidence = await seen(await serve({"GET /health": said(500), "GET /api/auth/status": b""}))
    assert evidence.is_hermes
    assert evidence.login is None
    assert outcomes(evidence)["Health"] is Outcome.DIFFERENT


@pytest.mark.parametrize(
    ("answer", "outcome"), [(NO_THREAD, Outcome.BUSY), (http(503, server="nginx"), Outcome.DIFFERENT)]
)
async def test_a_backend_without_a_thread_left_cannot_say_what_it_is(
    serve: Serve, answer: bytes, outcome: Outcome
) -> None:
    """F7; a proxy in front of a backend that is down looks otherwise."""
    evidence = await seen(await serve({"GET /health": answer, "GET /api/auth/status": answer}))
    assert not evidence.is_hermes
    assert outcomes(evidence) == {"Health": outcome}


async def test_something_else_is_not_asked_any_further(serve: Serve) -> None:
    page = http(404, b"<html>", kind="text/html", server="SimpleHTTP/0.6")
    evidence = await seen(await serve({"GET /health": page, "GET /api/auth/status": page}))
    assert (evidence.is_hermes, evidence.unreachable) == (False, None)
    assert (evidence.detail, evidence.server) == ("404 (text/html)", "SimpleHTTP/0.6")
    assert outcomes(evidence) == {"Health": Outcome.DIFFERENT}


async def test_a_port_that_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert (await seen(f"http://127.0.0.1:{port}")).unreachable is Unreachable.NOT_THERE


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert (await seen(f"unix://{tmp_path}/none.sock")).unreachable is Unreachable.NOT_THERE


async def test_a_server_that_hangs_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LIMIT", 0.05)
    assert (await seen(await serve({"GET /health": None}))).unreachable is Unreachable.SILENT


async def test_a_server_that_does_not_speak_http(serve: Serve) -> None:
    assert (await seen(await serve({"GET /health": b"220 ready\r\n"}))).unreachable is Unreachable.NOT_HTTP


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes whatever comes for a bad request."""
    await reader.read(1)
    writer.write(http(400))
    writer.close()


async def test_tls_that_nobody_speaks() -> None:
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await seen(f"https://127.0.0.1:{port}")).unreachable is Unreachable.NOT_TLS


async def test_tls_that_is_not_trusted() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await seen(f"https://127.0.0.1:{port}")).unreachable is Unreachable.UNTRUSTED


async def test_a_glance_takes_one_question(serve: Serve) -> None:
    url = await serve({"GET /api/auth/status": b""})
    evidence = await look_briefly(UpstreamSettings(url=url))
    assert (evidence.is_hermes, evidence.said, evidence.unreachable) == (True, "v0.52.262", None)


async def test_a_glance_at_nothing() -> None:
    evidence = await look_briefly(UpstreamSettings(url="unix:///none.sock"))
    assert (evidence.said, evidence.unreachable) == (None, Unreachable.NOT_THERE)


def listing(*runs: dict[str, object]) -> bytes:
    return said(runs=runs, uptime_seconds=1, server_started_at=1)


CANCELLED: dict[str, object] = {"started_at": 100.0, "cancelled_at": 110.0, "age_seconds": 60.0, "phase": "running"}


async def test_a_run_that_was_cancelled_is_looked_at_twice(serve: Serve) -> None:
    """A worker that has heard its Stop is gone the second time."""
    stays = [listing(CANCELLED, {"phase": "running", "age_seconds": 60.0}), listing({**CANCELLED, "age_seconds": 61.0})]
    assert (await seen(await serve({"GET /health": stays}))).unstopped == (51.0,)
    assert (await seen(await serve({"GET /health": [listing(CANCELLED), listing()]}))).unstopped == ()
    assert (await seen(await serve({"GET /health": [listing(CANCELLED), b""]}))).unstopped == ()
