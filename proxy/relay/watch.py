"""What the bytes of an upstream tell while they pass: ends, rotations, announced turns."""

from dataclasses import dataclass
from typing import Protocol

from proxy.core.observations import TurnStarted
from proxy.core.records import Ending
from proxy.hermes import events
from proxy.ownership.ownership import Ownership
from proxy.reporting import Report, failing_open
from proxy.sse import Frame, Scanner


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

    def amend(self, chunk: bytes, /) -> bytes:
        """What goes on now of the bytes that `see` looked at, up to the end that it found."""

    def written(self) -> None:
        """All that was to go on has been sent."""

    async def due(self, resumed: float, /) -> Due | None:
        """When the relay has to end without a terminal event, as far as is known by now.

        Silence is counted from `resumed` at the earliest, which is when the upstream could be read again.
        """

    async def ending(self, overdue: Due | None, /) -> bytes:
        """What to add when the stream ends without a terminal event: overdue, or else at its EOF."""

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

    def amend(self, chunk: bytes, /) -> bytes:
        """All of it."""
        return chunk

    def written(self) -> None:
        """It does not matter."""

    async def due(self, _resumed: float, /) -> Due | None:
        """Never."""
        return None

    async def ending(self, _overdue: Due | None, /) -> bytes:
        """It needs none."""
        return b""

    def close(self) -> None:
        """Nothing is kept for it."""


class ChannelWatch(NoWatch):
    """A session's channel, which announces turns that no browser started."""

    __slots__ = ("_ownership", "_relay", "_report", "_scanner")

    def __init__(self, ownership: Ownership, relay: str, report: Report) -> None:
        self._ownership = ownership
        self._relay = relay
        self._report = report
        self._scanner = Scanner()

    def passes(self, _chunk: bytes, _now: float, /) -> bool:
        """Never: they are few, and each may announce a turn."""
        return False

    async def see(self, chunk: bytes, /) -> int | None:
        """Learns announced turns as starts."""
        with failing_open(self._report, "watching a session channel", relay=self._relay, stream=None):
            for frame in self._scanner.feed(chunk):
                await self._learn(frame)
        return None

    async def _learn(self, frame: Frame) -> None:
        if frame.event is None or not (turn := events.announcement_of(frame.event, frame.data)):
            return
        hosted = None if turn.stamp is None else True
        started = TurnStarted(self._ownership.clock(), turn.stream_id, hosted, turn.stamp)
        await self._ownership.turn_seen(turn.session_id, started)
