"""What the lines so far have shown of sessions and their streams."""

from collections import OrderedDict

from proxy.core.records import SessionRecord, Slot
from proxy.ops.verify.lines import Limits, Line
from proxy.ops.verify.stories import NEVER, StreamStory


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

    def certain_end(self, stream_id: str, now: float) -> Line | None:
        """The line that showed the stream's end, if the guard must know of it: it forgets what is long past."""
        story = self.get(stream_id)
        if story is None or story.ended is None or now - story.ended.t >= self._limits.forget_after:
            return None
        return story.ended

    # -- learning ---------------------------------------------------------------------------------

    def forwarded(self, stream_id: str, line: Line) -> None:
        """A cancel of it reached the backend: what an earlier one had come to is past."""
        story = self._story(stream_id)
        story.under_way, story.accepted, story.settled = line, None, None

    def settled(self, stream_id: str, line: Line) -> None:
        """Its cancel is over."""
        story = self._story(stream_id)
        story.settled, story.hinted = line, True
        story.ended = story.ended or line

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
                story.hinted = True
        elif line.maybe("stream_id") is not None:
            self._observed_stream(what, session_id, line)

    def _observed_stream(self, what: str, session_id: str, line: Line) -> None:  # noqa: C901 - one line a kind
        stream_id = line.text("stream_id")
        is_new = stream_id not in self._session_of
        story = self._story(stream_id, session_id)
        match what:
            case "TurnStarted":
                self._begin(story, session_id, line, is_new=is_new)
            case "StartConflicted":
                self._run(story, session_id)
            case "StatusSeen" if line.fields.get("active"):
                self._run(story, session_id)
                story.ended, story.leaves_by = None, NEVER
            case "StatusSeen" | "StreamMissing":
                story.hinted = True
            case "StreamEnded":
                self._end(story, line, self._limits.linger)
            case "CancelAccepted":
                self._accept(story, line)
            case "CancelRefused" | "CancelFailed":
                self._refuse(story, line, is_end=what == "CancelRefused")
            case "RelaysEnded":
                story.relays_ended = story.is_settling
            case "CancelAnswered":
                story.answered = line if story.is_settling else None
            case "SlotSeen":
                story.slot = line.text("slot")

    def _begin(self, story: StreamStory, session_id: str, line: Line, *, is_new: bool) -> None:
        """A turn under a session's old id ends its rotation; one never heard of supersedes the others."""
        self._moved.pop(session_id, None)
        self._run(story, session_id)
        for other in self._sessions[session_id].values():
            if is_new and other is not story and other.ran and other.ended is None:
                self._end(other, line, self._limits.orphan_grace)

    def _run(self, story: StreamStory, session_id: str) -> None:
        story.ran = True
        for other in self._sessions[session_id].values():
            other.hinted = other.hinted or other is not story

    def _end(self, story: StreamStory, line: Line, within: float) -> None:
        story.hinted = True
        story.ended = story.ended or line
        story.leaves_by = max(story.leaves_by, line.t + within)
        self._sessions.move_to_end(self._session_of[story.stream_id])

    def _accept(self, story: StreamStory, line: Line) -> None:
        story.overtaken = story.ended if story.ended_otherwise else None
        story.accepted, story.under_way, story.settled, story.answered = line, None, None, None
        story.ran, story.relays_ended, story.slot = True, False, Slot.BUSY.value
        limit = max(self._limits.settle_timeout, self._limits.orphan_grace)
        story.leaves_by = max(story.leaves_by, line.t + limit)

    def _refuse(self, story: StreamStory, line: Line, *, is_end: bool) -> None:
        story.under_way = None
        story.hinted = story.hinted or is_end
        if story.ended is not None or (is_end and story.ran):
            self._end(story, line, self._limits.linger)

    def _rotate(self, old: str, new: str) -> None:
        if old == new:
            return
        self._moved[old] = new
        self._moved.pop(new, None)  # so that no chain of them is a circle
        for story in self._sessions.pop(old, {}).values():
            self._put(story, new)

    # -- keeping ----------------------------------------------------------------------------------

    def _story(self, stream_id: str, session_id: str | None = None) -> StreamStory:
        """The stream's story, moved to the session that it turns out to belong to."""
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
