"""What a backend was seen to be."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy.hermes import releases
from proxy.hermes.answers import Login
from proxy.hermes.probe import Forwarded, Identity, Question
from proxy.hermes.releases import Span

UNKNOWN: Final = Span()


class Outcome(Enum):
    """How a question of the contract was answered."""

    AS_EXPECTED = "as expected"
    DIFFERENT = "different"
    NOT_LOOKED_AT = "not looked at"
    """The backend wants a login."""
    BUSY = "busy"
    """The backend has no thread left for it (F7)."""
    HELD_BACK = "held back"
    """An event stream of which nothing arrives."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One question of the contract, and what came of it; `answer` says in words what was heard."""

    question: Question
    outcome: Outcome
    answer: str


@dataclass(frozen=True, slots=True)
class Streaming:
    """An event stream, as it arrived.

    Attributes:
        first_bytes: Seconds until its first bytes, which Hermes sends at once; None if none came in time, nor perhaps
            its head.
        encoding: Its `Content-Encoding`; empty as Hermes sends it.
    """

    first_bytes: float | None
    encoding: str


class Unreachable(Enum):
    """Why there was no answer at all."""

    NOT_THERE = "it takes no connection"
    UNTRUSTED = "its certificate is not trusted"
    NOT_TLS = "it does not speak TLS"
    NOT_HTTP = "it does not answer in HTTP"
    SILENT = "it does not answer"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen; what is None was not.

    Attributes:
        unreachable: Why there was no answer, if there was none.
        detail: In a sentence, what went wrong, or what answered that is not Hermes.
        is_hermes: Whether what answered is Hermes.
        is_guard: Whether it is another Stream Guard.
        release: The releases that it may be.
        server: What it calls itself.
        via: What calls itself a proxy on the way.
        peer: Its IP address; empty for a Unix socket.
        login: Whether it wants a login, and the one that was given is good.
        tried: The contract, question by question.
        streaming: How an event stream arrives.
        forwarded: What it makes of `X-Forwarded-For`.
        identity: What it makes of headers that say who is logged in.
        skew: Seconds by which its clock is ahead.
        unstopped: Seconds for which each run that was cancelled has gone on since.
        has_cookie: Whether a cookie was given, to look behind its login.
    """

    unreachable: Unreachable | None = None
    detail: str = ""
    is_hermes: bool = False
    is_guard: bool = False
    release: Span = UNKNOWN
    server: str = ""
    via: str = ""
    peer: str = ""
    login: Login | None = None
    tried: tuple[Tried, ...] = ()
    streaming: Streaming | None = None
    forwarded: Forwarded | None = None
    identity: Identity | None = None
    skew: float | None = None
    unstopped: tuple[float, ...] = ()
    has_cookie: bool = False

    @property
    def said(self) -> str | None:
        """The release that it says it is; one that runs from a bare checkout does not."""
        release = releases.stated_release(self.server)
        return releases.name(release) if release else None
