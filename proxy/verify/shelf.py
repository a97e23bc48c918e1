"""The streams' stories, by session, and how they are forgotten."""

from bisect import bisect_left, insort
from collections import OrderedDict

from proxy.core.records import SessionRecord
from proxy.verify.lines import Limits, Line
from proxy.verify.stories import StreamStory


class Shelf:
    """Keeps the streams' stories.

    Args:
        limits: In force.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._sessions: OrderedDict[str, dict[str, StreamStory]] = OrderedDict()
        self._session_of: dict[str, str] = {}
        self._moved: dict[str, str] = {}
        self._forgotten: set[str] = set()
        self._stamps: list[tuple[float, str]] = []

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

    def here(self, session_id: str) -> list[StreamStory]:
        """Those of a session under just that id."""
        return list(self._sessions.get(session_id, {}).values())

    def is_forgotten(self, stream_id: str) -> bool:
        """Whether more was known of it than is remembered."""
        return stream_id in self._forgotten

    def begun_about(self, stamp: float, within: float) -> list[StreamStory]:
        """Those that began so many seconds around a moment on the backend's clock."""
        first, last = (bisect_left(self._stamps, (stamp + off, "")) for off in (-within, within))
        ids = (stream_id for _, stream_id in self._stamps[first:last])
        return [story for stream_id in ids if (story := self.get(stream_id)) is not None]

    def stale_by(self, stream_id: str, now: float) -> Line | None:
        """What showed that there is nothing to stop, if the guard must know of it: it forgets what is long past."""
        story = self.get(stream_id)
        line = story.stale_by if story else None
        return None if line is None or now - line.t >= self.limits.forget_after else line

    # -- moving -----------------------------------------------------------------------------------

    def note_begin(self, story: StreamStory, line: Line) -> None:
        """Its turn began."""
        story.began = line
        if (stamp := line.number_of("stamp")) is not None:
            insort(self._stamps, (stamp, story.stream_id))

    def stay(self, session_id: str) -> None:
        """The session goes on under this id after all."""
        self._moved.pop(session_id, None)

    def refresh(self, story: StreamStory) -> None:
        """Its session is the last to be forgotten."""
        self._sessions.move_to_end(self._session_of[story.stream_id])

    def rotate(self, old: str, new: str) -> None:
        """The session goes on under another id."""
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
        if len(self._sessions) > self.limits.sessions:
            self._forget(list(next(iter(self._sessions.values())).values()))

    def _forget(self, stories: list[StreamStory]) -> None:
        for story in stories:
            if story.is_over:
                self._take(story.stream_id)
                self._forgotten.add(story.stream_id)
