"""Many browsers that watch turns, one or several each of them."""

import asyncio
import json
import secrets
from array import array
from dataclasses import dataclass

from tests.bench.backend import Backend
from tests.bench.browser import Caller, Watcher
from tests.bench.feeds import Feed
from tests.bench.waiting import happens, share_out, together

_AT_ONCE = 16
"""How many browsers arrive at the same time."""

_FROM_THE_BEGINNING = "&after_seq=0"
"""What every one of several browsers asks for, so that all are sent the same bytes."""

_DELIVERY = 20.0
"""Seconds in which all that was written has to have been read."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, and a browser that watches it."""

    feed: Feed
    watcher: Watcher


class Crowd:
    """Open streams, each of a session of its own.

    Args:
        port: Where they are opened.
        backend: Whose they are.
        known: Whether a proxy can know whose turns they are. If not, the turns are started behind its back and no frame
            names the session, as for a proxy that was restarted in mid-turn.
        browsers: How many watch each turn.

    Attributes:
        turns: The streams, each as often as it is watched.
        delays: Nanoseconds that each token was under way; emptied by whoever measures.
    """

    def __init__(self, port: int, backend: Backend, *, known: bool = True, browsers: int = 1) -> None:
        self.turns: list[Turn] = []
        self.delays: array[int] = array("q")
        self._port = port
        self._backend = backend
        self._known = known
        self._browsers = browsers

    async def arrive(self, streams: int) -> None:
        """Start as many turns, and open their streams.

        Raises:
            BrokenError: one was refused.
        """
        callers = await together(Caller.connect(self._port) for _ in range(min(_AT_ONCE, streams)))
        await share_out(streams, callers, self.join)
        for caller in callers:
            caller.close()

    async def join(self, caller: Caller) -> Turn:
        """One more turn, with browsers that have read its first event; the last of them.

        Raises:
            BrokenError: one was refused.
        """
        feed = await self._start(caller) if self._known else self._backend.start(None)
        query = _FROM_THE_BEGINNING if self._browsers > 1 else ""
        for _ in range(self._browsers):
            turn = Turn(feed, await Watcher.open(self._port, feed.stream_id, self.delays, query))
            self.turns.append(turn)
        return turn

    async def _start(self, caller: Caller) -> Feed:
        """A turn that was started through the proxy."""
        body = b'{"session_id": "%b", "message": "Count, please."}' % secrets.token_hex(6).encode()
        answer = await caller.ask("POST", "/api/chat/start", body)
        return self._backend.feeds[json.loads(answer)["stream_id"]]

    @property
    def feeds(self) -> list[Feed]:
        """What the backend writes to."""
        return list(dict.fromkeys(turn.feed for turn in self.turns))

    @property
    def pieces(self) -> int:
        """How many pieces the streams have come in so far."""
        return sum(turn.watcher.reading.pieces for turn in self.turns)

    @property
    def faults(self) -> list[str]:
        """What was wrong with the streams so far."""
        return [
            f"stream {number}: {fault}"
            for number, turn in enumerate(self.turns)
            for fault in turn.watcher.reading.faults
        ]

    async def read(self, tokens: int) -> bool:
        """Wait until so many tokens have been read in all; whether they came."""
        return await happens(lambda: len(self.delays) >= tokens, _DELIVERY)

    async def finish(self) -> None:
        """Let every turn come to its end, and read that."""
        for feed in self.feeds:
            feed.finish()
        await self.conclude()

    async def conclude(self) -> None:
        """Wait until every stream is over, and compare it with what was written."""
        await asyncio.wait([turn.watcher.ended for turn in self.turns], timeout=_DELIVERY)
        for turn in self.turns:
            turn.watcher.leave()
            turn.watcher.reading.compare(turn.feed)
