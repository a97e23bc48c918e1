"""Logins: tried only by those whose failure would not shut out others, and followed to their end (F9, P10)."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from proxy.backend.backend import Backend
from proxy.gate.login_failures import LoginFailures
from proxy.http.clients import neighbourhood
from proxy.http.downstream.request import Request
from proxy.http.errors import BackendUnreachableError, NoCapacityError, TooManyLoginsError
from proxy.http.message import Answer, Body, RequestHead
from proxy.tasks import Tasks

BODY_LIMIT: Final = 1 << 16
"""Largest body of a login, in bytes: a password, or what a passkey signed."""

_NOT_TRIED = (BackendUnreachableError, NoCapacityError)
"""Errors after which it is certain that Hermes was not asked."""


class LoginGuard:
    """Asks Hermes to let somebody in.

    Args:
        backend: Whom to ask.
        tasks: Owns the questions: who guesses and leaves before the answer has guessed all the same.
        clock: Monotonic seconds.
    """

    def __init__(self, backend: Backend, tasks: Tasks, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._tasks = tasks
        self._clock = clock
        self._failures = LoginFailures()

    async def answer(self, request: Request) -> Answer:
        """What Hermes says to a login.

        Args:
            request: The login. Its body is awaited first, so that one that never comes keeps nobody out.

        Raises:
            TooManyLoginsError: its client has to wait, or everybody who has not been in before.
            ProxyError: there is no answer.
        """
        body = await request.buffered(BODY_LIMIT)
        client = neighbourhood(request.client)
        wait = self._failures.wait(client, self._clock())
        if wait > 0:
            seconds = math.ceil(wait)
            raise TooManyLoginsError(f"Too many failed logins; try again in {seconds} s.", retry_after=seconds)
        self._failures.began(client)
        sent = None if body is None else Body.of(body)
        return await asyncio.shield(self._tasks.spawn(self._try(client, request.head(), sent), "a login"))

    async def _try(self, client: str, head: RequestHead, body: Body | None) -> Answer:
        try:
            answer = await self._backend.ask(head, body)
        except _NOT_TRIED:
            self._failures.gave_up(client)
            raise
        except BaseException:
            self._failures.failed(client, self._clock())  # as far as anybody knows
            raise
        match answer.status:
            case 200:
                self._failures.succeeded(client)
            case 401:
                self._failures.failed(client, self._clock())
            case _:
                self._failures.gave_up(client)
        return answer
