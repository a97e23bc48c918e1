"""Keeping steered texts until it is seen what became of them (F18), and for whom (P7)."""

import asyncio
import json
from contextlib import closing

from proxy.relay.steers import KEPT, MOST, MOST_OF_A_TURN, MOST_OF_ALL, Reader, Steers
from tests.support.notes import Notes
from tests.support.virtual_time import in_virtual_time


class Kept:
    """What is kept, and what is told of it."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.steers = Steers(self.notes)

    def steer(self, text: str, stream_id: str = "x", session_id: str = "s") -> None:
        self.steers.remember(stream_id, session_id, text)

    def lost(self) -> list[tuple[object, object]]:
        return [(said["count"], said["why"]) for said in self.notes.of("steer_lost")]


def taken(reader: Reader) -> str | None:
    frame = reader.take()
    return json.loads(frame.partition(b"data: ")[2])["text"] if frame else None


@in_virtual_time
async def test_one_relay_of_several_takes_all() -> None:
    kept = Kept()
    with closing(kept.steers.opened("x", "u-1")) as one, closing(kept.steers.opened("x", "u-1")) as two:
        kept.steer("left")
        kept.steer("right")

        assert one.is_waiting
        assert two.is_waiting
        assert (taken(two), taken(one)) == ("left\nright", None)

        two.written()
    assert kept.notes.of("steer_returned") == [{"upstream": "u-1", "stream": "x", "count": 2, "length": 9}]
    assert kept.lost() == []


@in_virtual_time
async def test_what_was_taken_and_not_sent_is_the_next_relays() -> None:
    kept = Kept()
    with closing(kept.steers.opened("x", "u-1")) as one:
        with closing(kept.steers.opened("x", "u-1")) as two:
            kept.steer("left")
            assert taken(two) == "left"
        assert taken(one) == "left"
        one.written()
    with closing(kept.steers.opened("x", "u-1")) as late:
        assert taken(late) is None
    assert len(kept.notes.of("steer_returned")) == 1


@in_virtual_time
async def test_it_is_told_in_the_session_that_its_page_named() -> None:
    """The conversation may go on under another id since, which that page does not call it by."""
    kept = Kept()
    with closing(kept.steers.opened("x", "u-1")) as reader:
        kept.steer("left", session_id="as the page calls it")

        assert b'"session_id": "as the page calls it"' in reader.take()


@in_virtual_time
async def test_another_turns_relay_is_given_nothing() -> None:
    kept = Kept()
    with closing(kept.steers.opened("y", "u-1")) as reader:
        kept.steer("left")
        assert not reader.is_waiting


@in_virtual_time
async def test_a_text_waits_for_a_browser_that_comes_back() -> None:
    kept = Kept()
    kept.steer("left")
    await asyncio.sleep(KEPT - 1)
    with closing(kept.steers.opened("x", "u-1")):
        await asyncio.sleep(2 * KEPT)  # a turn may take as long as it likes while somebody follows it
    await asyncio.sleep(KEPT - 1)
    with closing(kept.steers.opened("x", "u-1")) as reader:
        assert taken(reader) == "left"


@in_virtual_time
async def test_it_does_not_wait_for_ever() -> None:
    """P7."""
    kept = Kept()
    kept.steer("left")
    kept.steer("right")

    await asyncio.sleep(KEPT + 1)

    assert kept.lost() == [(2, "nobody came back")]
    assert kept.steers.size == 0
    with closing(kept.steers.opened("x", "u-1")) as reader:
        assert taken(reader) is None


@in_virtual_time
async def test_only_so_much_of_one_turn_and_of_all_is_kept() -> None:
    """P7: what is over it has passed, and is told of."""
    kept = Kept()
    kept.steer("x" * (MOST + 1))
    for _ in range(MOST_OF_A_TURN // MOST + 1):
        kept.steer("x" * MOST)
    assert len(kept.notes.of("steer_unremembered")) == 2
    assert kept.steers.size == MOST_OF_A_TURN

    for turn in range(MOST_OF_ALL // MOST):
        kept.steer("x" * MOST, f"turn {turn}")

    assert kept.steers.size == MOST_OF_ALL
    assert len(kept.steers._turns) == 1 + (MOST_OF_ALL - MOST_OF_A_TURN) // MOST


@in_virtual_time
async def test_a_turn_with_no_text_and_no_relay_leaves_nothing() -> None:
    kept = Kept()
    kept.steer("x" * (MOST + 1))
    with closing(kept.steers.opened("x", "u-1")) as reader:
        kept.steer("left")
        reader.saw("tool_complete", b'{"tid": "call_1"}')
    assert not kept.steers._turns


@in_virtual_time
async def test_a_cancel_loses_what_waits() -> None:
    kept = Kept()
    with closing(kept.steers.opened("x", "u-1")) as reader:
        for event, data in (("cancel", b"{}"), ("apperror", b'{"type": "cancelled"}')):
            kept.steer("left")
            reader.saw(event, data)
            assert taken(reader) is None
    assert kept.lost() == [(1, "cancelled")] * 2


@in_virtual_time
async def test_what_is_taken_no_more_is_forgotten() -> None:
    """What the backend hands back itself is told apart from what has reached the model."""
    kept = Kept()
    with closing(kept.steers.opened("x", "u-1")) as reader:
        for text in ("one", "two", "three"):
            kept.steer(text)
        reader.saw("pending_steer_leftover", b'{"session_id": "s", "text": "one\\nthree"}')
        reader.saw("pending_steer_leftover", b'{"session_id": "s"}')
        reader.saw("token", b'{"text": "two"}')
        assert kept.notes.of("steer_handed_back") == [{"upstream": "u-1", "stream": "x", "count": 2, "length": 8}]
        assert taken(reader) == "two"
