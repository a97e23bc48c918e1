"""What one request comes to: noted by whoever learns it, and told once the request has ended."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Protocol

from proxy.http.errors import BackendError
from proxy.http.headers import neighbourhood
from proxy.http.pace import Pace
from proxy.http.writer import PeerStalledError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from proxy.http.errors import ProxyError
    from proxy.http.room import Held

Who = Literal["proxy", "backend", "browser"]

_current: ContextVar[Account | None] = ContextVar("account", default=None)


class Browser(Protocol):
    """Who asks."""

    @property
    def client(self) -> str:
        """Its IP address."""

    def give_way(self, error: ProxyError, /) -> None:
        """Waits for it no more."""


class Account:
    """One request's account.

    Args:
        clock: Monotonic seconds.

    Attributes:
        began: When the request did.
        call: What it asks for, in the words of whoever knows the backend's calls.
        verdict: What was decided about it, if anything was.
        cancel: The id of the cancel that it is or shares.
        status: Of the head that went out; None before.
        sent: Bytes of body written to the browser.
        alarm: Goes off when the request has become slow.
        left: Whether the browser left before the answer was complete.
        ended_by: Who said the last word: whoever's the answer is, or broke it off.
        error: The code of what went wrong.
        held: What is held of its body.
        pace: How long its browser was waited for.
        browser: Whose it is; None once it has ended.
    """

    __slots__ = (
        "_asks",
        "_client",
        "_clock",
        "_waited",
        "_waiting_since",
        "alarm",
        "began",
        "browser",
        "call",
        "cancel",
        "ended_by",
        "error",
        "held",
        "left",
        "pace",
        "sent",
        "status",
        "verdict",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self.began = clock()
        self.call = "Refused"
        self.verdict: str | None = None
        self.cancel: str | None = None
        self.status: int | None = None
        self.sent = 0
        self.alarm: asyncio.TimerHandle | None = None
        self.left = False
        self.ended_by: Who = "proxy"
        self.error: str | None = None
        self.held: Held | None = None
        self.pace = Pace(clock)
        self.browser: Browser | None = None
        self._clock = clock
        self._waited = 0.0
        self._waiting_since = 0.0
        self._asks = 0
        self._client: str | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self.began

    @property
    def backend(self) -> float:
        """Seconds of these in which the head of an answer was waited for; while two are, they count once."""
        return self._waited + (self._clock() - self._waiting_since if self._asks else 0.0)

    @property
    def client(self) -> str:
        """Whom it is counted with."""
        if self._client is None:
            self._client = neighbourhood(self.browser.client) if self.browser is not None else ""
        return self._client

    def give_way(self, error: ProxyError) -> None:
        """Others need what it holds: its browser is waited for no more."""
        if self.browser is not None:
            self.browser.give_way(error)

    def wrote(self, size: int, _in_all: int) -> None:
        """More of the body was written (aiohttp's ``on_body_write``)."""
        self.sent += size
        self.pace.moved(size)

    def disarm(self) -> None:
        """It has ended, or lasts for as long as the browser stays, which is not being slow."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def fail(self, cause: BaseException | None, error: ProxyError) -> None:
        """The request failed for a cause, which the browser would be told as this error."""
        if isinstance(cause, PeerStalledError):
            self.error, self.ended_by = cause.code, "proxy"
        elif isinstance(cause, ConnectionError):
            self.left = True
        else:
            self.error, self.ended_by = error.code, "backend" if isinstance(error, BackendError) else "proxy"

    def ask(self) -> None:
        """The backend is being asked from now on."""
        if not self._asks:
            self._waiting_since = self._clock()
        self._asks += 1

    def hear(self) -> None:
        """It has answered, or will not."""
        self._asks -= 1
        if not self._asks:
            self._waited += self._clock() - self._waiting_since

    def close(self) -> None:
        """The request has ended, and what was held for it goes with it."""
        self.browser = None
        if self.held is not None:
            self.held.close()

    def open(self) -> None:
        """What is asked in this task, and in those that it starts, is asked for this request."""
        _current.set(self)


def asker() -> Account | None:
    """The account of the request that this task works for."""
    return _current.get()


def work_for_nobody() -> None:
    """What this task asks is asked for no request, although it was started while one was carried out."""
    _current.set(None)


@contextmanager
def asking() -> Iterator[None]:
    """Time in here is spent waiting for the head of the backend's answer."""
    account = _current.get()
    if account is None:
        yield
        return
    account.ask()
    try:
        yield
        account.ended_by = "backend"
    finally:
        account.hear()
