"""What the lines so far have shown of sessions and their streams."""

from proxy.core import observations
from proxy.core.records import Ending
from proxy.verify.lines import Line
from proxy.verify.shelf import Shelf
from proxy.verify.stories import StopStory, StreamStory

_OWN_ENDS = (Ending.FINISHED.value, Ending.FAILED.value)


class Streams(Shelf):
    """Learns the streams' stories from the lines.

    Only what no other reading is possible of counts as an end: a status, say, may have been asked for before the turn
    began, and the trace does not tell. Whatever might be an end is kept as a hint.
    """

    # -- learning of cancels ----------------------------------------------------------------------

    def sent(self, stream_id: str, cancel_id: str, line: Line) -> None:
        """A cancel of it is on its way to the backend."""
        self.story(stream_id).pending[cancel_id] = line

    def accepted(self, stream_id: str, line: Line) -> None:
        """The backend took a cancel of it: its worker is there, and has to go."""
        story = self.story(stream_id)
        story.overtaken = story.ended
        story.stop = StopStory(line, looked=line)
        story.gone = story.believed = None
        story.ran = True
        limit = max(self.limits.settle_timeout, self.limits.orphan_grace)
        self._leave(story, line, limit)

    def settled(self, stream_id: str, line: Line) -> None:
        """Its cancel is over."""
        story = self.story(stream_id)
        story.hinted = True
        missing = line.value("missing")
        is_given_up = isinstance(missing, list) and bool(missing)
        if story.stop is not None:
            story.stop.over, story.stop.is_given_up = line, is_given_up
        if not is_given_up or "slot_free" not in line.texts("missing"):
            story.believed = story.believed or line

    # -- learning of the rest ---------------------------------------------------------------------

    def observed(self, line: Line) -> None:
        """Takes in what the guard observed, as its core names it.

        Raises:
            TraceError: the line lacks what such a line has.
        """
        seen, session_id = line.seen, line.text("session")
        if seen is observations.SessionRotated:
            self.rotate(session_id, line.text("new_session_id"))
        elif seen is observations.BackendRestarted:
            for story in self.here(session_id):
                self._restarted(story, line)
        elif line.maybe("stream_id") is not None:
            self._observed_stream(session_id, line)

    def _observed_stream(self, session_id: str, line: Line) -> None:  # noqa: C901 - one line a kind
        stream_id = line.text("stream_id")
        is_new = self.get(stream_id) is None
        story = self.story(stream_id, session_id)
        match line.seen:
            case observations.TurnStarted:
                self._begin(story, session_id, line, is_new=is_new)
            case observations.StartConflicted:
                self._run(story, session_id)
            case observations.StreamSpoke if story.doubted is not None:
                story.revive()
            case observations.StatusSeen:
                self._status(story, session_id, line)
            case observations.StreamMissing:
                story.hinted, story.lost = True, line
                story.doubt(line)
            case observations.StreamEnded:
                self._end(story, line)
            case observations.CancelAccepted | observations.CancelRefused | observations.CancelFailed:
                self._outcome(story, line)
            case observations.SlotSeen:
                self._slot(story, line)
            case observations.RelaysEnded if story.is_settling and story.stop is not None:
                story.stop.relays_ended = True
            case observations.CancelAnswered if story.is_settling and story.stop is not None:
                story.stop.answered = story.stop.answered or line  # later ones are other callers'

    def _restarted(self, story: StreamStory, line: Line) -> None:
        story.hinted, story.lost = True, line
        if story.is_settling:
            story.gone = story.gone or line
        elif story.ran:
            story.doubt(line)

    def _begin(self, story: StreamStory, session_id: str, line: Line, *, is_new: bool) -> None:
        """A turn under a session's old id ends its rotation; one never heard of supersedes the others."""
        self.stay(session_id)
        self._run(story, session_id)
        if story.began is None:
            self.note_begin(story, line)
        for other in self.here(session_id):
            if is_new and other is not story and other.ran:
                self._supersede(other, line)

    def _supersede(self, story: StreamStory, line: Line) -> None:
        """A runner has turns begin beside each other, and none ends by that (F20)."""
        if line.value("hosted") is False:
            return
        if story.is_settling and story.stop is not None:
            story.stop.followed = story.stop.followed or line
        elif story.ended is None and (story.stop is None or story.pending):
            story.hinted = True
            story.doubt(line)
            self._leave(story, line, self.limits.orphan_grace)

    def _run(self, story: StreamStory, session_id: str) -> None:
        story.ran = True
        for other in self.here(session_id):
            other.hinted = other.hinted or other is not story

    def _status(self, story: StreamStory, session_id: str, line: Line) -> None:
        if line.value("active"):
            self._run(story, session_id)
            if not (story.pending or story.is_settling):
                story.revive()
            return
        story.hinted = True
        if line.maybe("ending") is not None:
            story.journal = line

    def _end(self, story: StreamStory, line: Line) -> None:
        """A `cancel` event tells that somebody stopped it, and not that its worker is gone; other ends are guessed."""
        story.hinted = True
        if line.maybe("ending") in _OWN_ENDS:
            story.ended = story.ended or line
        elif line.maybe("ending") == Ending.CANCELLED.value:
            story.cancelled = True
        else:
            story.doubt(line)
        self._leave(story, line, self.limits.linger)

    def _leave(self, story: StreamStory, line: Line, within: float) -> None:
        story.leaves_since = max(story.leaves_since, line.t)
        story.leaves_within = max(story.leaves_within, within)
        self.refresh(story)

    def _outcome(self, story: StreamStory, line: Line) -> None:
        """What became of a cancel; one whose id is not told is all there were."""
        cancel_id = line.maybe("cancel_id")
        if cancel_id is None:
            story.pending.clear()
        story.pending.pop(cancel_id or "", None)
        is_end = line.seen is observations.CancelRefused and line.value("gone") is True
        story.hinted = story.hinted or is_end
        if is_end and story.ended is None:
            story.believed = story.believed or line
            if story.stop is None:
                story.doubt(line)
        if story.ended is not None or (is_end and story.ran and not story.is_settling):
            self._leave(story, line, self.limits.linger)

    def _slot(self, story: StreamStory, line: Line) -> None:
        slot = line.text("slot")
        if slot == "free":
            story.believed = story.believed or line
            if story.is_settling:
                story.leaves_since, story.leaves_within = line.t, self.limits.orphan_grace
        if story.is_settling and story.stop is not None:
            story.stop.slot = slot
