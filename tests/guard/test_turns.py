"""Waiting for one's turn to start."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from proxy.guard.start import StartGuard
from proxy.guard.turns import Turns
from proxy.http.message import Answer, Body, RequestHead
from proxy.tasks import Tasks
from tests.support.notes import Notes, live, ownership
from tests.support.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from proxy.backend.backend import Backend


class Queue:
    """Starts that arrive at set times, and what was seen of them."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.began: list[tuple[str, float]] = []
        self.under_way: dict[str, int] = {}
        self.most = 0

    async def start(
        self, name: str, at: float, *, lasts: float = 1.0, patience: float = 100.0, session: str = "s"
    ) -> bool:
        """Whether it came in its order."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(at)
        async with self.turns.turn(session, loop.time() + patience) as in_order:
            self.began.append((name, loop.time()))
            self.under_way[session] = self.under_way.get(session, 0) + 1
            self.most = max(self.most, self.under_way[session])
            await asyncio.sleep(lasts)
            self.under_way[session] -= 1
        return in_order


@in_virtual_time
async def test_starts_of_a_session_go_one_at_a_time_in_the_order_they_arrived() -> None:
    """Also one that arrives as another has just been let through."""
    queue = Queue()

    in_order = await asyncio.gather(*(queue.start(name, at) for name, at in [("c", 1.5), ("a", 0), ("b", 0.5)]))

    assert queue.began == [("a", 0), ("b", 1), ("c", 2)]
    assert queue.most == 1
    assert all(in_order)


@in_virtual_time
async def test_other_sessions_do_not_wait() -> None:
    queue = Queue()

    await asyncio.gather(queue.start("a", 0, session="s"), queue.start("b", 0.5, session="t"))

    assert queue.began == [("a", 0), ("b", 0.5)]


@in_virtual_time
async def test_a_turn_that_does_not_come_in_time_is_gone_without() -> None:
    """P7: and the order of the others holds."""
    queue = Queue()

    starts = [queue.start("a", 0, lasts=10), queue.start("b", 1, lasts=1, patience=2), queue.start("c", 2)]
    in_order = await asyncio.gather(*starts)

    assert queue.began == [("a", 0), ("b", 3), ("c", 10)]
    assert in_order == [True, False, True]


@in_virtual_time
async def test_a_start_that_is_broken_off_gives_its_turn_back() -> None:
    queue = Queue()
    first = asyncio.create_task(queue.start("a", 0, lasts=100))
    waiting = asyncio.create_task(queue.start("b", 1))
    last = asyncio.create_task(queue.start("c", 2))
    await asyncio.sleep(5)
    waiting.cancel()
    first.cancel()
    await last

    assert queue.began == [("a", 0), ("c", 5)]


@in_virtual_time
async def test_nothing_is_kept_of_a_session_without_starts() -> None:
    """P7: whether they went well or not."""
    queue = Queue()
    await asyncio.gather(queue.start("a", 0), queue.start("b", 0, patience=0.5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await queue.start("c", 0, lasts=10)

    assert not queue.turns._queues


class Slow:
    """A backend that takes 10 s to refuse a start."""

    async def ask(self, _head: RequestHead, _body: Body) -> Answer:
        await asyncio.sleep(10)
        return Answer(400, b"", (), b"{}")


@in_virtual_time
async def test_a_start_behind_one_that_takes_too_long_goes_on_without_its_turn() -> None:
    """P7: at the limit the request goes on, and it is recorded."""
    notes = Notes()
    async with Tasks() as tasks:
        starts = StartGuard(
            cast("Backend", Slow()),
            ownership(notes),
            apart=Turns(),
            tasks=tasks,
            live=live(settle_timeout=5.0),
            report=notes,
        )
        start = RequestHead("POST", b"/api/chat/start"), b'{"session_id": "s"}', starts.admission.free()

        answers = await asyncio.gather(*(starts.begin(*start, takes_turn=True) for _ in range(2)))

    assert [judged.answer.status for judged in answers] == [400, 400]
    assert asyncio.get_running_loop().time() == 17  # it keeps apart from the other for 2 s more
    assert [said["start"] for said in notes.of("start_unordered")] == ["s-2"]
