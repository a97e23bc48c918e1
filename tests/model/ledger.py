"""What has been delivered to the proxy so far, and what the promises make of it, kept apart from its beliefs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.records import Cancel, Ending, Slot, SlotFreedBy
from proxy.core.verdicts import CancelVerdict, Coalesce, Forward, Repeat, Stale

if TYPE_CHECKING:
    from tests.model.backend import Turn
    from tests.model.desk import Desk

OWN = (Ending.FINISHED, Ending.FAILED)
DOUBTFUL = (Ending.SUPERSEDED, Ending.LOST, Ending.UNKNOWN)


@dataclass
class Sent:
    """A cancel on its way."""

    stream_id: str
    caller: str
    overdue: bool = False
    holds: bool = True
    """Whether its session's next start waits for its answer: not when another cancel's was decisive."""


@dataclass
class Settling:
    """An accepted cancel, and what it still misses."""

    cancel_id: str
    caller: str
    deadline: int
    told: bool = False
    answered: bool = False
    slot: Slot = Slot.BUSY

    @property
    def everybody_knows(self) -> bool:
        return self.told and self.answered

    @property
    def holds_starts(self) -> bool:
        return not self.everybody_knows or self.slot is Slot.BUSY

    @property
    def holds_changes(self) -> bool:
        return not self.everybody_knows or self.slot is not Slot.FREE


class Ledger:
    """The evidence, stream by stream."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.first: dict[str, Ending] = {}
        """Streams of whose end there is evidence, by the first of it."""
        self.own: set[str] = set()
        """Those that told how they ended by themselves."""
        self.gone: set[str] = set()
        """Those whose worker was seen gone."""
        self.hinted: set[str] = set()
        """Those of which anything was told that may, or may not, be taken as their end."""
        self.revived: set[str] = set()
        """Those that spoke, or were found running, though something had told of their end."""
        self.muddled: set[str] = set()
        """Streams after whose start that of an older one was told: nobody can know which of them is the later."""
        self.hosted: dict[str, bool | None] = {}
        """By stream, whether its start said that the backend runs it itself."""
        self.cancels: dict[str, Sent] = {}
        """By id, those on their way."""
        self.settling: dict[str, Settling] = {}
        self.given_up: set[str] = set()
        """Streams of which an accepted cancel was over before its worker was seen gone."""
        self._known_since: dict[str, int] = {}
        self._heard: set[str] = set()
        self._overtaken: set[str] = set()

    # -- evidence ---------------------------------------------------------------------------------

    def is_over(self, stream_id: str) -> bool:
        """P1. That somebody cancelled it is not enough (P11)."""
        return stream_id in self.own | self.gone or self.first.get(stream_id) in DOUBTFUL

    def is_proven(self, stream_id: str) -> bool:
        """Whether anything but the next turn tells that no worker is there."""
        return stream_id in self.own | self.gone | self.hinted or self._seen_gone(stream_id)

    def _seen_gone(self, stream_id: str) -> bool:
        return stream_id in self.settling and self.settling[stream_id].slot is Slot.FREE

    def introduced(self, turn: Turn, now: int, turns: dict[str, Turn]) -> None:
        """A start was told: in its session, as far as that is known, the earlier turns are over.

        The start of a turn that is known to have ended is no news, and may be old.
        """
        if turn.stream_id in self._known_since:
            return
        siblings = [turns[stream_id] for stream_id in self._heard - {turn.stream_id} if stream_id in turns]
        siblings = [other for other in siblings if other.session_id == turn.session_id]
        self.muddled |= {other.stream_id for other in siblings if other.number > turn.number}
        earlier = [other for other in siblings if other.number < turn.number]
        self._overtaken |= {other.stream_id for other in earlier}
        if turn.stream_id not in self.first and turn.stream_id not in self.muddled:
            self._supersede(earlier, turn, siblings)
        self._known_since[turn.stream_id] = now
        self._heard.add(turn.stream_id)

    def _supersede(self, earlier: list[Turn], turn: Turn, siblings: list[Turn]) -> None:
        """F20: where a runner is known to run any of a session's turns, none supersedes another for certain."""
        home = self._desk.locate(turn.stream_id)
        if any(self.hosted.get(other.stream_id) is False for other in (turn, *siblings)):
            return
        for other in earlier:
            if other.stream_id in self._known_since and self._desk.locate(other.stream_id) == home:
                self.first.setdefault(other.stream_id, Ending.SUPERSEDED)

    def ended(self, stream_id: str, ending: Ending) -> None:
        self.first.setdefault(stream_id, ending)
        if ending in OWN:
            self.own.add(stream_id)
        elif self.first[stream_id] in (Ending.LOST, Ending.UNKNOWN):
            self.gone.add(stream_id)  # how it ended is news, that it did is not

    def status_read(self, stream_id: str, ending: Ending | None, asked: int, *, active: bool) -> None:
        self._heard.add(stream_id)
        if ending is not None:
            self._overtaken.add(stream_id)
            self.hinted.add(stream_id)
        if ending is not None and asked >= self._known_since.get(stream_id, 0):
            self.ended(stream_id, ending)
        if active:
            self._revive(stream_id)

    def spoke(self, stream_id: str, now: int) -> None:
        """F20: what speaks is not over, unless it told so itself."""
        if stream_id not in self.own:
            self._revive(stream_id)
            if stream_id in self._known_since:
                self._known_since[stream_id] = now

    def _revive(self, stream_id: str) -> None:
        self.revived.add(stream_id)
        if self.first.get(stream_id) in DOUBTFUL:
            del self.first[stream_id]
            self.gone.discard(stream_id)

    def missed(self, stream_id: str) -> None:
        self.hinted.add(stream_id)

    def restarted(self, at: int) -> None:
        """F20: it ends no turn of a runner."""
        for stream_id in self._heard | self.first.keys():
            stream = self._desk.stream(stream_id)
            if stream is None or stream.since > at or self.hosted.get(stream_id) is False:
                continue
            self.hinted.add(stream_id)
            if stream_id in self._known_since:
                self.first.setdefault(stream_id, Ending.LOST)
            if self.first.get(stream_id) is Ending.CANCELLED:
                self.gone.add(stream_id)

    # -- cancels ----------------------------------------------------------------------------------

    def check(self, verdict: CancelVerdict, stream_id: str, caller: str) -> None:
        waited_for = [one for one in self._on_the_way(stream_id) if one.caller == caller and not one.overdue]
        match verdict:
            case Forward():
                assert not self.is_over(stream_id), "P1: no stale forward"
                assert not waited_for, "forward once, unless the first is overdue"
                assert stream_id not in self.settling, "F4: duplicate Stops"
            case Coalesce(first=first):
                assert self.cancels[first] in waited_for, "P9: no authority of its own"
            case Repeat(shared=shared, first=first):
                assert first == self.settling[stream_id].cancel_id
                assert shared is (self.settling[stream_id].caller == caller), "P9: no authority of its own"
            case Stale(proven=proven):
                assert stream_id not in self.settling or self._seen_gone(stream_id), "F4: duplicate Stops"
                assert not proven or self.is_proven(stream_id), "P11: nothing proves that its worker is gone"

    def _on_the_way(self, stream_id: str) -> list[Sent]:
        return [sent for sent in self.cancels.values() if sent.stream_id == stream_id]

    def sent(self, stream_id: str, caller: str, cancel_id: str) -> None:
        """While the stream is being cancelled again, every answer that is still to come may be decisive."""
        self._heard.add(stream_id)
        self.cancels[cancel_id] = Sent(stream_id, caller)
        for sent in self._on_the_way(stream_id):
            sent.holds = True

    def took_answer(self, cancel_id: str) -> Sent | None:
        """The cancel, if somebody still waits for its answer."""
        return self.cancels.pop(cancel_id, None)

    def is_decided(self, stream_id: str) -> None:
        """The stream settles or has ended: the cancels behind that hold nothing."""
        for sent in self._on_the_way(stream_id):
            sent.holds = False

    def accepted(self, stream_id: str, cancel: Cancel, deadline: int) -> None:
        """P2: the answer is `false` if something else had ended the stream before."""
        first = self.first.get(stream_id)
        if first in OWN or (first is Ending.SUPERSEDED and stream_id not in self.revived):
            assert cancel.overtaken_by is not None, f"P2: {stream_id} was {first}"
        elif stream_id not in self.muddled | self._overtaken | self.own:
            assert cancel.overtaken_by in (None, Ending.LOST), f"P2: nothing overtook the cancel of {stream_id}"
        assert stream_id not in self.settling, "F4: one cancel settles"
        self.settling[stream_id] = Settling(cancel.cancel_id, cancel.credentials, deadline)
        self.given_up.discard(stream_id)
        self.is_decided(stream_id)

    def refused(self, stream_id: str, *, gone: bool) -> None:
        """F20: alone it proves nothing. Behind an accepted cancel it is one more look at the worker."""
        if not gone:
            return
        if stream_id in self.settling:
            self.settling[stream_id].slot = Slot.FREE
            return
        self.hinted.add(stream_id)
        self.is_decided(stream_id)
        if stream_id in self._known_since:
            self.first.setdefault(stream_id, Ending.UNKNOWN)
            self.gone.add(stream_id)

    def withdrawn(self, stream_id: str, now: int) -> None:
        """What was asked before is not held against what is believed after it."""
        if stream_id in self._known_since and not self._on_the_way(stream_id):
            self._known_since[stream_id] = now

    # -- settling ---------------------------------------------------------------------------------

    def slot_seen(self, stream_id: str, slot: Slot) -> None:
        """Who was seen gone does not come back, whatever is read later."""
        settling = self.settling.get(stream_id)
        if settling is not None and settling.slot is not Slot.FREE:
            settling.slot = slot
        elif settling is None and stream_id in self.given_up and slot is Slot.FREE:
            self.hinted.add(stream_id)
            if self.first.get(stream_id) is Ending.CANCELLED:
                self.gone.add(stream_id)

    def settled(self, stream_id: str, cancel: Cancel) -> None:
        """The receipt says what was missing; exactly one is given."""
        left = self.settling.pop(stream_id)
        assert ("terminal_seen" in cancel.missing) is not left.told
        assert ("answered" in cancel.missing) is not left.answered
        self.first.setdefault(stream_id, Ending.CANCELLED)
        if cancel.slot is not Slot.FREE:
            assert left.slot is cancel.slot
            self.given_up.add(stream_id)
            return
        if left.slot is not Slot.FREE:
            assert cancel.slot_freed_by is SlotFreedBy.RESTART, "P11: nothing told"
        assert cancel.acked_at is not None
        assert cancel.slot_free_at is not None
        assert cancel.slot_free_at >= cancel.acked_at, "P11: what was seen before it tells nothing"
        self.gone.add(stream_id)

    def holds_starts(self, stream_id: str) -> bool:
        """P3: settle before start."""
        return self._awaits_answer(stream_id) or (stream_id in self.settling and self.settling[stream_id].holds_starts)

    def holds_changes(self, stream_id: str) -> bool:
        """F17: a worker writes late."""
        return self._awaits_answer(stream_id) or (stream_id in self.settling and self.settling[stream_id].holds_changes)

    def _awaits_answer(self, stream_id: str) -> bool:
        return any(sent.holds for sent in self._on_the_way(stream_id))

    def overdue(self, now: int) -> list[str]:
        return [stream_id for stream_id, settling in self.settling.items() if settling.deadline <= now]
