"""Splits the bytes of one browser connection into HTTP requests.

One request is handed out at a time. Bytes of the next one wait, at most `PIPELINED` of them, until `Intake.next`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from proxy.http.errors import BrowserError
from proxy.http.heads import RequestParser

if TYPE_CHECKING:
    from proxy.http.downstream.incoming import Incoming
    from proxy.http.heads import ReceivedHead
    from proxy.http.inflow import Inflow

PIPELINED: Final = 65_536
"""Bytes that wait behind the request under way; with so many, no more is read."""


class Taker(Protocol):
    """Takes requests as they come."""

    def head_begun(self) -> None:
        """The first byte of a head has come."""

    def head_came(self, head: ReceivedHead, /) -> Incoming | None:
        """A head is whole: what takes its body, or None if there is none.

        Raises:
            BrowserError: it is refused. The taker has to answer it itself; `head_failed` is not called.
        """

    def head_failed(self, error: BrowserError, /) -> None:
        """The head cannot be read, is too long or is not supported; `error` says which."""


class Reading(Enum):
    """What the next bytes are."""

    HEAD = auto()
    BODY = auto()
    BEHIND = auto()
    """Of a request behind the one under way: they wait for their turn."""
    TUNNEL = auto()
    """Raw bytes after an upgrade."""
    NOTHING = auto()
    """Thrown away. A body that has begun is still decoded, so that its end is noticed."""


class Intake:
    """Cuts one connection's bytes.

    Args:
        taker: Takes what is found.
    """

    __slots__ = ("_behind", "_incoming", "_is_last", "_parser", "_reading", "_taker", "_tunnel")

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._reading = Reading.HEAD
        self._parser: RequestParser | None = None
        self._incoming: Incoming | None = None
        self._tunnel: Inflow | None = None
        self._behind = b""
        self._is_last = False

    @property
    def is_open(self) -> bool:
        """Whether another request may follow the one under way."""
        return not (self._reading is Reading.NOTHING or self._reading is Reading.TUNNEL or self._is_last)

    @property
    def is_full(self) -> bool:
        """Whether so much is waiting that reading from the connection should pause."""
        match self._reading:
            case Reading.BODY:
                return self._incoming is not None and self._incoming.is_full
            case Reading.BEHIND:
                return len(self._behind) >= PIPELINED
            case Reading.TUNNEL:
                return self._tunnel is not None and self._tunnel.is_full
        return False

    @property
    def is_in_body(self) -> bool:
        """Whether more of a body is to come, wanted or not."""
        return self._incoming is not None

    def feed(self, data: bytes) -> None:
        """Take the next bytes for what they are."""
        match self._reading:
            case Reading.HEAD:
                self._read_head(data)
            case Reading.BODY:
                self._read_body(data)
            case Reading.BEHIND:
                self._behind += data
            case Reading.TUNNEL if self._tunnel is not None:
                self._tunnel.feed(data)
            case Reading.NOTHING if self._incoming is not None and self._incoming.drop(data):
                self._incoming = None

    def next(self) -> None:
        """The request under way is over, and so is its body: go on with what waits behind it."""
        data, self._behind = self._behind, b""
        self._reading = Reading.HEAD
        if data:
            self._read_head(data)

    def drop(self) -> None:
        """From now on everything is thrown away; no further request is read."""
        self._reading, self._parser, self._behind = Reading.NOTHING, None, b""

    def drop_behind(self) -> None:
        """The current request is the last: its body is still read, everything behind it is thrown away."""
        self._is_last = True
        if self._reading is Reading.BEHIND:
            self.drop()

    def tunnel(self, inflow: Inflow) -> None:
        """What comes is for ``inflow``, beginning with what waits."""
        waiting, self._behind = self._behind, b""
        self._reading, self._tunnel = Reading.TUNNEL, inflow
        if waiting:
            inflow.feed(waiting)

    def end(self) -> bool:
        """The browser has ended its side. True if a tunnel was open, which is told."""
        if self._tunnel is None:
            return False
        self._tunnel.end()
        return True

    def _read_head(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = RequestParser()
        parser, had_begun = self._parser, self._parser.has_begun
        try:
            rest = parser.feed(data)
            if rest is not None and parser.head is not None:
                self._begin(parser.head, rest)
            elif parser.has_begun and not had_begun:
                self._taker.head_begun()
        except BrowserError as error:
            self.drop()
            if parser.head is None:
                self._taker.head_failed(error)

    def _begin(self, head: ReceivedHead, rest: bytes) -> None:
        self._parser = None
        self._incoming = self._taker.head_came(head)
        self._reading = Reading.BODY
        self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        rest: bytes | None = data
        if self._incoming is not None:
            try:
                rest = self._incoming.feed(data)
            except BrowserError:  # whoever reads the body was told
                self._incoming = None
                self.drop()
                return
        if rest is not None:
            self._incoming = None
            self._behind, self._reading = rest, Reading.BEHIND
            if self._is_last:
                self.drop()
