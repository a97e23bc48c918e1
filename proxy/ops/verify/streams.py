"""What the lines so far have shown of sessions and their streams."""

from collections import OrderedDict

from proxy.core.records import Ending, SessionRecord
from proxy.ops.verify.lines import Limits, Line
from proxy.ops.verify.stories import StopStory, StreamStory

_OWN_ENDS = (Ending.FINISHED.value, Ending.FAILED.value)


class Streams:
    """The streams' stories, by session.

    Only what no other reading is possible of counts as an end: a status, say, may have been asked for before the turn
    began, and the trace does not tell. Whatever might be an end is kept as a hint.

    Args:
        limits: In force.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sessions: OrderedDict[str, dict[str, StreamStory]] = OrderedDict()
        self._session_of: dict[str, str] = {}
        self._moved: dict[str, str] = {}
        self._forgotten: set[str] = set()

    # -- asking -----------------------------------------------------------------------------------

    def get(self, stream_id: str | None) -> StreamStory | None:
        """What is known of a stream."""
        session_id = self._session_of.get(stream_id or "")
        return None if session_id is None else self._sessions[session_id].get(stream_id or "")

    def all(self) -> list[StreamStory]:
        """Every stream that is remembered."""
        return [story for streams in self._sessions.values() for story in streams.values()]

    def of_session(self, session_id: str) -> list[StreamStory]:
        """Those of a session, wherever it was moved to."""
        while session_id in self._moved:
            session_id = self._moved[session_id]
        return list(self._sessions.get(session_id, {}).values())

    def is_forgotten(self, stream_id: str) -> bool:
        """Whether more was known of it than is remembered."""
        return stream_id in self._forgotten

    def stale_by(self, stream_id: str, now: float) -> Line | None:
        """What showed that there is nothing to stop, if the guard must know of it: it forgets what is long past."""
        story = self.get(stream_id)
        line = story.stale_by if story else None
        return None if line is None or now - line.t >= self._limits.forget_after else line

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
        limit = max(self._limits.settle_timeout, self._limits.orphan_grace)
        self._leave(story, line, limit)

    def settled(self, stream_id: str, line: Line) -> None:
        """Its cancel is over."""
        story = self.story(stream_id)
        story.hinted = True
        missing = line.fields.get("missing")
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
        what, session_id = line.text("what"), line.text("session")
        if what == "SessionRotated":
            self._rotate(session_id, line.text("new_session_id"))
        elif what == "BackendRestarted":
            for story in self._sessions.get(session_id, {}).values():
                self._restarted(story, line)
        elif line.maybe("stream_id") is not None:
            self._observed_stream(what, session_id, line)

    def _observed_stream(self, what: str, session_id: str, line: Line) -> None:
        stream_id = line.text("stream_id")
        is_new = stream_id not in self._session_of
        story = self.story(stream_id, session_id)
        match what:
            case "TurnStarted":
                self._begin(story, session_id, line, is_new=is_new)
            case "StartConflicted":
                self._run(story, session_id)
            case "StreamSpoke" if story.doubted is not None:
                story.revive()
            case "StatusSeen":
                self._status(story, session_id, line)
            case "StreamMissing":
                story.hinted, story.lost = True, line
                story.doubt(line)
            case "StreamEnded":
                self._end(story, line)
            case "CancelAccepted" | "CancelRefused" | "CancelFailed":
                self._outcome(story, line)
            case "SlotSeen":
                self._slot(story, line)
            case "RelaysEnded" | "CancelAnswered" if story.is_settling and story.stop is not None:
                story.stop.relays_ended |= what == "RelaysEnded"
                if what == "CancelAnswered":  # later ones are other callers'
                    story.stop.answered = story.stop.answered or line

    def _restarted(self, story: StreamStory, line: Line) -> None:
        story.hinted, story.lost = True, line
        if story.is_settling:
            story.gone = story.gone or line
        elif story.ran:
            story.doubt(line)

    def _begin(self, story: StreamStory, session_id: str, line: Line, *, is_new: bool) -> None:
        """A turn under a session's old id ends its rotation; one never heard of supersedes the others."""
        self._moved.pop(session_id, None)
        self._run(story, session_id)
        story.began = story.began or line
        for other in self._sessions[session_id].values():
            if is_new and other is not story and other.ran:
                self._supersede(other, line)

    def _supersede(self, story: StreamStory, line: Line) -> None:
        """A runner has turns begin beside each other, and none ends by that (F20)."""
        if line.fields.get("hosted") is False:
            return
        if story.is_settling:
            story.gone = story.gone or line
        elif story.ended is None and (story.stop is None or story.pending):
            story.hinted = True
            story.doubt(line)
            self._leave(story, line, self._limits.orphan_grace)

    def _run(self, story: StreamStory, session_id: str) -> None:
        story.ran = True
        for other in self._sessions[session_id].values():
            other.hinted = other.hinted or other is not story

    def _status(self, story: StreamStory, session_id: str, line: Line) -> None:
        if line.fields.get("active"):
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
        elif line.maybe("ending") != Ending.CANCELLED.value:
            story.doubt(line)
        self._leave(story, line, self._limits.linger)

    def _leave(self, story: StreamStory, line: Line, within: float) -> None:
        story.leaves_since = max(story.leaves_since, line.t)
        story.leaves_within = max(story.leaves_within, within)
        self._sessions.move_to_end(self._session_of[story.stream_id])

    def _outcome(self, story: StreamStory, line: Line) -> None:
        """What became of a cancel; one whose id is not told is all there were."""
        cancel_id = line.maybe("cancel_id")
        if cancel_id is None:
            story.pending.clear()
        story.pending.pop(cancel_id or "", None)
        is_end = line.text("what") == "CancelRefused" and line.fields.get("gone") is True
        story.hinted = story.hinted or is_end
        if is_end and story.ended is None:
            story.believed = story.believed or line
            if story.stop is None:
                story.doubt(line)
        if story.ended is not None or (is_end and story.ran and not story.is_settling):
            self._leave(story, line, self._limits.linger)

    def _slot(self, story: StreamStory, line: Line) -> None:
        slot = line.text("slot")
        if slot == "free":
            story.believed = story.believed or line
        if story.is_settling and story.stop is not None:
            story.stop.slot = slot

    def _rotate(self, old: str, new: str) -> None:
        if old == new:
            return
        self._moved[old] = new
        self._moved.pop(new, None)  # so that no chain of them is a circle
        for story in self._sessions.pop(old, {}).values():
            self._put(story, new)

    # -- keeping ----------------------------------------------------------------------------------

    def story(self, stream_id: str, session_id: str | None = None) -> StreamStory:
        """The stream's story, begun if there is none, and moved to the session that it turns out to belong to."""
        story = self.get(stream_id) or StreamStory(stream_id)
        home = session_id or self._session_of.get(stream_id) or f"stream:{stream_id}"
        if self._session_of.get(stream_id) != home:
            self._take(stream_id)
            self._put(story, home)
        return story

    def _take(self, stream_id: str) -> None:
        if (session_id := self._session_of.pop(stream_id, None)) is not None:
            del self._sessions[session_id][stream_id]
            if not self._sessions[session_id]:
                del self._sessions[session_id]

    def _put(self, story: StreamStory, session_id: str) -> None:
        """Adds a story, and forgets as the guard does, though rather more: what it has forgotten is no evidence."""
        streams = self._sessions.setdefault(session_id, {})
        streams[story.stream_id] = story
        self._session_of[story.stream_id] = session_id
        if len(streams) > SessionRecord.KEPT_ENDINGS:
            self._forget(list(streams.values())[:1])
        if len(self._sessions) > self._limits.sessions:
            self._forget(list(next(iter(self._sessions.values())).values()))

    def _forget(self, stories: list[StreamStory]) -> None:
        for story in stories:
            if story.is_over:
                self._take(story.stream_id)
                self._forgotten.add(story.stream_id)
