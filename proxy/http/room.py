"""Memory for what browsers send: so much for all of them together (P7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.http.errors import NoRoomError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.http.errors import ProxyError

SIZE: Final = 64 << 20
"""Bytes of bodies that are held at once, unless told otherwise."""

SMALL: Final = 1 << 16
"""Bytes of a small body. Only such a one may use the last eighth of the room, so that a message gets through."""

RETRY_AFTER: Final = 5
"""Whole seconds."""


class Room:
    """Bytes of bodies that were read and have not gone on yet, of all requests together.

    At the limit the largest body that is still coming gives way to a smaller one. Bodies that have arrived whole are
    kept.

    Args:
        size: Most bytes.

    Attributes:
        used: How many there are.
    """

    def __init__(self, size: int = SIZE) -> None:
        self.used = 0
        self._size = size
        self._coming: set[Held] = set()

    def held(self, give_way: Callable[[ProxyError], None]) -> Held:
        """A request's part of the room, which the caller has to close; ``give_way`` is called if it is to make room."""
        held = Held(self, give_way)
        self._coming.add(held)
        return held

    def forget(self, held: Held) -> None:
        """No more of it comes, so that it is not asked to make room."""
        self._coming.discard(held)

    def take(self, held: Held, count: int) -> None:
        """So many bytes more for ``held``.

        Raises:
            NoRoomError: there is no room, and no larger body to make any.
        """
        size = held.size + count
        limit = self._size if size <= SMALL else self._size - self._size // 8
        while self.used + count > limit:
            largest = max(self._coming, key=lambda other: other.size, default=held)
            if largest.size <= size:
                raise _no_room()
            largest.drop(_no_room())
        self.used += count


class Held:
    """One request's part of the room.

    Args:
        room: What it is a part of.
        give_way: See ``Room.held``.

    Attributes:
        size: In bytes.
    """

    def __init__(self, room: Room, give_way: Callable[[ProxyError], None]) -> None:
        self.size = 0
        self._room = room
        self._give_way = give_way
        self._users = 1
        self._is_dropped = False

    def grow(self, count: int) -> None:
        """So many bytes have come.

        Raises:
            NoRoomError: there is no room for them.
        """
        if not self._is_dropped:
            self._room.take(self, count)
            self.size += count

    def shrink(self, count: int) -> None:
        """So many have gone on."""
        count = min(count, self.size)
        self.size -= count
        self._room.used -= count

    def share(self) -> None:
        """A task that outlives the request needs the body, too: it stays counted until both have called `close`."""
        self._users += 1

    def close(self) -> None:
        """The caller needs it no more."""
        self._room.forget(self)
        self._users -= 1
        if not self._users:
            self.shrink(self.size)

    def complete(self) -> None:
        """All of it has come."""
        self._room.forget(self)

    def drop(self, error: ProxyError) -> None:
        """Makes room: its request ends by ``error``, and with it all that it holds."""
        self.complete()
        self._is_dropped = True
        self.shrink(self.size)
        self._give_way(error)


def _no_room() -> NoRoomError:
    return NoRoomError("Too much is being sent here at once; try again shortly.", retry_after=RETRY_AFTER)
