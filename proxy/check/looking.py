"""Looking at a backend: harmless questions, and what their answers show of it."""

import asyncio
import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final

from proxy.check.asking import Asker, Reply
from proxy.check.evidence import Evidence, Outcome, Streaming, Tried, Unreachable
from proxy.config import UpstreamSettings
from proxy.hermes import releases
from proxy.hermes.answers import Login, read_login
from proxy.hermes.health import read_unstopped, tells_server_start
from proxy.hermes.probe import (
    FAR,
    HEALTH,
    LOCAL_ONLY,
    LOGIN,
    NEAR,
    PREFLIGHT,
    Forwarded,
    Identity,
    Question,
    questions,
    read_forwarded,
    read_identity,
)
from proxy.hermes.releases import Mark
from proxy.http.errors import BackendBrokenError, BackendTooSlowError, ProxyError
from proxy.http.headers import values
from proxy.http.identity import TRIED
from proxy.http.upstream.lanes import Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream

_CONNECT: Final = 3.0
"""Seconds to wait for a connection, if the settings do not say less."""

_MOST_TRIED: Final = 80
"""Most names that are tried; Hermes reads 100 fields."""

_UNAUTHORIZED: Final = 401
_BUSY: Final = 503
"""Hermes says it in three lines that do not even name it (F7); anybody else's names who it is."""

_AS_BROWSERS: Final = ((b"Accept-Encoding", b"gzip, deflate, br"),)
"""What browsers send: whatever compresses event streams for them does so only then."""


async def look(settings: UpstreamSettings, cookie: str | None = None, identity_headers: Sequence[str] = ()) -> Evidence:
    """All that can be seen of a backend within seconds, and without starting, stopping or changing anything.

    Args:
        settings: Where it is.
        cookie: The `Cookie` of somebody who is logged in, to look behind a login.
        identity_headers: Names of headers that may say who is logged in, besides the usual.
    """
    with closing(_upstream(settings)) as upstream:
        asker = Asker(upstream, ((b"Cookie", cookie.encode()),) if cookie else ())
        try:
            health = await asker.ask(HEALTH)
        except ProxyError as error:
            return Evidence(unreachable=_why(error), detail=str(error))
        login = _fitting(LOGIN, await _try(asker, LOGIN))
        if login is None and not _is_hermes(health):
            tried = (_tried(HEALTH, health),)
            return Evidence(server=health.field("server"), detail=_in_words(health), tried=tried)
        seen = await _look_closely(asker, health, read_login(login.heard.status, login.heard.body) if login else None)
        identity = await _identity(Asker(upstream), (*identity_headers, *TRIED))
        return replace(seen, has_cookie=cookie is not None, identity=identity)


async def look_briefly(settings: UpstreamSettings) -> Evidence:
    """Whether the backend is there, and the release that it says it is."""
    with closing(_upstream(settings)) as upstream:
        try:
            health = await Asker(upstream).ask(HEALTH)
        except ProxyError as error:
            return Evidence(unreachable=_why(error), detail=str(error))
        server = health.field("server")
        return Evidence(is_hermes=_is_hermes(health), server=server, release=releases.guessed_release(server, {}))


def _upstream(settings: UpstreamSettings) -> Upstream:
    origin = Origin.parse(settings.url, ca=settings.ca)
    return Upstream(origin, Lanes(), connect_timeout=min(settings.connect_timeout, _CONNECT))


async def _look_closely(asker: Asker, health: Reply, login: Login | None) -> Evidence:
    asked = questions(f"check-{secrets.token_hex(8)}")
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_try(asker, question)) for question in (*asked, PREFLIGHT)]
    *answers, preflight = [task.result() for task in asking]
    replies = {question.call: (question, answer) for question, answer in zip(asked, answers, strict=True)}
    cancel, server = replies["Cancel"][1], health.field("server")
    return Evidence(
        is_hermes=True,
        is_guard=isinstance(cancel, Reply) and cancel.field("stream-guard") != "",
        release=releases.guessed_release(server, _marks(health, login, replies["SessionChannel"], preflight)),
        server=server,
        via=health.field("via"),
        peer=health.peer,
        login=login,
        tried=(_tried(HEALTH, health), *(_tried(*pair) for pair in replies.values())),
        streaming=_streaming(replies["EventStream"][1]),
        forwarded=await _forwarded(asker, login),
        skew=_skew(health),
        unstopped=await _unstopped(asker, health),
    )


async def _try(asker: Asker, question: Question) -> Reply | ProxyError:
    try:
        return await asker.ask(question, _AS_BROWSERS if question.call == "EventStream" else ())
    except ProxyError as error:
        return error


