"""A log and the browsers that follow it, in any order of joining, leaving, being slow, and ending.

Whatever happens, each browser is sent one contiguous piece of the upstream's frames, from where it asked, and one
ending (P4, P5); what only one browser is to be sent is sent to one at most; and no more is kept than the limit allows
(P7).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.hermes.resuming import place
from proxy.http.writer import PeerStalledError
from proxy.relay.cursor import Cursor
from proxy.relay.ends import Over, Piece
from proxy.relay.log import Log

LIMIT = 1 << 15
BLOCK = 1 << 14
LARGEST = 16_000
"""Bytes: more than the upstream ever sends at once here."""

STREAM = "x"


class Browser:
    """Takes what it is sent, until it is told to be slow; `gone` breaks its connection."""

    def __init__(self) -> None:
        self.got = b""
        self.is_slow = self.is_gone = False
        self.room = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return self.is_slow and not self.is_gone

    def send(self, chunk: bytes) -> bool:
        if self.is_gone:
            raise ConnectionResetError("gone")
        self.got += chunk
        return not self.is_slow

    async def drain(self) -> None:
        while self.is_slow and not self.is_gone:
            self.room.clear()
            await self.room.wait()
        if self.is_gone:
            raise ConnectionResetError("gone")

    def be(self, *, slow: bool) -> None:
        self.is_slow = slow
        self.room.set()

    def go(self) -> None:
        self.is_gone = True
        self.room.set()


class Seat:
    """A browser that joined, from where, and what it was told."""

    def __init__(self, log: Log, at: int) -> None:
        self.browser = Browser()
        self.joined_at = at
        self.told: list[int] = []
        self.wrote: list[str] = []
        self.passed = 0
        self.returned = 0
        self.cursor = Cursor(log, at, self.browser, wrote=self._wrote, returned=self._returned)
        log.add(self.cursor)
        self.task = asyncio.get_running_loop().create_task(self._follow(log))

    async def _follow(self, log: Log) -> None:
        try:
            await self.cursor.run(lambda: self.told.append(self.cursor.at))
        finally:
            log.remove(self.cursor)

    def _wrote(self, events: tuple[str, ...], passed: int) -> None:
        self.wrote += events
        self.passed += passed

    def _returned(self) -> None:
        self.returned += 1


class LogModel(RuleBasedStateMachine):
    """Everything that can happen to a log."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.size = 0
        self.sent = b""
        self.number = 0
        self.once: list[tuple[int, bytes]] = []
        self.told_at: int | None = None
        self.seats: list[Seat] = []
        self.trimmed = 0

    def run(self, what: Callable[[], Any]) -> Any:
        """Does something on the loop, and lets it come to rest."""

        async def act() -> Any:
            result = what()
            for _ in range(12):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(act())

    def _resized(self, by: int) -> None:
        self.size += by

    @initialize()
    def begin(self) -> None:
        self.log: Log = self.run(lambda: Log(LIMIT, self._resized))

    def frame(self, event: str, size: int = 4) -> bytes:
        self.number += 1
        return b'id: x:%d\nevent: %b\ndata: {"text": "%b"}\n\n' % (self.number, event.encode(), b"w" * size)

    def _is_open(self) -> bool:
        return self.log.over is None

    def _has_room(self) -> bool:
        return self._is_open() and self.told_at is None and not self.log.is_full

    # -- the upstream ------------------------------------------------------------------------------

    @precondition(_has_room)
    @rule(count=st.integers(1, 5), size=st.sampled_from([1, 100, 3_000]))
    def words(self, count: int, size: int) -> None:
        """As the pump does with what nobody looks at."""
        chunk = b"".join(self.frame("token", size) for _ in range(count))
        self.sent += chunk
        is_ready = self.run(lambda: self.log.send(chunk))
        assert is_ready or self.log.is_full or any(not seat.task.done() for seat in self.seats)

    @precondition(_has_room)
    @rule()
    def piece(self) -> None:
        data = self.frame("tool")
        self.sent += data
        self.run(lambda: self.log.give(Piece(data, ("tool",), 1)))

    @precondition(_has_room)
    @rule()
    def half_a_frame(self) -> None:
        data = self.frame("tool", 40)
        self.sent += data
        self.run(lambda: self.log.give(Piece(data[:20])))
        self.run(lambda: self.log.give(Piece(data[20:], ("tool",), 1)))

    @precondition(_has_room)
    @rule()
    def for_one_only(self) -> None:
        data = b"event: once\ndata: %d\n\n" % len(self.once)
        self.once.append((len(self.sent), data))
        self.run(lambda: self.log.give(Piece(data, ("once",), 1, once=True)))

    @precondition(_has_room)
    @rule()
    def ending(self) -> None:
        data = self.frame("stream_end")
        self.sent += data
        self.told_at = len(self.sent)

        def end() -> None:
            self.log.give(Piece(data, ("stream_end",), 1))
            self.log.tell()
            self.log.finish(Over.TERMINAL, None)

        self.run(end)

    @precondition(_is_open)
    @rule()
    def broken(self) -> None:
        self.run(lambda: self.log.finish(Over.BROKEN, RuntimeError("broke off")))

    # -- the browsers ------------------------------------------------------------------------------

    @rule()
    def join_now(self) -> None:
        at = self.log.kept.boundary(self.log.kept.end)
        if at is not None:
            assert self.sent[:at].endswith(b"\n\n") or at == 0
            self.seats.append(self.run(lambda: Seat(self.log, at)))

    @rule(data=st.data())
    def join_behind_an_event(self, data: st.DataObject) -> None:
        after = data.draw(st.integers(0, self.number - (self.told_at is not None)))  # whoever has its end is content
        begin, kept = self.log.kept.frames()
        found = place(kept, STREAM, after)
        if found is None:
            return
        at = begin + found
        behind = self.sent.find(b"id: x:%d\n" % (after + 1))
        assert at == (behind if behind >= 0 else len(self.sent)), "it goes on behind what it has"
        self.seats.append(self.run(lambda: Seat(self.log, at)))

    def _chosen(self, data: st.DataObject) -> Seat | None:
        here = [seat for seat in self.seats if not seat.task.done()]
        return data.draw(st.sampled_from(here)) if here else None

    @rule(data=st.data(), slow=st.booleans())
    def be_slow_or_not(self, data: st.DataObject, slow: bool) -> None:  # noqa: FBT001 - drawn
        if seat := self._chosen(data):
            self.run(lambda: seat.browser.be(slow=slow))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if seat := self._chosen(data):
            seat.browser.is_gone = data.draw(st.booleans())

            def go() -> None:
                seat.browser.room.set()
                seat.task.cancel()

            self.run(go)

    # -- what must be so ---------------------------------------------------------------------------

    @invariant()
    def each_is_sent_a_contiguous_piece(self) -> None:
        taken: list[bytes] = []
        for seat in self.seats:
            expected, at, got = self.sent, seat.joined_at, seat.browser.got
            for offset, data in self.once:
                begin = offset - seat.joined_at
                if begin >= 0 and got[begin:].startswith(data) and not expected[offset:].startswith(data):
                    got = got[:begin] + got[begin + len(data) :]
                    taken.append(data)
            assert expected[at:].startswith(got), "P4: no loss, no doubling, no other order"
            assert seat.cursor.at == at + len(got)
        assert len(taken) == len(set(taken)), "what is for one is sent to one"

    @invariant()
    def whoever_is_ready_has_all(self) -> None:
        for seat in self.seats:
            if not seat.task.done() and not seat.browser.is_slow and not seat.browser.is_gone:
                assert seat.cursor.at == self.log.kept.end

    @invariant()
    def each_is_told_of_the_end_once_it_has_it(self) -> None:
        for seat in self.seats:
            assert len(seat.told) <= 1, "P5"
            assert seat.wrote.count("stream_end") <= 1
            if seat.told:
                assert self.told_at is not None
                assert seat.told[0] >= self.told_at

    @invariant()
    def whoever_has_all_of_a_log_that_is_over_is_done(self) -> None:
        for seat in self.seats:
            has_all = not seat.browser.is_slow and seat.cursor.at == self.log.kept.end
            assert seat.task.done() or self.log.over is None or not has_all, "P5"

    @invariant()
    def whoever_is_done_has_all_or_has_left(self) -> None:
        for seat in self.seats:
            if not seat.task.done() or seat.task.cancelled():
                continue
            error = seat.task.exception()
            if error is None:
                assert seat.cursor.at == len(self.sent)
                assert seat.cursor.over is Over.TERMINAL
                if seat.joined_at < (self.told_at or 0):
                    assert seat.wrote[-1] == "stream_end"
            elif isinstance(error, PeerStalledError):
                assert seat.cursor.at < self.log.kept.begin, "it took less than is kept"
            else:
                assert isinstance(error, RuntimeError | ConnectionError)

    @invariant()
    def no_more_is_kept_than_allowed(self) -> None:
        fastest = max((seat.cursor.at for seat in self.seats if not seat.task.done()), default=len(self.sent))
        allowed = max(LIMIT, len(self.sent) - fastest) + 2 * BLOCK + LARGEST
        assert self.log.kept.size <= allowed, "P7"
        assert self.log.kept.settled == self.size > self.log.kept.size - BLOCK, "P7, all of them together"

    @invariant()
    def the_upstream_is_held_back_only_while_all_are_slow(self) -> None:
        here = [seat for seat in self.seats if not seat.task.done()]
        assert self.log.is_full == (bool(here) and not any(seat.cursor.is_ready for seat in here))
        assert all(seat.cursor.is_ready or seat.browser.is_slow or seat.browser.is_gone for seat in here)

    def teardown(self) -> None:
        for seat in self.seats:
            seat.task.cancel()
        tasks = [seat.task for seat in self.seats]
        self.loop.run_until_complete(asyncio.wait(tasks)) if tasks else None
        for task in tasks:
            if not task.cancelled():
                task.exception()
        self.loop.close()


TestLogs = LogModel.TestCase
TestLogs.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
