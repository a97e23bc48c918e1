"""What the lines so far have shown: the stories, by their ids."""

from collections import OrderedDict
from typing import TypeVar

from proxy.core import observations
from proxy.events import cancels, guard, starts
from proxy.verify.feeds import FEEDING, Relays
from proxy.verify.lines import Limits, Line
from proxy.verify.stories import CancelStory, StartStory, StreamStory
from proxy.verify.streams import Streams
from proxy.verify.workers import Workers

_MOST = 100_000
"""Cancels, and starts, that are remembered; one of them is over long before so many others have come."""

DOUBTFUL = ("superseded", "lost")
"""Reasons of an answer that no event of the stream's own has told."""

_LATE = 0.5
"""Seconds by which a timer may be late on a busy machine."""

Story = TypeVar("Story", CancelStory, StartStory)


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
        self.workers = Workers(self.streams, self._is_whole)
        self.cancels: OrderedDict[str, CancelStory] = OrderedDict()
        self.changes: OrderedDict[str, StartStory] = OrderedDict()
        self.starts: OrderedDict[str, StartStory] = OrderedDict()
        self.relays = Relays(self.streams)

    @property
    def has_every_cancel(self) -> bool:
        """Whether all that were ever judged are remembered."""
        return self.whole and len(self.cancels) < _MOST

    def saw_begin(self, line: Line, within: float) -> bool:
        """Whether what is at most `within` seconds older than `line` would have been seen."""
        return self.whole or line.t - self.begun.t > within

    def _is_whole(self, stream: StreamStory, line: Line) -> bool:
        longest = self.limits.settling + _LATE
        return stream.began is not None or self.saw_begin(line, longest)

    def learn(self, line: Line) -> None:
        """Takes in a line; one of an unknown event says nothing.

        Raises:
            TraceError: it lacks what such a line has.
        """
        self.last = line
        match line.kind:
            case guard.Observed:
                self._learn_observed(line)
            case cancels.CancelSettled:
                self.streams.settled(line.text("stream"), line)
            case cancels.CancelJudged | cancels.CancelConfirmed | cancels.CancelForwarded | cancels.CancelSaid:
                self._learn_cancel(line)
            case cancels.CancelUnguarded | cancels.CancelAnswered | cancels.CancelFailed | cancels.CancelAbandoned:
                self._learn_answer(line)
            case cancels.CancelRepeated | guard.WorkersListed | guard.WorkersUnknown:
                self.workers.learn(line)
            case starts.StartReceived | starts.StartHoldExpired | starts.StartForwarded:
                self._learn_start(line, _recall(self.starts, StartStory(line.text("start"))))
            case starts.ChangeReceived | starts.ChangeHoldExpired | starts.ChangeForwarded:
                self._learn_start(line, _recall(self.changes, StartStory(line.text("change"))))
            case guard.InternalError:
                self._learn_error(line)
            case kind if kind in FEEDING:
                self.relays.learn(line)

    def _learn_cancel(self, line: Line) -> None:
        story = _recall(self.cancels, CancelStory(line.text("cancel")))
        stream_id = line.text("stream")
        match line.kind:
            case cancels.CancelJudged:
                self._judge(story, stream_id, line)
            case cancels.CancelConfirmed:
                story.confirmed = line
            case cancels.CancelForwarded:
                story.forwarded = line
                if story.verdict != "repeat":
                    self.streams.sent(stream_id, story.story_id, line)
            case _:
                story.said = line
                self.workers.said(line, story)

    def _learn_answer(self, line: Line) -> None:
        story = _recall(self.cancels, CancelStory(line.text("cancel")))
        if line.kind is cancels.CancelUnguarded:
            story.forwarded = line
            return
        story.over = line
        stream = self.streams.get(line.maybe("stream"))
        if stream is not None and line.maybe("reason") in DOUBTFUL:
            stream.called = line

    def _judge(self, story: CancelStory, stream_id: str, line: Line) -> None:
        """The record may be corrected and the cancel judged again: the last verdict is the one that counts."""
        story.judged, story.confirmed, story.forwarded, story.said, story.waits_for = line, None, None, None, None
        story.stale_by = self.streams.stale_by(stream_id, line.t)
        stream = self.streams.get(stream_id)
        story.late_by = stream.settled if stream else None
        story.late_for = stream.stop.over if stream and stream.stop and stream.stop.is_given_up else None
        if story.verdict == "coalesce":
            story.waits_for = self.cancels.get(line.maybe("first") or _last(stream))
        elif story.verdict == "forward":
            self.streams.sent(stream_id, story.story_id, line)

    def _learn_observed(self, line: Line) -> None:
        self.streams.observed(line)
        stream, cancel = self.streams.get(line.maybe("stream_id")), self.cancels.get(line.maybe("cancel_id") or "")
        if stream is None:
            return
        match line.seen:
            case observations.CancelAccepted:
                if not stream.is_settling and (cancel is None or cancel.said is None):
                    self.workers.accepted(stream, line)
                if stream.stop is not None:
                    stream.stop.is_observed = True
            case observations.CancelRefused:
                self.workers.refused(stream, line, cancel)

    def _learn_start(self, line: Line, story: StartStory) -> None:
        match line.kind:
            case starts.StartReceived | starts.ChangeReceived:
                story.received = line
            case starts.StartHoldExpired | starts.ChangeHoldExpired:
                story.expired = line
            case _:
                story.forwarded = line

    def _learn_error(self, line: Line) -> None:
        """Where the guard failed on an answer, it did not take note of what that said (P8)."""
        self.workers.looked(line)
        stream = self.streams.get(line.maybe("stream"))
        if stream is not None and stream.stop is not None and not stream.stop.is_observed:
            stream.stop = None
        cancel_id = line.maybe("cancel")
        for story in (
            _recall(self.cancels, CancelStory(cancel_id)) if cancel_id else None,
            self.starts.get(line.maybe("start") or ""),
            self.changes.get(line.maybe("change") or ""),
            self.streams.get(line.maybe("stream")),
        ):
            if story is not None:
                story.failed_open = line
        if upstream := line.maybe("upstream"):
            self.relays.fail_open(upstream, line)


def _last(stream: StreamStory | None) -> str:
    return next(reversed(stream.pending), "") if stream else ""


def _recall(stories: OrderedDict[str, Story], new: Story) -> Story:
    story = stories.setdefault(new.story_id, new)
    if len(stories) > _MOST:
        stories.popitem(last=False)
    return story
