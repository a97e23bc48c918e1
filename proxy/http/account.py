"""The record of one request, for the access log, the metrics, and whoever shares out slots and memory.

Each part of the proxy writes down what it knows (status, bytes, error, who ended it). Log and metrics read it when the
request has ended. While it runs, `slots` and `room` find its client by it, and make it give way.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Protocol

from proxy.http.clients import neighbourhood
from proxy.http.errors import BackendError
from proxy.http.pace import Pace
from proxy.http.writer import PeerStalledError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

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
        """Ends the waiting for this browser with `error`, because others need the slot or the memory that it holds."""


class Account:
    """One request's account.

    Args:
        clock: Monotonic seconds.

    Attributes:
        began: When the request did.
        call: What it asks for, in the words of whoever knows the backend's calls.
        verdict: What was decided about it, if anything was.
        cancel: The id of its cancel; of the first one, if it was given that one's answer.
        status: Of the head that went out; None before.
        sent: Bytes of body written to the browser.
        alarm: Goes off when the request has become slow.
        left: Whether the browser left before the answer was complete.
        ended_by: Who ended it: the one whose answer it is, or who broke it off.
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
        """Seconds of `seconds` spent waiting for heads of the backend; waits that overlap count once."""
        return self._waited + (self._clock() - self._waiting_since if self._asks else 0.0)

    @property
    def client(self) -> str:
        """The client that it counts for: an IPv4 address or an IPv6 /64; empty without a browser."""
        if self._client is None:
            self._client = neighbourhood(self.browser.client) if self.browser is not None else ""
        return self._client

    @property
    def lateness(self) -> float:
        """Seconds for which its browser has been late."""
        return self.pace.lateness

    def give_way(self, error: ProxyError) -> None:
        """Others need what it holds: the waiting for its browser ends with `error`."""
        if self.browser is not None:
            self.browser.give_way(error)

    def wrote(self, size: int) -> None:
        """More of the body was written."""
        self.sent += size
        self.pace.moved(size)

    def disarm(self) -> None:
        """It has ended, or lasts for as long as the browser stays, which is not being slow."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def fail(self, cause: BaseException | None, error: ProxyError) -> None:
        """Notes a failure.

        A `ConnectionError` means that the browser left, and is no error. A stalled browser is ended by the proxy. For
        anything else `error` is what is noted.
        """
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

    def make_current(self) -> None:
        """Has `asker` return it in this task, and in tasks that are started from it."""
        _current.set(self)


def asker() -> Account | None:
    """The account of the request that this task works for, or None."""
    return _current.get()


def detach_from_request() -> None:
    """Has this task work for no request from now on, although a request started it."""
    _current.set(None)


class asking:  # noqa: N801 - it is used as a function
    """A context that counts as waiting for the head of the backend's answer.

    Left without an error, it notes the backend as the one that ends the request.
    """

    __slots__ = ("_account",)

    def __init__(self) -> None:
        self._account = _current.get()

    def __enter__(self) -> None:
        if self._account is not None:
            self._account.ask()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._account is None:
            return
        self._account.hear()
        if kind is None:
            self._account.ended_by = "backend"
