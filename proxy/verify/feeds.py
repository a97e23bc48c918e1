"""What the lines so far have shown of event streams: of upstreams, and of the browsers that they feed."""

from collections import OrderedDict
from collections.abc import Iterator

from proxy.events import relays
from proxy.verify.lines import Line
from proxy.verify.stories import OUTPUT, SAYS_NOTHING, TERMINAL, RelayStory, StreamStory, UpstreamStory
from proxy.verify.streams import Streams

_MOST = 100_000
"""Relays, and upstreams, that are remembered; one of them is over long before so many others have come."""

_TOGETHER = 0.05
"""Seconds in which what passes by may be older than what was learned from elsewhere."""

_OF_UPSTREAMS = frozenset({relays.UpstreamOpened, relays.UpstreamHeard, relays.UpstreamKept, relays.UpstreamClosed})
_OF_RELAYS = frozenset({relays.RelayOpened, relays.RelayWrote, relays.BrowserLeft, relays.RelayEnded})
FEEDING = _OF_UPSTREAMS | _OF_RELAYS
"""What is reported of upstreams and relays."""

ENDED = ("terminal event", "no terminal event in time")
CLOSED = ("the backend closed it", "the backend broke off")
"""Why an upstream was closed, as the guard says: with the turn's end, or by Hermes."""


class Relays:
    """The stories of relays and upstreams that are open; an upstream whose beginning is not in the trace has none.

    Args:
        streams: What is known of the turns.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._relays: OrderedDict[str, RelayStory] = OrderedDict()
        self._upstreams: OrderedDict[str, UpstreamStory] = OrderedDict()

    def get(self, relay: str) -> RelayStory | None:
        """That relay."""
        return self._relays.get(relay)

    def upstream(self, upstream: str) -> UpstreamStory | None:
        """That upstream."""
        return self._upstreams.get(upstream)

    def upstreams(self) -> tuple[UpstreamStory, ...]:
        """All that are open."""
        return tuple(self._upstreams.values())

    def of_stream(self, stream_id: str) -> Iterator[RelayStory]:
        """The relays of a turn."""
        return (relay for relay in self._relays.values() if relay.stream_id == stream_id)

    def of_upstream(self, upstream: str | None) -> tuple[RelayStory, ...]:
        """The relays that an upstream feeds."""
        return tuple(relay for relay in self._relays.values() if relay.upstream == upstream) if upstream else ()

    def fail_open(self, upstream: str, line: Line) -> None:
        """The guard made a mistake about that upstream, so that all its browsers are sent what Hermes sent (P8)."""
        for story in (self._upstreams.get(upstream), *self.of_upstream(upstream)):
            if story is not None:
                story.failed_open = line

    def learn(self, line: Line) -> None:
        """Takes in a line about an upstream, or a relay."""
        if line.kind in _OF_UPSTREAMS:
            self._learn_upstream(line)
        else:
            self._learn_relay(line)

    def _learn_relay(self, line: Line) -> None:
        relay = self._relays.get(line.text("relay")) or self._begin(line)
        match line.kind:
            case relays.RelayOpened:
                self._open(relay, line)
            case relays.RelayWrote if not TERMINAL.isdisjoint(line.texts("events")):
                relay.terminal = line
            case relays.BrowserLeft:
                relay.left = line
                self._lose(relay, line)
            case relays.RelayEnded:
                self._lose(relay, line)
                del self._relays[relay.story_id]

    def _begin(self, line: Line) -> RelayStory:
        relay = RelayStory(line.text("relay"), line.maybe("stream"), line.maybe("upstream"))
        self._relays[relay.story_id] = relay
        if len(self._relays) > _MOST:
            self._relays.popitem(last=False)
        return relay

    def _open(self, relay: RelayStory, line: Line) -> None:
        relay.opened = line
        if upstream := self._upstreams.get(relay.upstream or ""):
            upstream.browsers.add(relay.story_id)
            relay.failed_open = upstream.failed_open
            upstream.left, upstream.kept = None, 0.0

    def _lose(self, relay: RelayStory, line: Line) -> None:
        upstream = self._upstreams.get(relay.upstream or "")
        if upstream is not None and relay.story_id in upstream.browsers:
            upstream.browsers.remove(relay.story_id)
            upstream.left = None if upstream.browsers else line

    def _learn_upstream(self, line: Line) -> None:
        if line.kind is relays.UpstreamOpened:
            opened = UpstreamStory(line.text("upstream"), line.maybe("stream"), line)
            self._upstreams[opened.story_id] = opened
            if len(self._upstreams) > _MOST:
                self._upstreams.popitem(last=False)
        upstream = self._upstreams.get(line.text("upstream"))
        if upstream is None:
            return
        match line.kind:
            case relays.UpstreamHeard:
                self._hear(upstream, line)
            case relays.UpstreamKept:
                upstream.kept = line.number_of("seconds") or 0.0
            case relays.UpstreamClosed:
                self._close(upstream, line)

    def _hear(self, upstream: UpstreamStory, line: Line) -> None:
        upstream.heard = line
        events = line.texts("events")
        if not events or not SAYS_NOTHING.issuperset(events):
            upstream.silent_since = line
        stream = self._streams.get(upstream.stream_id)
        if stream is not None and stream.doubted is not None and speaks_since(upstream, line, stream.doubted):
            stream.spoke = line
        if stream is not None and stream.called is not None and speaks_since(upstream, line, stream.called):
            stream.called = None

    def _close(self, upstream: UpstreamStory, line: Line) -> None:
        stream = self._streams.get(upstream.stream_id)
        if _owes_ending(line.maybe("why"), stream):
            for relay in self.of_upstream(upstream.story_id):
                relay.owed = line
        del self._upstreams[upstream.story_id]


def _owes_ending(why: str | None, stream: StreamStory | None) -> bool:
    if stream is not None and stream.failed_open is not None:
        return False  # P8: what the backend sent passed as it was
    return why in ENDED or (why in CLOSED and stream is not None and stream.is_settling)


def speaks_since(upstream: UpstreamStory, line: Line, since: Line) -> bool:
    """Whether that line has a turn's output since then; an upstream that was opened later is shown the past.

    Words that pass by are told without their names, of which the last one came just then.
    """
    if upstream.opened.number > since.number or line.t - since.t <= _TOGETHER:
        return False
    events = line.texts("events")
    return not OUTPUT.isdisjoint(events) or (not events and bool(line.number_of("count")))
