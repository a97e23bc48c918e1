"""The room for bodies: what is counted in it, and who gives way where it is full."""

from __future__ import annotations

import pytest

from proxy.http.errors import NoRoomError, ProxyError
from proxy.http.room import SMALL, Held, Room

SIZE = 16 * SMALL
LARGE = SIZE - SIZE // 8


class Sender:
    """Sends a body, and is told if it has to make room."""

    def __init__(self, room: Room, size: int = 0) -> None:
        self.told: list[ProxyError] = []
        self.held: Held = room.held(self.told.append)
        self.held.grow(size)


@pytest.fixture
def room() -> Room:
    return Room(SIZE)


def test_what_comes_counts_and_what_goes_on_does_not(room: Room) -> None:
    held = Sender(room, 100).held
    held.shrink(40)
    assert (room.used, held.size) == (60, 60)
    held.close()
    assert room.used == 0


def test_what_went_on_beside_what_came_does_not_count(room: Room) -> None:
    """A body that is read back from the disk was counted when it came."""
    held = Sender(room, 100).held
    held.shrink(1000)
    assert room.used == 0


def test_it_counts_until_the_last_who_needs_it_has_closed_it(room: Room) -> None:
    """P10: a start goes on though its browser has left."""
    held = Sender(room, 100).held
    held.share()
    held.close()
    assert room.used == 100
    held.close()
    assert room.used == 0


def test_the_largest_gives_way_to_a_smaller_one(room: Room) -> None:
    small, large = Sender(room, LARGE // 3), Sender(room, LARGE - LARGE // 3)
    other = Sender(room, LARGE // 3)
    assert [len(sender.told) for sender in (small, large, other)] == [0, 1, 0]
    assert isinstance(large.told[0], NoRoomError)
    assert room.used == small.held.size + other.held.size


def test_one_that_gave_way_counts_no_more(room: Room) -> None:
    large = Sender(room, LARGE)
    Sender(room, SMALL + 1)
    large.held.grow(1000)
    large.held.close()
    assert room.used == SMALL + 1


def test_the_largest_itself_is_refused(room: Room) -> None:
    small, large = Sender(room, LARGE // 3), Sender(room, LARGE // 2)
    with pytest.raises(NoRoomError) as refused:
        large.held.grow(LARGE // 2)
    assert refused.value.retry_after == 5
    assert (small.told, room.used) == ([], LARGE // 3 + LARGE // 2)


def test_what_has_come_whole_does_not_give_way(room: Room) -> None:
    whole = Sender(room, LARGE)
    whole.held.complete()
    with pytest.raises(NoRoomError):
        Sender(room, SMALL + 1)
    assert whole.told == []


def test_the_last_eighth_is_for_small_bodies(room: Room) -> None:
    for size in (LARGE, SMALL, SMALL):
        Sender(room, size).held.complete()
    assert room.used == SIZE
    with pytest.raises(NoRoomError):
        Sender(room, 1)
