"""What looks at the bytes of an upstream while they pass."""

from dataclasses import dataclass
from typing import Protocol

from proxy.core.records import Ending
from proxy.relay.ends import Piece


@dataclass(frozen=True, slots=True)
class Due:
    """When a relay ends without a terminal event of its own, and the one that it is then given."""

    at: float
    ending: Ending


class Watch(Protocol):
    """Looks at an upstream's bytes; they are passed on whatever it thinks of them."""

    @property
    def told(self) -> bool:
        """Whether the bytes let through so far say that the turn is over."""

    def passes(self, chunk: bytes, now: float, /) -> bool:
        """Whether the next bytes may go on at once, with nothing to be seen in them; if not, `see` looks at them.

        `now` is when they came, by the event loop's clock.
        """

    async def see(self, chunk: bytes, /) -> int | None:
        """Looks at the next bytes; how many of them end the stream, or None if it goes on (P4)."""

    def amend(self, chunk: bytes, /) -> list[Piece]:
        """What goes on now of the bytes that `see` looked at, up to the end that it found."""

    async def due(self, resumed: float, /) -> Due | None:
        """When the relay has to end without a terminal event, as far as is known by now.

        Silence is counted from `resumed` at the earliest, which is when the upstream could be read again.
        """

    async def ending(self, overdue: Due | None, /) -> tuple[Piece, ...]:
        """What to add when the stream ends without a terminal event: overdue, or else at its EOF."""

    def written(self) -> None:
        """A browser was sent what only one of them is."""

    def close(self) -> None:
        """The relay is over."""


class NoWatch:
    """Long-lived streams that say nothing about turns: passed on, and closed with their browser (P6)."""

    __slots__ = ()

    told = False

    def passes(self, _chunk: bytes, _now: float, /) -> bool:
        """Always."""
        return True

    async def see(self, _chunk: bytes, /) -> int | None:
        """Nothing in them ends it."""
        return None

    def amend(self, chunk: bytes, /) -> list[Piece]:
        """All of it."""
        return [Piece(chunk)]

    async def due(self, _resumed: float, /) -> Due | None:
        """Never."""
        return None

    async def ending(self, _overdue: Due | None, /) -> tuple[Piece, ...]:
        """It needs none."""
        return ()

    def written(self) -> None:
        """There is no such thing."""

    def close(self) -> None:
        """Nothing is kept for it."""
