"""What the backend said of its workers: the answers to cancels, and what `/health` listed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import starmap

from proxy.events.cancels import CancelRepeated, CancelSaid
from proxy.events.guard import WorkersListed
from proxy.verify.lines import Line
from proxy.verify.stories import CancelStory, StreamStory
from proxy.verify.streams import Streams

_ROUNDING = 1.0
"""Seconds by which a worker's beginning may be off its turn's (F15)."""

_SKEW = 5.0
"""Seconds by which it may be later than everything that is known of the turn."""


@dataclass(frozen=True, slots=True)
class Run:
    """A worker that `/health` lists without its stream; `began` is on the backend's clock."""

    began: float | None
    is_cancelled: bool | None


def runs_of(line: Line) -> list[Run]:
    """The workers of a `workers_listed` that it does not name; where it says no more of them, each may be anybody's."""
    count = line.number_of("unnamed") or 0
    began, cancelled = line.value("began"), line.value("cancelled")
    if not (isinstance(began, list) and isinstance(cancelled, list) and len(began) == len(cancelled) == count):
        return [Run(None, None)] * min(int(count), 1)
    return list(starmap(_run, zip(began, cancelled, strict=True)))


def _run(began: object, cancelled: object) -> Run:
    at = began if isinstance(began, int | float) and not isinstance(began, bool) else None
    return Run(at, cancelled if isinstance(cancelled, bool) else None)


