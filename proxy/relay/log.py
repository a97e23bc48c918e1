"""The log of one turn: the bytes of one upstream, for any number of browsers."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.relay.ends import Over, Piece
from proxy.relay.retained import Retained


class Follower(Protocol):
    """A browser that follows a log; see `proxy.relay.cursor.Cursor`.

    Attributes:
        at: Offset up to which it was sent the log.
        is_ready: Whether it takes more at once.
    """

    at: int
    is_ready: bool

    def follow(self, chunk: bytes, until: int, piece: Piece | None, /) -> None:
        """Takes what was appended, which ends at `until`, if it is ready and was sent all that came before."""

    def take(self, piece: Piece, /) -> bool:
        """Takes what only one browser is to be sent, if it is ready and was sent all that came before."""

    def wake(self) -> None:
        """Something changed: there is more, the turn is over, or the log is."""


class Log:
    """One turn's bytes, as they come from the one upstream, and who follows them.

    A browser that is slow finds in the log what it has not taken. The upstream is held back only while all are slow.

    Args:
        limit: Most bytes to keep; the oldest go first (P7).
        resized: Told by how many bytes what is kept has grown or shrunk, in whole blocks.

    Attributes:
        kept: The latest bytes.
        over: Why the upstream was closed, once everything of it is in the log.
        error: What whoever is not told that the turn is over has to be told instead.
        told_at: Offset behind the event that ends the turn.
    """

    __slots__ = (
        "_accounted",
        "_drained",
        "_followers",
        "_limit",
        "_once",
        "_resized",
        "error",
        "kept",
        "over",
        "told_at",
    )

    def __init__(self, limit: int, resized: Callable[[int], None]) -> None:
        self.kept = Retained()
        self.over: Over | None = None
        self.error: Exception | None = None
        self.told_at: int | None = None
        self._limit = limit
        self._accounted = 0
        self._resized = resized
        self._followers: list[Follower] = []
        self._once: list[tuple[int, Piece]] = []
        self._drained: asyncio.Future[None] | None = None

    # -- what the pump calls: all browsers as if they were one -------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether nobody takes more for now, though somebody is there."""
        return bool(self._followers) and not any(follower.is_ready for follower in self._followers)

    def send(self, chunk: bytes, piece: Piece | None = None) -> bool:
        """Appends what comes next, and sends it to all who are ready; whether any takes more at once."""
        kept = self.kept
        if kept.append(chunk):
            self._account()
        if piece is not None and piece.events:
            kept.mark(piece.events, piece.passed)
        is_ready = not self._followers
        for follower in self._followers:
            follower.follow(chunk, kept.end, piece)
            is_ready = is_ready or follower.is_ready
        return is_ready

    def _account(self) -> None:
        """Tells of what is in blocks by now, and drops what is too much."""
        if self.kept.size > self._limit:
            self._drop(self._limit)
        by, self._accounted = self.kept.settled - self._accounted, self.kept.settled
        if by:
            self._resized(by)

    def give(self, piece: Piece) -> None:
        """The same of what was looked at; what only one browser is to be sent waits for the first that gets there."""
        if not piece.once:
            self.send(piece.data, piece)
        elif not any(follower.take(piece) for follower in self._followers):
            self.put_back(self.kept.end, piece)

    def passed(self, count: int) -> None:
        """Takes note of events that went by without being looked at."""
        mark = self.kept.mark((), count)
        for follower in self._followers:
            follower.follow(b"", mark.offset, Piece(b"", (), count))

    async def drain(self) -> None:
        """Waits until somebody takes more, or nobody is there."""
        while self.is_full:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def tell(self) -> None:
        """The event that ends the turn is in the log."""
        if self.told_at is None:
            self.told_at = self.kept.end
            self._wake_all()

    def finish(self, over: Over, error: Exception | None) -> None:
        """Nothing follows."""
        self.over, self.error = over, error
        self.kept.seal()
        self._account()
        self._wake_all()

    # -- who follows -------------------------------------------------------------------------------

    def add(self, follower: Follower) -> None:
        """One browser more follows it, from where it is."""
        self._followers.append(follower)

    def remove(self, follower: Follower) -> None:
        """One less does."""
        self._followers.remove(follower)
        self.roomier()

    def roomier(self) -> None:
        """A browser takes more again, or is gone."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def take_once(self, at: int) -> Piece | None:
        """What only one browser is to be sent, if it is due at that offset; nobody else is given it."""
        for number, (due, piece) in enumerate(self._once):
            if due == at:
                del self._once[number]
                return piece
        return None

    def put_back(self, at: int, piece: Piece) -> None:
        """That piece was not taken: whoever gets to that offset next is given it."""
        self._once.append((at, piece))

    def drop_once(self) -> None:
        """Nobody is to be sent such pieces any more."""
        self._once.clear()

    def next_once(self, at: int) -> int | None:
        """Offset of the next such piece, from one offset on."""
        return min((due for due, _ in self._once if due >= at), default=None)

    def trim(self, size: int) -> None:
        """Keeps so many bytes, and what the fastest browser has not taken; one that needs more is too slow."""
        self._drop(size)
        self._account()

    def _drop(self, size: int) -> None:
        begin, fastest = self.kept.begin, max((follower.at for follower in self._followers), default=self.kept.end)
        self.kept.trim(max(size, self.kept.end - fastest))
        if self.kept.begin != begin:
            self._wake_all()

    def clear(self) -> None:
        """Keeps nothing any more."""
        self.kept.clear()
        self._once.clear()
        self._account()

    def _wake_all(self) -> None:
        for follower in self._followers:
            follower.wake()
