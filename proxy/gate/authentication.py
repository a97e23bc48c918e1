"""Whether Hermes asks for a login, as far as that has been asked."""

import asyncio
from collections.abc import Callable

from proxy.backend.backend import Backend
from proxy.hermes.answers import read_login
from proxy.http.errors import ProxyError
from proxy.tasks import Tasks

KEPT = 5.0
"""Seconds for which an answer is taken for granted; a password may be set, or given up, at any time."""

PATIENCE = 5.0
"""Seconds to wait for an answer."""


class Authentication:
    """Asks Hermes when somebody wants to know, one question at a time.

    Args:
        backend: Whom to ask.
        tasks: Owns the questions, which are shared.
        clock: Monotonic seconds.
    """

    def __init__(self, backend: Backend, tasks: Tasks, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._tasks = tasks
        self._clock = clock
        self._asking: asyncio.Task[bool | None] | None = None
        self._known: tuple[float, bool] | None = None

    async def enabled(self) -> bool | None:
        """Whether Hermes asks for a login; None if it does not say."""
        if self._known is not None and self._clock() - self._known[0] < KEPT:
            return self._known[1]
        if self._asking is None:
            self._asking = self._tasks.spawn(self._ask(), "asking whether there is a login")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool | None:
        self._known = None
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._backend.ask_auth_status()
        except (ProxyError, TimeoutError):
            return None
        finally:
            self._asking = None
        login = read_login(answer.status, answer.body)
        if login is None:
            return None
        self._known = (self._clock(), login.needed)
        return login.needed
