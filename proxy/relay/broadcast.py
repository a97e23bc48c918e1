"""One upstream that browsers share, its log, and the browsers that follow it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.hermes.resuming import place
from proxy.http.account import Account
from proxy.http.errors import ProxyError
from proxy.http.headers import RawHeaders
from proxy.http.upstream.exchange import Exchange
from proxy.relay.audience import Audience
from proxy.relay.cursor import Cursor
from proxy.relay.ends import Over
from proxy.relay.log import Log
from proxy.relay.pump import Pump
from proxy.relay.watch import Watch


@dataclass(frozen=True, slots=True)
class Key:
    """What the requests have in common that one upstream can serve.

    Attributes:
        stream_id: The turn that they ask for; None if it is a channel.
        target, caller: Of a channel: the request target, and the fingerprint of whoever asks.
    """

    stream_id: str | None
    target: str = ""
    caller: str = ""


MOST_CALLERS = 64
"""Credentials that are remembered of one upstream (P7); with others one asks Hermes for a stream of one's own."""

_SILENCE = 12.0
"""Seconds after which a channel may be dead: more than two of Hermes' heartbeats."""

_WHOLE = frozenset({Over.TERMINAL, Over.OVERDUE})
"""Ends of an upstream after which its log holds all that the turn had to say."""


class Owner(Protocol):
    """Who keeps broadcasts; see `proxy.relay.logs.Logs`."""

    @property
    def reattach(self) -> float:
        """Seconds for which an upstream stays open without a browser."""

    def ended(self, broadcast: "Broadcast", /) -> None:
        """Its upstream was closed, and everything of it is in its log."""

    def released(self, broadcast: "Broadcast", /) -> None:
        """Its upstream was closed, and nobody follows it."""


