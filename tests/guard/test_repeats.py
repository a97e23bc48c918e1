"""The memory of starts: which one's answer a repetition is given, and what is forgotten when."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.guard import repeats
from proxy.guard.repeats import KEPT_FOR, LONGEST, MOST, MOST_BYTES, Accepted, Asked, First, Repeats
from proxy.http.errors import IdempotencyConflictError
from proxy.http.message import Answer

SECRET = b"s" * 32


class Memory(Repeats[str]):
    """The memory by a clock that is set by hand, of one caller's starts at one path."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now, SECRET)

    def start(self, body: bytes = b"hello", key: bytes | None = None) -> Asked:
        return self.asked("me", b"/api/chat/start", body, key)

    def begun(self, asked: Asked) -> First[str]:
        first = self.begin(asked, "work")
        assert first is not None
        return first

    def answered(self, asked: Asked, size: int = 1) -> First[str]:
        """One whose browser was given the answer."""
        first = self.begun(asked)
        with self.awaited(first):
            self.over(first, accepted(size))
            self.given(first)
        return first

    def lost(self, asked: Asked, size: int = 1) -> First[str]:
        """One whose browser left, and that was accepted then."""
        first = self.begun(asked)
        with self.awaited(first):
            pass
        self.over(first, accepted(size))
        return first


def accepted(size: int = 1) -> Accepted:
    return Accepted(Answer(200, b"OK", (), b"x" * size), "stream")


@pytest.fixture
def memory() -> Memory:
    return Memory()


# -- by a key -------------------------------------------------------------------------------------


def test_a_start_with_a_key_is_found_while_it_is_under_way_and_after_its_answer(memory: Memory) -> None:
    asked = memory.start(key=b"k")
    first = memory.begun(asked)
    with memory.awaited(first):
        assert memory.find(asked) is first
        memory.over(first, accepted())
        memory.given(first)

    assert memory.find(asked) is first
    assert (first.under_way, first.accepted) == (None, accepted())


def test_a_key_with_another_body_is_a_conflict_under_way_and_after(memory: Memory) -> None:
    first = memory.begun(memory.start(b"hello", b"k"))
    with pytest.raises(IdempotencyConflictError, match="send a new key"):
        memory.find(memory.start(b"goodbye", b"k"))
    memory.over(first, accepted())
    with pytest.raises(IdempotencyConflictError):
        memory.find(memory.start(b"goodbye", b"k"))


@pytest.mark.parametrize("key", [b"k", None])
def test_a_start_that_was_not_accepted_is_not_remembered(memory: Memory, key: bytes | None) -> None:
    """A refusal may be another one next time, and after an error nobody knows."""
    asked = memory.start(key=key)
    first = memory.begun(asked)
    memory.over(first, None)

    assert memory.find(asked) is None
    assert memory.begin(asked, "again") is not None


def test_a_key_whose_first_start_failed_may_come_with_another_body(memory: Memory) -> None:
    memory.over(memory.begun(memory.start(b"hello", b"k")), None)

    assert memory.find(memory.start(b"goodbye", b"k")) is None


# -- without a key --------------------------------------------------------------------------------


def test_a_start_whose_browser_is_there_is_nobody_elses(memory: Memory) -> None:
    """Sent from two tabs, both are meant."""
    asked = memory.start()
    first = memory.begun(asked)
    with memory.awaited(first):
        assert memory.find(asked) is None
        assert memory.begin(asked, "second") is None


def test_a_start_whose_browser_was_answered_is_forgotten(memory: Memory) -> None:
    asked = memory.start()
    memory.answered(asked)

    assert memory.find(asked) is None
    assert memory.begin(asked, "second") is not None


def test_a_start_whose_browser_left_is_found_under_way_and_after_its_answer(memory: Memory) -> None:
    asked = memory.start()
    first = memory.begun(asked)
    with memory.awaited(first):
        pass
    assert memory.find(asked) is first
    memory.over(first, accepted())

    assert memory.find(asked) is first


def test_a_browser_that_leaves_with_the_answer_unsent_has_left_all_the_same(memory: Memory) -> None:
    asked = memory.start()
    first = memory.begun(asked)
    with suppress(ConnectionError), memory.awaited(first):
        memory.over(first, accepted())
        raise ConnectionError

    assert memory.find(asked) is first


def test_one_repetition_at_a_time_waits_for_a_lost_answer(memory: Memory) -> None:
    asked = memory.start()
    first = memory.lost(asked)
    with memory.awaited(first):
        assert memory.find(asked) is None
    assert memory.find(asked) is first, "the second browser has left as well"
    with memory.awaited(first):
        memory.given(first)

    assert memory.find(asked) is None


def test_another_body_is_another_start(memory: Memory) -> None:
    memory.lost(memory.start(b"hello"))

    assert memory.find(memory.start(b"goodbye")) is None


# -- who, and what --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"k", None])
@pytest.mark.parametrize(
    "other",
    [("you", b"/api/chat/start"), ("me", b"/api/btw"), ("me/api", b"/chat/start"), ("m", b"e/api/chat/start")],
)
def test_nobody_and_nothing_else_is_found(memory: Memory, other: tuple[str, bytes], key: bytes | None) -> None:
    memory.lost(memory.start(key=key))

    assert memory.find(memory.asked(*other, b"hello", key)) is None