def _tried(question: Question, reply: Reply | ProxyError) -> Tried:
    if isinstance(reply, ProxyError):
        held_back = question.opens_stream and isinstance(reply, BackendTooSlowError)
        return Tried(question, Outcome.HELD_BACK if held_back else Outcome.DIFFERENT, f"nothing ({reply})")
    if question.fits(reply.heard):
        return Tried(question, Outcome.AS_EXPECTED, _in_words(reply))
    if reply.heard.status == _BUSY and reply.field("server") == "":
        return Tried(question, Outcome.BUSY, _in_words(reply))
    if reply.heard.is_stream and question.opens_stream:
        return Tried(question, Outcome.HELD_BACK, _in_words(reply))
    hidden = reply.heard.status == _UNAUTHORIZED
    return Tried(question, Outcome.NOT_LOOKED_AT if hidden else Outcome.DIFFERENT, _in_words(reply))


def _in_words(reply: Reply) -> str:
    kind = reply.field("content-type").partition(";")[0] or "nothing said of what it is"
    return f"{reply.heard.status} ({kind})"


def _is_hermes(health: Reply) -> bool:
    return releases.is_hermes(health.field("server")) or HEALTH.fits(health.heard)


def _marks(
    health: Reply, login: Login | None, channel: tuple[Question, Reply | ProxyError], preflight: Reply | ProxyError
) -> Mapping[Mark, bool]:
    """What could be looked at of what sets releases apart."""
    marks: dict[Mark, bool] = {}
    if HEALTH.fits(health.heard):
        marks[Mark.TELLS_START] = tells_server_start(health.heard.body)
    if login is not None:
        marks[Mark.KNOWS_OIDC] = login.knows_oidc
    if reply := _fitting(*channel):
        marks[Mark.SESSION_CHANNEL] = reply.heard.is_stream
    if reply := _fitting(PREFLIGHT, preflight):
        marks[Mark.FRAMES_OPTIONS] = reply.field("content-length") != ""
    return marks


def _fitting(question: Question, reply: Reply | ProxyError) -> Reply | None:
    return reply if isinstance(reply, Reply) and question.fits(reply.heard) else None


def _streaming(reply: Reply | ProxyError) -> Streaming | None:
    if isinstance(reply, BackendTooSlowError):
        return Streaming(None, "")
    if isinstance(reply, ProxyError) or not reply.heard.is_stream:
        return None
    return Streaming(reply.seconds, reply.field("content-encoding"))


async def _forwarded(asker: Asker, login: Login | None) -> Forwarded | None:
    """Only where there is no login does Hermes care who is local."""
    if login is None or login.needed:
        return None
    with suppress(ProxyError):
        far = await asker.ask(LOCAL_ONLY, ((b"X-Forwarded-For", FAR.encode()),))
        near = await asker.ask(LOCAL_ONLY, ((b"X-Forwarded-For", NEAR.encode()),))
        return read_forwarded(far.heard.status, near.heard.status)
    return None


async def _identity(asker: Asker, names: Sequence[str]) -> Identity | None:
    """What becomes of somebody who is made up. Should that be a login, it is ended: its cookie without a header."""
    person = f"check-{secrets.token_hex(8)}".encode()
    with suppress(ProxyError):
        reply = await asker.ask(LOGIN, tuple((name.encode(), person) for name in names[:_MOST_TRIED]))
        if cookies := values(reply.headers, b"set-cookie"):
            await asker.ask(LOGIN, ((b"Cookie", b"; ".join(cookie.partition(b";")[0] for cookie in cookies)),))
        return read_identity(read_login(reply.heard.status, reply.heard.body))
    return None


async def _unstopped(asker: Asker, health: Reply) -> tuple[float, ...]:
    """A second look, as a worker that has heard its Stop is gone by then."""
    if not read_unstopped(health.heard.status, health.heard.body):
        return ()
    again = await _try(asker, HEALTH)
    return read_unstopped(again.heard.status, again.heard.body) if isinstance(again, Reply) else ()


def _skew(reply: Reply) -> float | None:
    """How far its clock is ahead, give or take half a second, as `Date` has whole ones."""
    with suppress(ValueError):
        return parsedate_to_datetime(reply.field("date")).timestamp() + 0.5 - reply.at
    return None


def _why(error: ProxyError) -> Unreachable:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unreachable.UNTRUSTED
    if isinstance(cause, ssl.SSLError):
        return Unreachable.NOT_TLS
    if isinstance(error, BackendTooSlowError):
        return Unreachable.SILENT
    return Unreachable.NOT_HTTP if isinstance(error, BackendBrokenError) else Unreachable.NOT_THERE