class Broadcast:
    """Passes one upstream on to whoever follows it, and closes it when nobody does (P6).

    Args:
        number: What it is called in reports.
        key: Which requests are given it.
        exchange: What holds the upstream.
        log: Where everything goes.
        owner: Whoever keeps it.
        headers: Of Hermes' answer, for whoever joins.
        opened: When Hermes answered, by the event loop's clock.
        kept: Told that the upstream stays open for a browser that may come back.

    Attributes:
        number, key, headers, log, opened: As above.
        stream_id: Of its turn; None if it is a channel.
        callers: Fingerprints of those whom Hermes has given this stream (P9).
        is_replay: Whether it began with what had been said before, so that its end may be older than now.
        pump, watch: What passes it on, and what looks at it.
        client, lateness: As the holder of its slot (see `proxy.http.upstream.slots.Holder`), for its first browser.
    """

    __slots__ = (
        "_audience",
        "_exchange",
        "_is_closed",
        "_is_crowded_out",
        "_is_left",
        "_kept",
        "_leaving",
        "_owner",
        "callers",
        "client",
        "headers",
        "is_replay",
        "key",
        "log",
        "number",
        "opened",
        "pump",
        "stream_id",
        "watch",
    )

    pump: Pump
    watch: Watch

    def __init__(  # noqa: PLR0913 - its parts
        self,
        number: str,
        key: Key,
        exchange: Exchange,
        log: Log,
        owner: Owner,
        *,
        headers: RawHeaders,
        is_replay: bool,
        opened: float,
        client: str,
        kept: Callable[[float], None],
    ) -> None:
        self.number = number
        self.key = key
        self.stream_id = key.stream_id
        self.headers = headers
        self.log = log
        self.callers: set[str] = set()
        self.is_replay = is_replay
        self.opened = opened
        self.client = client
        self._exchange = exchange
        self._owner = owner
        self._kept = kept
        self._audience = Audience()
        self._leaving: asyncio.TimerHandle | None = None
        self._is_closed = self._is_crowded_out = self._is_left = False
        exchange.hand_over(self)

    async def run(self) -> None:
        """Passes the upstream on until it is over; its errors are told to the browsers."""
        error: Exception | None = None
        try:
            await self.pump.run(self.log.tell)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the browsers must not think that the turn is whole
            error = failure
        finally:
            self.log.finish(self.pump.over, error)
            self._stop_leaving()
            self._owner.ended(self)
            self.close_if_done()
            await self._exchange.close()

    @property
    def is_live(self) -> bool:
        """Whether its upstream is open."""
        return self.log.over is None

    @property
    def is_whole(self) -> bool:
        """Whether the turn is over, and the log goes on to its end."""
        return self.log.over in _WHOLE

    @property
    def is_joinable(self) -> bool:
        """Whether a browser that follows it from now on is sent all that comes."""
        return self.is_whole or (self.is_live and not self._is_left)

    def now(self, viewer: str) -> int | None:
        """Offset from where a browser joins that asks for what comes from now on (F12).

        If it was there before, and is not now, that is from where it left. What is said while nobody is there, Hermes
        itself keeps for whoever comes next; the log has it instead. None if it cannot tell what is now: the turn is
        over, the log began with what had been said before, or it is a channel that may be dead: Hermes says something
        in each every 5 s.
        """
        if not self.is_live or self.is_replay or (self.stream_id is None and self._is_silent):
            return None
        kept, left_at = self.log.kept, self._audience.left_at(viewer)
        return kept.boundary(kept.end if left_at is None else left_at)

    @property
    def _is_silent(self) -> bool:
        return asyncio.get_running_loop().time() - self.pump.heard > _SILENCE

    @property
    def beginning(self) -> int | None:
        """Offset from where a browser joins that asked Hermes for what comes from now on before the log began."""
        return 0 if self.is_live and not self.is_replay and self.log.kept.begin == 0 else None

    def after(self, number: int) -> int | None:
        """Offset from where a browser joins that has the event of that number; None if the log does not tell."""
        if self.stream_id is None or not (self.is_live or self.is_whole):
            return None
        begin, data = self.log.kept.frames()
        found = place(data, self.stream_id, number)
        if found is None or (self.is_whole and begin + found == self.log.kept.end):
            return None  # what to say to a browser that has all of it is Hermes' to know
        return begin + found

    def welcome(self, caller: str) -> None:
        """Hermes has given that caller this stream."""
        if len(self.callers) < MOST_CALLERS:
            self.callers.add(caller)

    @property
    def lateness(self) -> float:
        """See `Holder`: if nobody follows it, whoever waits for its slot goes first."""
        return self._audience.lateness

    def give_way(self, error: ProxyError) -> None:
        """See `Holder`."""
        self._is_crowded_out = True
        if self._audience.is_empty:
            self._close_upstream()
        self._audience.give_way(error)

    def joined(self, cursor: Cursor, viewer: str, account: Account) -> None:
        """A browser follows it, in the answer to the request of that account."""
        self.log.add(cursor)
        self._audience.joined(cursor, viewer, account)
        self._stop_leaving()

    def left(self, cursor: Cursor, viewer: str) -> None:
        """A browser follows it no more."""
        self.log.remove(cursor)
        self._audience.left(cursor, viewer)
        if self._audience.is_empty and self.is_live:
            self._leave()
        self.close_if_done()

    def close_if_done(self) -> None:
        """What was steered and given back to nobody, another stream of the turn may give."""
        if self.is_live or not self._audience.is_empty:
            return
        if not self._is_closed:
            self._is_closed = True
            self.log.drop_once()
            self.watch.close()
        self._owner.released(self)

    def _leave(self) -> None:
        """Closes the upstream, now or soon: its browser may come back."""
        is_needless = self._is_crowded_out or self.log.told_at is not None
        reattach = 0.0 if is_needless else self._owner.reattach
        if not reattach:
            self._close_upstream()
            return
        self._kept(reattach)
        self._leaving = asyncio.get_running_loop().call_later(reattach, self._close_upstream)

    def _close_upstream(self) -> None:
        self._is_left = True
        self.pump.leave()

    def _stop_leaving(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
