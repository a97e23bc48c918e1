"""Following accepted cancels until they have settled."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest

from proxy.core.effects import EndRelays, Settled, WatchSettling
from proxy.core.observations import CancelAccepted, CancelAnswered, CancelSent, TurnStarted
from proxy.core.records import Slot
from proxy.guard.relays import Relays
from proxy.guard.settling import Settling
from proxy.guard.tasks import Tasks
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.guard.slots import Slots

SETTLE = 5.0


class Worker:
    """A cancelled worker: what is seen of its slot, and when; as `proxy.guard.slots.Slots`."""

    def __init__(self, *seen: tuple[float, Slot]) -> None:
        self._seen = seen

    async def follow(self, _stream_id: str) -> AsyncIterator[Slot]:
        for at, slot in self._seen:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            yield slot


class Relay:
    def revise(self) -> None:
        """It has no limit."""


class Followed:
    """A cancel of stream `x` that is accepted at 0, and what settles it at which time."""

    def __init__(self, tasks: Tasks, worker: Worker) -> None:
        self.loop = asyncio.get_running_loop()
        self.notes = Notes()
        self.relays = Relays()
        self.settled: list[tuple[float, tuple[str, ...]]] = []
        self.tasks = tasks
        self.ownership = ownership(self.notes)
        slots = cast("Slots", worker)
        settling = Settling(self.ownership, self.relays, slots, tasks, live(settle_timeout=SETTLE), report=self.notes)
        self.ownership.on(EndRelays, lambda _effect: None)
        self.ownership.on(WatchSettling, settling.watch)
        self.ownership.on(Settled, self._note_settled)

    async def is_cancelled(self, *, answered_at: float = 0.0, relay_until: float = 0.0) -> None:
        if relay_until:
            self.tasks.spawn(self._relay(relay_until), "relay")
            await asyncio.sleep(0)
        await self.ownership.turn_seen("s", TurnStarted(0.0, "x"))
        await self.ownership.observe(CancelSent(0.0, "x", "c-1", "alice"))
        await self.ownership.observe(CancelAccepted(0.0, "x"))
        self.tasks.spawn(self._answer(answered_at), "answer")

    async def _relay(self, until: float) -> None:
        with self.relays.opened("x", Relay()):
            await asyncio.sleep(until)

    async def _answer(self, at: float) -> None:
        await asyncio.sleep(at)
        await self.ownership.observe(CancelAnswered(self.loop.time(), "x"))

    def _note_settled(self, effect: Settled) -> None:
        self.settled.append((self.loop.time(), effect.cancel.missing))


@pytest.mark.parametrize(
    ("relay_until", "answered_at", "free_at"), [(3, 1, 2), (1, 3, 2), (1, 2, 3), (0, 0, 3), (0, 3, 0)]
)
@in_virtual_time
async def test_a_cancel_has_settled_when_the_last_of_three_has_come(
    relay_until: float, answered_at: float, free_at: float
) -> None:
    """The ending on every relay, the answer, and the worker's slot, in whatever order."""
    async with Tasks() as tasks:
        followed = Followed(tasks, Worker((free_at, Slot.FREE)))
        await followed.is_cancelled(answered_at=answered_at, relay_until=relay_until)
        await asyncio.sleep(2 * SETTLE)

    assert followed.settled == [(3, ())]


@pytest.mark.parametrize(
    ("relay_until", "answered_at", "free_at", "missing"),
    [
        (9, 1, 1, ("terminal_seen",)),
        (1, 9, 1, ("answered",)),
        (1, 1, 9, ("slot_free",)),
        (9, 9, 9, ("terminal_seen", "answered", "slot_free")),
    ],
)
@in_virtual_time
async def test_what_never_comes_is_given_up_at_the_settle_timeout(
    relay_until: float, answered_at: float, free_at: float, missing: tuple[str, ...]
) -> None:
    """P7: and it is said what was missing."""
    async with Tasks() as tasks:
        followed = Followed(tasks, Worker((free_at, Slot.FREE)))
        await followed.is_cancelled(answered_at=answered_at, relay_until=relay_until)
        await asyncio.sleep(2 * SETTLE)

    assert followed.settled == [(SETTLE, missing)]


@in_virtual_time
async def test_a_fenced_slot_holds_nobody_and_is_still_asked_for() -> None:
    """F3: the backend refuses starts by itself; the receipt says when the slot was free."""
    async with Tasks() as tasks:
        followed = Followed(tasks, Worker((0.0, Slot.FENCED), (2.0, Slot.FREE)))
        await followed.is_cancelled()
        await asyncio.sleep(1)
        stream = await followed.ownership.stream("x")
        assert stream is not None
        assert stream.cancel is not None
        assert not stream.cancel.holds_starts
        await asyncio.sleep(SETTLE)

    assert followed.settled == [(2, ())]


class Mistaken(Worker):
    async def follow(self, _stream_id: str) -> AsyncIterator[Slot]:
        raise RuntimeError("a mistake")
        yield Slot.FREE


@in_virtual_time
async def test_a_mistake_holds_a_session_for_the_timeout_at_most() -> None:
    """P8, P7."""
    async with Tasks() as tasks:
        followed = Followed(tasks, Mistaken())
        await followed.is_cancelled()
        await asyncio.sleep(2 * SETTLE)

    assert [at for at, _ in followed.settled] == [SETTLE]
    assert followed.notes.of("internal_error") == [{"step": "watching a cancel settle", "stream": "x"}]


@in_virtual_time
async def test_a_mistake_at_the_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Tasks() as tasks:
        followed = Followed(tasks, Worker((9.0, Slot.FREE)))
        await followed.is_cancelled()
        await asyncio.sleep(1)
        monkeypatch.setattr(followed.ownership, "observe", None)
        await asyncio.sleep(2 * SETTLE)

    assert followed.notes.of("internal_error") == [{"step": "giving up on a cancel", "stream": "x"}]


@in_virtual_time
async def test_nothing_is_followed_beyond_the_end_of_the_proxy() -> None:
    async with Tasks() as tasks:
        followed = Followed(tasks, Worker((9.0, Slot.FREE)))
        await followed.is_cancelled()
        await asyncio.sleep(1)

    assert followed.loop.time() == 1
    assert followed.settled == []
