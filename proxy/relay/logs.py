"""The logs of what browsers share: which there are, how long they stay, and how much they hold together."""

import asyncio

from proxy.ownership.limits import Live
from proxy.relay.broadcast import Broadcast, Key
from proxy.relay.log import Log

MOST_KEPT = 256
"""Logs of turns that are over that are kept at most (P7), since each is more than its bytes."""

MOST_OF_ALL = 16
"""How many whole logs' worth of bytes all of them may hold together (P7): 64 MiB by default."""


class Logs:
    """The broadcasts that a browser may join, by what their requests have in common.

    Args:
        live: Says how much a log may hold, and how long it stays.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._known: dict[Key, Broadcast] = {}
        self._expiries: dict[Broadcast, asyncio.TimerHandle] = {}
        self._settled = 0  # bytes in whole blocks, of those that nobody may join as well
        self._most = 0

    @property
    def reattach(self) -> float:
        """Seconds for which an upstream stays open without a browser."""
        return self._live.now.reattach if self.is_shared else 0.0

    @property
    def is_shared(self) -> bool:
        """Whether browsers share upstreams at all."""
        return self._live.now.log > 0

    def make(self, limit: int) -> Log:
        """A log of nothing yet; one with no limit keeps nothing but what its browser has not taken."""
        self._most = MOST_OF_ALL * self._live.now.log
        return Log(limit, self._resized)

    def get(self, key: Key) -> Broadcast | None:
        """The broadcast that such a request may join."""
        return self._known.get(key)

    @property
    def size(self) -> int:
        """Bytes that are kept for browsers that join."""
        return sum(map(_size, self._known.values()))

    def size_of(self, stream_id: str) -> int:
        """Bytes that are kept of that turn."""
        broadcast = self._known.get(Key(stream_id))
        return broadcast.log.kept.size if broadcast else 0

    def put(self, broadcast: Broadcast) -> None:
        """Has others join this one."""
        if before := self._known.get(broadcast.key):
            self._forget(before)
        self._known[broadcast.key] = broadcast

    def ended(self, broadcast: Broadcast) -> None:
        """Keeps a turn's log for a while after the turn, for browsers that come back; any other is nobody's."""
        if self._known.get(broadcast.key) is not broadcast:
            return
        if not broadcast.is_whole:
            self._forget(broadcast)
            return
        if len(self._expiries) >= MOST_KEPT:
            self._forget(next(iter(self._expiries)))
        expiry = asyncio.get_running_loop().call_later(self._live.now.log_keep, self._forget, broadcast)
        self._expiries[broadcast] = expiry

    def close(self) -> None:
        """Forgets all."""
        for broadcast in tuple(self._known.values()):
            self._forget(broadcast)

    def released(self, broadcast: Broadcast) -> None:
        """Its upstream was closed, and nobody follows it any more."""
        if self._known.get(broadcast.key) is not broadcast:
            broadcast.log.clear()

    def _forget(self, broadcast: Broadcast) -> None:
        del self._known[broadcast.key]
        if expiry := self._expiries.pop(broadcast, None):
            expiry.cancel()
        broadcast.close_if_done()

    def _resized(self, by: int) -> None:
        self._settled += by
        if self._settled > self._most and by > 0:
            self._make_room()

    def _make_room(self) -> None:
        """Drops the logs of turns that are over, oldest first, and then from the longest of the others."""
        for broadcast in tuple(self._expiries):
            if self._settled > self._most:
                self._forget(broadcast)
        while self._settled > self._most and self._known:
            before, longest = self._settled, max(self._known.values(), key=_size)
            longest.log.trim(longest.log.kept.size // 2)
            if self._settled == before:
                return


def _size(broadcast: Broadcast) -> int:
    return broadcast.log.kept.size
