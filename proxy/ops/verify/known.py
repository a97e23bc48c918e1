"""What the lines so far have shown: the stories, by their ids."""

from collections import OrderedDict
from typing import TypeVar

from proxy.ops.verify.lines import Limits, Line
from proxy.ops.verify.stories import TERMINAL, CancelStory, RelayStory, StartStory
from proxy.ops.verify.streams import Streams

_MOST = 100_000
"""Cancels, and starts, that are remembered; one of them is over long before so many others have come."""

Story = TypeVar("Story", CancelStory, StartStory, RelayStory)


class Known:
    """The stories, as they were before the line that is looked at.

    Args:
        limits: In force.
        begun: The first line.
        whole: Whether the proxy's own memory began, empty, where the trace does.
    """

    def __init__(self, limits: Limits, begun: Line, *, whole: bool) -> None:
        self.limits = limits
        self.whole = whole
        self.begun = begun
        self.last = begun
        self.streams = Streams(limits)
        self.cancels: OrderedDict[str, CancelStory] = OrderedDict()
        self.starts: OrderedDict[str, StartStory] = OrderedDict()
        self.relays: OrderedDict[str, RelayStory] = OrderedDict()

    def saw_begin(self, line: Line, within: float) -> bool:
        """Whether what is at most `within` seconds older than `line` would have been seen."""
        return self.whole or line.t - self.begun.t > within

    def learn(self, line: Line) -> None:
        """Takes in a line; one of an unknown event says nothing.

        Raises:
            TraceError: it lacks what such a line has.
        """
        self.last = line
        match line.event:
            case "observed":
                self.streams.observed(line)
            case "cancel_settled":
                self.streams.settled(line.text("stream"), line)
            case "cancel_judged" | "cancel_confirmed" | "cancel_forwarded" | "cancel_unguarded":
                self._learn_cancel(line)
            case "start_received" | "start_hold_expired" | "start_forwarded":
                self._learn_start(line)
            case "relay_opened" | "relay_wrote" | "browser_left" | "upstream_closed" | "relay_ended":
                self._learn_relay(line)
            case "internal_error":
                self._learn_error(line)

    def _learn_cancel(self, line: Line) -> None:
        story = _recall(self.cancels, CancelStory(line.text("cancel")))
        stream_id = line.text("stream")
        match line.event:
            case "cancel_judged":
                self._judge(story, stream_id, line)
            case "cancel_confirmed":
                story.confirmed = line
            case "cancel_forwarded":
                story.forwarded = line
                self.streams.forwarded(stream_id, line)
            case _:
                story.forwarded = line

    def _judge(self, story: CancelStory, stream_id: str, line: Line) -> None:
        """The record may be corrected and the cancel judged again: the last verdict is the one that counts."""
        story.judged, story.confirmed, story.forwarded = line, None, None
        story.stale_by = self.streams.certain_end(stream_id, line.t)
        stream = self.streams.get(stream_id)
        story.late_by = stream.settled if stream else None
        story.under_way = stream.cancel_under_way if stream else None

    def _learn_start(self, line: Line) -> None:
        story = _recall(self.starts, StartStory(line.text("start")))
        match line.event:
            case "start_received":
                story.received = line
            case "start_hold_expired":
                story.expired = line
            case _:
                story.forwarded = line

    def _learn_relay(self, line: Line) -> None:
        story = _recall(self.relays, RelayStory(line.text("relay"), line.maybe("stream")))
        match line.event:
            case "relay_opened":
                story.opened = line
            case "relay_wrote":
                story.wrote = line
                if not TERMINAL.isdisjoint(line.texts("events")):
                    story.terminal = line
            case "browser_left":
                story.left = line
            case "upstream_closed":
                story.closed = line
            case _:
                del self.relays[story.story_id]

    def _learn_error(self, line: Line) -> None:
        cancel_id = line.maybe("cancel")
        for story in (
            _recall(self.cancels, CancelStory(cancel_id)) if cancel_id else None,
            self.starts.get(line.maybe("start") or ""),
            self.relays.get(line.maybe("relay") or ""),
            self.streams.get(line.maybe("stream")),
        ):
            if story is not None:
                story.failed_open = line


def _recall(stories: OrderedDict[str, Story], new: Story) -> Story:
    story = stories.setdefault(new.story_id, new)
    if len(stories) > _MOST:
        stories.popitem(last=False)
    return story