def test_a_key_is_not_taken_for_a_body() -> None:
    memory = Memory()
    memory.lost(memory.start(b"hello", b"hello"))

    assert memory.find(memory.start(b"hello")) is None


def test_what_is_remembered_tells_nothing_of_what_was_sent() -> None:
    one, other = (Repeats[str](lambda: 0.0, secret).asked("me", b"/", b"hello", b"k") for secret in (b"1", b"2"))

    assert not {one.name, one.body} & {other.name, other.body}
    assert all(b"hello" not in digest and len(digest) == 32 for digest in (one.name, one.body))


# -- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"k", None])
def test_an_answer_is_kept_for_a_day(memory: Memory, key: bytes | None) -> None:
    asked = memory.start(key=key)
    first = memory.lost(asked)
    memory.now = KEPT_FOR
    assert memory.find(asked) is first
    memory.now = KEPT_FOR + 0.1

    assert memory.find(asked) is None


def test_over_the_count_the_oldest_answer_is_forgotten(memory: Memory) -> None:
    under_way = memory.begun(memory.start(b"under way", b"w"))
    asked = [memory.start(key=b"%d" % number) for number in range(MOST + 2)]
    for each in asked:
        memory.answered(each)

    assert [memory.find(each) is not None for each in asked[:3]] == [False, False, True]
    assert memory.find(under_way.asked) is under_way


def test_over_the_bytes_the_oldest_answer_is_forgotten(memory: Memory) -> None:
    asked = [memory.start(key=b"%d" % number) for number in range(MOST_BYTES // LONGEST + 1)]
    for each in asked:
        memory.answered(each, LONGEST)

    assert [memory.find(each) is not None for each in asked[:2]] == [False, True]


def test_headers_count_as_well() -> None:
    assert Accepted(Answer(200, b"OK", ((b"Date", b"now"),), b"body"), "x").size == 11


@pytest.mark.parametrize("key", [b"k", None])
def test_an_answer_that_is_too_long_is_given_to_those_who_wait_and_not_kept(memory: Memory, key: bytes | None) -> None:
    asked = memory.start(key=key)
    first = memory.lost(asked, LONGEST + 1)

    assert first.accepted is not None
    assert memory.find(asked) is None


def test_an_ordinary_start_crowds_out_no_answer(memory: Memory) -> None:
    asked = [memory.start(key=b"%d" % number) for number in range(MOST)]
    for each in asked:
        memory.answered(each)
    memory.answered(memory.start())

    assert memory.find(asked[0]) is not None


# -- in whatever order ----------------------------------------------------------------------------


class Orders(RuleBasedStateMachine):
    """A few starts, with and without keys, in any order: against what is written down here of each."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.firsts: list[First[str]] = []
        self.browsers: list[tuple[First[str], Any]] = []
        self.given: set[First[str]] = set()
        self.most = (repeats.MOST, repeats.MOST_BYTES)
        repeats.MOST, repeats.MOST_BYTES = 3, 10  # type: ignore[misc]

    def teardown(self) -> None:
        repeats.MOST, repeats.MOST_BYTES = self.most  # type: ignore[misc]

    @rule(body=st.sampled_from([b"a", b"b"]), key=st.sampled_from([b"k", b"l", None]))
    def ask(self, body: bytes, key: bytes | None) -> None:
        asked = self.memory.start(body, key)
        try:
            first = self.memory.find(asked)
        except IdempotencyConflictError:
            assert key is not None
            return
        if first is not None:
            assert first.asked == asked
            assert first.under_way or first.accepted
            assert asked.has_key or (first.waiting == 0 and first not in self.given)
        else:
            first = self.memory.begin(asked, "work")
            if first is None:
                return
            self.firsts.append(first)
        browser = self.memory.awaited(first)
        browser.__enter__()
        self.browsers.append((first, browser))

    @rule(pick=st.integers(0, 99), size=st.sampled_from([None, 1, 5, LONGEST + 1]))
    def end(self, pick: int, size: int | None) -> None:
        if running := [first for first in self.firsts if first.under_way]:
            self.memory.over(running[pick % len(running)], None if size is None else accepted(size))

    @rule(pick=st.integers(0, 99))
    def leave(self, pick: int) -> None:
        if self.browsers:
            self.browsers.pop(pick % len(self.browsers))[1].__exit__(None, None, None)

    @rule(pick=st.integers(0, 99))
    def give(self, pick: int) -> None:
        if answered := [each for each in self.browsers if each[0].accepted]:
            first, browser = each = answered[pick % len(answered)]
            self.browsers.remove(each)
            self.memory.given(first)
            self.given.add(first)
            browser.__exit__(None, None, None)

    @rule(seconds=st.sampled_from([1.0, KEPT_FOR]))
    def wait(self, seconds: float) -> None:
        self.memory.now += seconds

    @invariant()
    def what_is_kept_is_bounded_and_counted(self) -> None:
        kept = [self.memory._firsts[name] for name in self.memory._kept]
        sizes = [first.accepted.size for first in kept if first.accepted]
        assert len(kept) == len(sizes) <= 3
        assert sum(sizes) == self.memory._bytes <= 10

    @invariant()
    def what_is_remembered_is_under_way_or_awaited_or_kept(self) -> None:
        for name, first in self.memory._firsts.items():
            assert first.under_way or first.waiting or name in self.memory._kept


TestOrders = Orders.TestCase
