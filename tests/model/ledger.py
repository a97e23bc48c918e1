"""What has been delivered to the proxy so far, and what the promises make of it, kept apart from its beliefs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.core.records import Cancel, Ending
from proxy.core.verdicts import CancelVerdict, Coalesce, Forward, Replay

if TYPE_CHECKING:
    from tests.model.backend import Turn
    from tests.model.desk import Desk

RECEIPT = {"relays": "terminal_seen", "answer": "answered"}


@dataclass
class Settling:
    """What an accepted cancel still misses."""

    caller: str
    deadline: int
    missing: set[str] = field(default_factory=lambda: {"relays", "answer", "slot"})


class Ledger:
    """The evidence, stream by stream."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.over: dict[str, Ending] = {}
        """Streams of whose end there is evidence, by the first of it."""
        self.muddled: set[str] = set()
        """Streams after whose start that of an older one was told: nobody can know which of them is the later."""
        self.cancels: dict[str, tuple[str, str]] = {}
        """By stream, the caller and the id of the cancel that is on its way."""
        self.settling: dict[str, Settling] = {}
        self._callers: dict[str, str] = {}
        self._known_since: dict[str, int] = {}
        self._heard: set[str] = set()
        self._overtaken: set[str] = set()  # of which what was told may, or may not, be taken as their end

    # -- evidence ---------------------------------------------------------------------------------

    def introduced(self, turn: Turn, now: int, turns: dict[str, Turn]) -> None:
        """A start was told: in its session, as far as that is known, the earlier turns are over.

        The start of a turn that is known to have ended is no news, and may be old.
        """
        if turn.stream_id in self._known_since:
            return
        siblings = [turns[stream_id] for stream_id in self._heard - {turn.stream_id} if stream_id in turns]
        siblings = [other for other in siblings if other.session_id == turn.session_id]
        self.muddled |= {other.stream_id for other in siblings if other.number > turn.number}
        if turn.stream_id not in self.over and turn.stream_id not in self.muddled:
            self._supersede([other for other in siblings if other.number < turn.number], turn)
        self._known_since[turn.stream_id] = now
        self._heard.add(turn.stream_id)

    def _supersede(self, earlier: list[Turn], turn: Turn) -> None:
        home = self._desk.locate(turn.stream_id)
        self._overtaken |= {other.stream_id for other in earlier}
        for other in earlier:
            if other.stream_id in self._known_since and self._desk.locate(other.stream_id) == home:
                self.over.setdefault(other.stream_id, Ending.SUPERSEDED)

    def ended(self, stream_id: str, ending: Ending) -> None:
        self.over.setdefault(stream_id, ending)

    def status_read(self, stream_id: str, ending: Ending | None, asked: int) -> None:
        self._heard.add(stream_id)
        if ending is not None:
            self._overtaken.add(stream_id)
        if ending is not None and asked >= self._known_since.get(stream_id, 0):
            self.over.setdefault(stream_id, ending)

    def restarted(self, at: int) -> None:
        for stream_id in self._known_since:
            stream = self._desk.stream(stream_id)
            if stream is not None and stream.since <= at:
                self.over.setdefault(stream_id, Ending.LOST)

    # -- cancels ----------------------------------------------------------------------------------

    def check(self, verdict: CancelVerdict, stream_id: str, caller: str) -> None:
        match verdict:
            case Forward():
                assert stream_id not in self.over, "P1: no stale forward"
                assert stream_id not in self.cancels, "forward once"
            case Coalesce(shared=shared):
                assert shared is (self.cancels[stream_id][0] == caller), "P9: no authority of its own"
            case Replay(shared=shared):
                assert shared is (self.settling[stream_id].caller == caller), "P9: no authority of its own"
            case _:
                assert stream_id not in self.cancels, "one on its way is waited for"
                assert stream_id not in self.settling, "F4: duplicate Stops"

    def sent(self, stream_id: str, caller: str, cancel_id: str) -> None:
        self.cancels[stream_id] = caller, cancel_id
        self._heard.add(stream_id)
        self._callers[stream_id] = caller

    def took_answer(self, stream_id: str, cancel_id: str) -> bool:
        """Whether somebody still waited for that answer."""
        if self.cancels.get(stream_id, ("", ""))[1] != cancel_id:
            return False
        del self.cancels[stream_id]
        return True

    def accepted(self, stream_id: str, cancel: Cancel, deadline: int) -> None:
        """P2: the answer is `false` if something else had ended the stream before."""
        first = self.over.get(stream_id)
        if first in (Ending.FINISHED, Ending.FAILED, Ending.SUPERSEDED):
            assert cancel.overtaken_by is not None, f"P2: {stream_id} was {first}"
        elif stream_id not in self.muddled | self._overtaken:
            assert cancel.overtaken_by in (None, Ending.LOST), f"P2: nothing overtook the cancel of {stream_id}"
        self.settling[stream_id] = Settling(self._callers[stream_id], deadline)

    def refused(self, stream_id: str) -> None:
        if stream_id in self._known_since:
            self.over.setdefault(stream_id, Ending.UNKNOWN)

    def failed(self, stream_id: str, now: int) -> None:
        """What was asked before is not held against what is believed after it."""
        del self.cancels[stream_id]
        if stream_id in self._known_since:
            self._known_since[stream_id] = now

    # -- settling ---------------------------------------------------------------------------------

    def stepped(self, stream_id: str, step: str) -> None:
        self.settling[stream_id].missing.discard(step)

    def settled(self, stream_id: str, cancel: Cancel) -> None:
        """The receipt says what was missing; exactly one is given."""
        left = self.settling.pop(stream_id).missing
        assert {RECEIPT[step] for step in left - {"slot"}} == set(cancel.missing) - {"slot_free"}
        self.over.setdefault(stream_id, Ending.CANCELLED)

    def holds(self, stream_id: str) -> bool:
        """P3: settle before start."""
        return stream_id in self.cancels or (stream_id in self.settling and bool(self.settling[stream_id].missing))

    def overdue(self, now: int) -> list[str]:
        return [stream_id for stream_id, settling in self.settling.items() if settling.deadline <= now]
