"""Asking Hermes in whole answers, on the lane that never waits for the others."""

from urllib.parse import quote

from proxy.hermes.contract import AUTH_STATUS_PATH, HEALTH_PATH, SESSION_PATH, START_PATH, STATUS_PATH
from proxy.http.forward import exchange
from proxy.http.headers import RawHeaders, without
from proxy.http.message import Answer, Body, RequestHead
from proxy.http.upstream.lanes import Lane
from proxy.http.upstream.upstream import Upstream

_CONDITIONAL = (b"content-length", b"if-none-match", b"if-modified-since", b"range", b"accept-encoding")
"""Fields of a caller's request that would make another answer of the proxy's own question."""


class Backend:
    """Hermes, as the guard asks it.

    Args:
        upstream: Its connections.
        answer_limit: Largest answer that is held, in bytes.
    """

    def __init__(self, upstream: Upstream, *, answer_limit: int) -> None:
        self._upstream = upstream
        self._answer_limit = answer_limit

    async def ask(self, head: RequestHead, body: Body | None = None, *, repeatable: bool = False) -> Answer:
        """Sends a request, and holds its answer.

        Args:
            head: The request.
            body: Its body, if it has one.
            repeatable: Whether a GET may go out again when the idle connection it went out on is dead.

        Raises:
            ProxyError: there was no whole answer.
        """
        limit = self._answer_limit
        return await exchange(self._upstream, head, Lane.CONTROL, body=body, limit=limit, repeatable=repeatable)

    async def ask_status(self, stream_id: str, caller: RawHeaders) -> Answer:
        """The stream's status, asked with the caller's own headers and so with its credentials (P9)."""
        target = f"{STATUS_PATH}?stream_id={quote(stream_id, safe='')}".encode()
        return await self.ask(RequestHead("GET", target, without(caller, _CONDITIONAL)), repeatable=True)

    async def ask_session(self, session_id: str, caller: RawHeaders) -> Answer:
        """The session without its messages, asked with the caller's own headers and so with its credentials (P9)."""
        target = f"{SESSION_PATH}?session_id={quote(session_id, safe='')}&messages=0&resolve_model=0".encode()
        return await self.ask(RequestHead("GET", target, without(caller, _CONDITIONAL)), repeatable=True)

    async def ask_health(self) -> Answer:
        """`/health`, which needs no credentials."""
        return await self.ask(RequestHead("GET", HEALTH_PATH.encode()), repeatable=True)

    async def ask_like_page(self, caller: RawHeaders) -> Answer:
        """A start without a session, which is refused; but first it is looked at which page sent it (F10)."""
        kept = without(caller, (*_CONDITIONAL, b"content-type"))
        head = RequestHead("POST", START_PATH.encode(), (*kept, (b"Content-Type", b"application/json")))
        return await self.ask(head, Body.of(b"{}"))

    async def ask_auth_status(self) -> Answer:
        """Whether anybody has to log in, which a stranger may ask."""
        return await self.ask(RequestHead("GET", AUTH_STATUS_PATH.encode()), repeatable=True)
