"""Which starts may be asked for once more, and what the first of them was answered. Pure: waiting is the caller's."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from proxy.http.errors import IdempotencyConflictError
from proxy.http.message import Answer

KEPT_FOR: Final = 86_400.0
"""Seconds for which an answer is kept: whoever repeats by itself has given up by then."""

MOST: Final = 4096
"""Answers kept at once: a start every 21 s, for all of that time."""

MOST_BYTES: Final = 8 << 20
"""Bytes of answers kept at once: 2 KiB for each. Hermes' are a few hundred bytes."""

LONGEST: Final = 64 << 10
"""Bytes of the longest answer that is kept, so that no single one crowds out a thousand others."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A start as it is remembered: in digests with a key of this process, which tell nothing of what was sent.

    Attributes:
        name: Of who asks, for what path, and with which key; without a key, with which body.
        body: Of the body.
        has_key: Whether its client sent a key, and so says itself which starts are one.
    """

    name: bytes
    body: bytes
    has_key: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """An answer by which Hermes has begun a turn, and the stream that it names."""

    answer: Answer
    stream_id: str

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.answer.body) + sum(len(name) + len(value) for name, value in self.answer.headers)


@dataclass(slots=True, eq=False)
class First(Generic[T]):
    """A start that was carried out, or is.

    Attributes:
        asked: What it is remembered by.
        under_way: What tells of its end; None once it is over.
        accepted: Its answer, once Hermes has begun its turn.
        waiting: How many browsers wait to be given its answer.
    """

    asked: Asked
    under_way: T | None
    accepted: Accepted | None = None
    waiting: int = 0


class Repeats(Generic[T]):
    """The starts that may be asked for once more.

    One under way is never forgotten: it lasts as long as its body, of which there are only so many. Of the answers that
    are kept, the oldest goes first.

    Args:
        clock: Monotonic seconds.
        secret: The key of the digests, at most 64 bytes.
    """

    def __init__(self, clock: Callable[[], float], secret: bytes) -> None:
        self._clock = clock
        self._secret = secret
        self._firsts: dict[bytes, First[T]] = {}
        self._kept: OrderedDict[bytes, float] = OrderedDict()
        self._bytes = 0

    def asked(self, caller: str, target: bytes, body: bytes, key: bytes | None) -> Asked:
        """A start as it is remembered.

        Args:
            caller: Whatever says who asks.
            target: The request target.
            body: A digest of the body.
            key: Its client's; None without one.
        """
        kind, what = (b"body", body) if key is None else (b"key", key)
        name = self._digest(kind, caller.encode(), target, what)
        return Asked(name, self._digest(body), key is not None)

    def find(self, asked: Asked) -> First[T] | None:
        """The start whose answer this one is to be given; None if it is to be carried out itself.

        With a key that is the start that had it first. Without one, it is a start whose browser has left unanswered: to
        send the same twice may well be meant.

        Raises:
            IdempotencyConflictError: the key came with another body before.
        """
        self._forget_old()
        first = self._firsts.get(asked.name)
        if first is None or not asked.has_key:
            return None if first is None or first.waiting else first
        if first.asked.body != asked.body:
            raise IdempotencyConflictError("This Idempotency-Key was used for another message; send a new key.")
        return first

    def begin(self, asked: Asked, under_way: T) -> First[T] | None:
        """A start is carried out from now on; None if one that looks the same is remembered, and this one is not."""
        if asked.name in self._firsts:
            return None
        first = self._firsts[asked.name] = First(asked, under_way)
        return first

    @contextmanager
    def awaited(self, first: First[T]) -> Iterator[None]:
        """One more browser waits to be given the answer, for as long as the context lasts."""
        first.waiting += 1
        try:
            yield
        finally:
            first.waiting -= 1
            self._keep(first)

    def given(self, first: First[T]) -> None:
        """A browser has been given the answer: only one with a key may still want it once more."""
        if not first.asked.has_key:
            self.forget(first)

    def over(self, first: First[T], accepted: Accepted | None) -> None:
        """A start has been carried out: its answer, or None if Hermes has begun no turn, or nobody knows whether."""
        first.under_way, first.accepted = None, accepted
        if accepted is None or accepted.size > LONGEST:
            self.forget(first)
        else:
            self._keep(first)

    def forget(self, first: First[T]) -> None:
        """This start is not remembered any more; once more does nothing."""
        name = first.asked.name
        if self._firsts.get(name) is not first:
            return
        del self._firsts[name]
        if self._kept.pop(name, None) is not None and first.accepted is not None:
            self._bytes -= first.accepted.size

    def _keep(self, first: First[T]) -> None:
        """Keeps the answer, if there is one that somebody may still want."""
        name = first.asked.name
        if first.accepted is None or self._firsts.get(name) is not first or name in self._kept:
            return
        if first.asked.has_key or not first.waiting:
            self._kept[name] = self._clock()
            self._bytes += first.accepted.size
            while len(self._kept) > MOST or self._bytes > MOST_BYTES:
                self._forget_oldest()

    def _forget_old(self) -> None:
        oldest_kept = self._clock() - KEPT_FOR
        while self._kept and next(iter(self._kept.values())) < oldest_kept:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self.forget(self._firsts[next(iter(self._kept))])

    def _digest(self, *parts: bytes) -> bytes:
        """Of the parts, each behind its length, so that no two lists of parts are one text."""
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()
