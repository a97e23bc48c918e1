"""The texts that were steered into turns, kept in memory until it is seen what became of them (F18)."""

import asyncio

from proxy.core.records import Ending
from proxy.core.steers import Steer, Steered
from proxy.events.steers import (
    SteerAccepted,
    SteerHandedBack,
    SteerLost,
    SteerReached,
    SteerReturned,
    SteerUnremembered,
)
from proxy.hermes import events
from proxy.reporting import Report

MOST = 1 << 16
MOST_OF_A_TURN = 1 << 18
MOST_OF_ALL = 1 << 22
"""Characters that are kept (P7): of one text, of one turn's, and of all. What is over it passes unremembered."""

KEPT = 3600.0
"""Seconds for which a turn's texts are kept while no browser follows it, for one that comes back."""


class Steers:
    """Who is to be given what back.

    Args:
        report: Told of texts by their counts and lengths, and never what they say.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._turns: dict[str, _Turn] = {}

    def remember(self, stream_id: str, session_id: str, text: str) -> None:
        """The backend has accepted `text` for that turn, and it may be lost."""
        turn, length = self._turns.get(stream_id) or _Turn(), len(text)
        fits = length <= MOST and turn.size + length <= MOST_OF_A_TURN and self.size + length <= MOST_OF_ALL
        if not fits:
            self._report(SteerUnremembered(stream_id, length))
            return
        self._turns[stream_id] = turn
        turn.steered.remember(session_id, text)
        self._report(SteerAccepted(stream_id, length))
        self._let_expire(stream_id, turn)

    def opened(self, stream_id: str, upstream: str) -> "Reader":
        """An upstream of that turn, which is to be closed; `upstream` is what reports call it."""
        turn = self._turns.setdefault(stream_id, _Turn())
        turn.join()
        return Reader(self, stream_id, turn.steered, upstream, self._report)

    def closed(self, stream_id: str) -> None:
        """One upstream of that turn less is open."""
        turn = self._turns[stream_id]
        turn.readers -= 1
        self._let_expire(stream_id, turn)

    @property
    def size(self) -> int:
        """Characters that are kept."""
        return sum(turn.size for turn in self._turns.values())

    def _let_expire(self, stream_id: str, turn: "_Turn") -> None:
        if turn.readers or turn.expiry is not None:
            return
        if turn.steered.waiting:
            turn.expiry = asyncio.get_running_loop().call_later(KEPT, self._expire, stream_id)
        else:
            del self._turns[stream_id]

    def _expire(self, stream_id: str) -> None:
        turn = self._turns.pop(stream_id)
        self._report(SteerLost(None, stream_id, len(turn.steered.waiting), None, "nobody came back"))


class _Turn:
    """One turn's texts, and how many upstreams of it are open."""

    __slots__ = ("expiry", "readers", "steered")

    def __init__(self) -> None:
        self.steered = Steered()
        self.readers = 0
        self.expiry: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        return sum(len(steer.text) for steer in self.steered.waiting)

    def join(self) -> None:
        """One upstream more is open."""
        self.readers += 1
        if self.expiry is not None:
            self.expiry.cancel()
            self.expiry = None


class Reader:
    """One upstream of a turn: what it tells of the turn's texts, and what it gives back.

    What one gives back, no other does, unless its browsers leave before it was sent.
    """

    __slots__ = ("_report", "_steered", "_steers", "_stream_id", "_taken", "_upstream")

    def __init__(self, steers: Steers, stream_id: str, steered: Steered, upstream: str, report: Report) -> None:
        self._steers = steers
        self._stream_id = stream_id
        self._steered = steered
        self._upstream = upstream
        self._report = report
        self._taken: tuple[Steer, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether texts wait for what becomes of them."""
        return bool(self._steered.waiting)

    def saw(self, event: str, data: bytes) -> None:
        """An event of the turn went by."""
        if events.is_tool_end(event):
            self._tell(SteerReached, self._steered.tool_ended(hash(data)))
        elif text := events.leftover_in(event, data):
            self._tell(SteerHandedBack, self._steered.handed_back(text))
        elif events.ending_of(event, data) is Ending.CANCELLED:
            self.lose()

    def lose(self) -> None:
        """The turn was cancelled: the agent drops the texts, and nobody wants them sent on their own."""
        if lost := self._steered.take():
            self._report(SteerLost(self._upstream, self._stream_id, len(lost), _length(lost), "cancelled"))

    def take(self) -> bytes:
        """The event that gives all of them back, as one text; nothing if there are none."""
        taken = self._steered.take()
        self._taken += taken
        return events.leftover(taken[-1].session_id, "\n".join(steer.text for steer in taken)) if taken else b""

    def written(self) -> None:
        """The browser was sent what was taken."""
        taken, self._taken = self._taken, ()
        self._tell(SteerReturned, taken)

    def close(self) -> None:
        """Its browsers left, or have all: what they were not sent, others may be."""
        taken, self._taken = self._taken, ()
        self._steered.put_back(taken)
        self._steers.closed(self._stream_id)

    def _tell(self, kind: type[SteerReached | SteerHandedBack | SteerReturned], steers: tuple[Steer, ...]) -> None:
        if steers:
            self._report(kind(self._upstream, self._stream_id, len(steers), _length(steers)))


def _length(steers: tuple[Steer, ...]) -> int:
    return sum(len(steer.text) for steer in steers)