class Workers:
    """Knows, of every stream that was stopped, what the backend last said of its worker (P11).

    An answer counts for when it was asked for: it says nothing of what was begun, or taken, since then.

    Args:
        streams: Whose stories it completes.
        is_whole: Whether the trace has all that was said of a stream until that line.
    """

    def __init__(self, streams: Streams, is_whole: Callable[[StreamStory, Line], bool]) -> None:
        self._streams = streams
        self._is_whole = is_whole
        self._stopped: dict[str, StreamStory] = {}
        self._is_one_shot = False
        self._marks = False
        self._listed: Line | None = None

    def pursued(self) -> Iterator[StreamStory]:
        """The streams whose workers have to be looked for now."""
        return (story for story in self._stopped.values() if story.is_pursued)

    def leaves_room(self, story: StreamStory, line: Line) -> bool:
        """Whether what `/health` listed may have that stream's worker in it."""
        if story.stream_id in line.texts("streams"):
            return True
        marks = self._marks or any(run.is_cancelled for run in runs_of(line))
        return any(self._may_be(run, story, line, marks=marks) for run in runs_of(line))

    def _may_be(self, run: Run, story: StreamStory, line: Line, *, marks: bool) -> bool:
        """A worker without a mark may be a turn's that nobody stopped; but not where only this turn began then.

        Releases before v0.52.187 take the mark away again from a worker that has not heard its cancel (F15).
        """
        if marks and run.is_cancelled is False:
            return run.began is not None and self._streams.begun_about(run.began, _ROUNDING) == [story]
        return _may_have_begun(run, story, line)

    def shows_none(self, story: StreamStory, since: Line) -> bool:
        """Whether the last `/health` since that line leaves no room for a worker of that stream."""
        listed = self._listed
        return listed is not None and listed.number > since.number and not self.leaves_room(story, listed)

    def ran_on(self, line: Line) -> Iterator[StreamStory]:
        """The streams that `/health` lists, though the guard took their workers for gone before it asked."""
        for stream_id in line.texts("streams"):
            story = self._streams.get(stream_id)
            if story is not None and is_after(line, story.believed):
                yield story
        for run in runs_of(line):
            if run.is_cancelled and run.began is not None:
                yield from self._only_one(run.began, line)

    def _only_one(self, began: float, line: Line) -> Iterator[StreamStory]:
        """The stream that a cancelled worker must be of, as no other turn began then."""
        fitting = self._streams.begun_about(began, _ROUNDING)
        if len(fitting) == 1 and is_after(line, fitting[0].believed):
            yield fitting[0]

    # -- learning ---------------------------------------------------------------------------------

    def learn(self, line: Line) -> None:
        """Takes in what the guard saw of workers by itself."""
        if line.kind is WorkersListed:
            self.listed(line)
        elif line.kind is CancelRepeated:
            self.repeated(line)
        else:
            self.looked(line)

    def listed(self, line: Line) -> None:
        """Takes in a `workers_listed`."""
        for story in list(self.ran_on(line)):
            story.gone = story.believed = None
        for stream_id in line.texts("streams"):
            if named := self._streams.get(stream_id):
                self._named(named, line)
        for story in list(self._stopped.values()):
            if story.stop is not None and line.asked >= story.stop.accepted.t and not self.leaves_room(story, line):
                self._found_gone(story, line)
        self._marks = self._marks or any(run.is_cancelled for run in runs_of(line))
        self._listed = line
        self.looked(line)

    def _named(self, story: StreamStory, line: Line) -> None:
        """It is there: if a cancel was refused before, a second one finds nobody on this backend (F14)."""
        if story.gone is not None and line.asked >= story.gone.t:
            self._is_one_shot |= story.gone.kind in (CancelSaid, CancelRepeated)
            story.gone = None
            self._keep(story)
        story.named = line

    def looked(self, line: Line) -> None:
        """Everybody's worker was looked for, whatever came of it."""
        self._stopped = {stream_id: story for stream_id, story in self._stopped.items() if story.gone is None}
        for story in self._stopped.values():
            if story.stop is not None:
                story.stop.looked = line

    def said(self, line: Line, cancel: CancelStory) -> None:
        """Takes in a `cancel_said`; a late one, of another caller's, says nothing of a worker that is gone since."""
        story = self._streams.story(line.text("stream"))
        is_late = story.believed is not None and not is_sent_after(cancel, story.believed)
        is_first = cancel.verdict not in (None, "repeat") and not (story.is_settling or is_late)
        if line.value("cancelled") is True and is_first:
            self.accepted(story, line)
        self._answered(story, line)

    def accepted(self, story: StreamStory, line: Line) -> None:
        """The backend took a cancel of it: the first, if no other that is under way may be missing."""
        if not self._is_whole(story, line):
            return
        self._streams.accepted(story.stream_id, line)
        self._keep(story)

    def repeated(self, line: Line) -> None:
        """Takes in a `cancel_repeated`."""
        if story := self._streams.get(line.text("stream")):
            if line.value("cancelled") is True and is_after(line, story.believed):
                story.gone = story.believed = None
            self._answered(story, line)

    def refused(self, story: StreamStory, line: Line, cancel: CancelStory | None) -> None:
        """Takes in that the guard concluded from a first cancel's refusal that no worker is there (F20)."""
        said = cancel.said if cancel else None
        is_named = story.named is not None and said is not None and story.named.number > said.number
        is_run_elsewhere = story.began is not None and story.began.value("hosted") is False
        was_refused = said is not None and said.value("cancelled") is False
        if line.value("gone") is True and was_refused and not (is_named or is_run_elsewhere):
            self._found_gone(story, line)

    def _answered(self, story: StreamStory, line: Line) -> None:
        if story.stop is None:
            return
        story.stop.looked = line
        if line.value("cancelled") is False and not self._is_one_shot:
            self._found_gone(story, line)

    def _found_gone(self, story: StreamStory, line: Line) -> None:
        story.gone = story.gone or line
        self._stopped.pop(story.stream_id, None)

    def _keep(self, story: StreamStory) -> None:
        self._stopped[story.stream_id] = story


def is_after(line: Line, believed: Line | None) -> bool:
    """Whether an answer is to a question that was asked after that line."""
    return believed is not None and line.number > believed.number and line.asked >= believed.t


def is_sent_after(cancel: CancelStory, believed: Line | None) -> bool:
    """Whether a cancel was sent after that line."""
    return believed is not None and cancel.forwarded is not None and cancel.forwarded.number > believed.number


def _may_have_begun(run: Run, story: StreamStory, line: Line) -> bool:
    stamp = story.began.number_of("stamp") if story.began else None
    if run.began is None or stamp is None or story.began is None:
        return True
    return stamp - _ROUNDING <= run.began <= stamp + (line.t - story.began.t) + _SKEW
