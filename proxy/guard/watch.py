"""What the bytes of an upstream tell while they pass: ends, rotations, announced turns."""

from dataclasses import dataclass
from typing import Protocol

from proxy.core.observations import StreamEnded, StreamSpoke, TurnStarted
from proxy.core.records import Ending, StreamState
from proxy.core.verdicts import judge_relay
from proxy.guard.answering import let_the_answer_come
from proxy.guard.leftover import Leftover
from proxy.guard.limits import Live
from proxy.guard.ownership import Ownership
from proxy.guard.reporting import Report, failing_open
from proxy.guard.steers import Reader
from proxy.hermes import events
from proxy.sse import Frame, Scanner

_REPORT_EVERY = 1.0
"""Seconds between two reports of words that go by."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a relay ends without a terminal event of its own, and the one that it is then given."""

    at: float
    ending: Ending


class Watch(Protocol):
    """Looks at an upstream's bytes; they are passed on whatever it thinks of them."""

    @property
    def told(self) -> bool:
        """Whether the bytes let through so far say that the turn is over."""

    def passes(self, chunk: bytes, /) -> bool:
        """Whether the next bytes may go on at once, with nothing to be seen in them; if not, `see` looks at them."""

    async def see(self, chunk: bytes, /) -> int | None:
        """Looks at the next bytes; how many of them end the stream, or None if it goes on (P4)."""

    def amend(self, chunk: bytes, /) -> bytes:
        """What goes on now of the bytes that `see` looked at, up to the end that it found."""

    def written(self) -> None:
        """All that was to go on has been sent."""

    async def due(self, resumed: float, /) -> Due | None:
        """When the relay has to end without a terminal event, as far as is known by now.

        Silence is counted from `resumed` at the earliest, which is when the upstream could be read again.
        """

    async def ending(self, overdue: Due | None, /) -> bytes:
        """What to add when the stream ends without a terminal event: overdue, or else at its EOF."""


class NoWatch:
    """Long-lived streams that say nothing about turns: passed on, and closed with their browser (P6)."""

    told = False

    def passes(self, _chunk: bytes, /) -> bool:
        """Always."""
        return True

    async def see(self, _chunk: bytes, /) -> int | None:
        """Nothing in them ends it."""
        return None

    def amend(self, chunk: bytes, /) -> bytes:
        """All of it."""
        return chunk

    def written(self) -> None:
        """It does not matter."""

    async def due(self, _resumed: float, /) -> Due | None:
        """Never."""
        return None

    async def ending(self, _overdue: Due | None, /) -> bytes:
        """It needs none."""
        return b""


class ChannelWatch(NoWatch):
    """A session's channel, which announces turns that no browser started."""

    def __init__(self, ownership: Ownership, report: Report) -> None:
        self._ownership = ownership
        self._report = report
        self._scanner = Scanner()

    def passes(self, _chunk: bytes, /) -> bool:
        """Never: they are few, and each may announce a turn."""
        return False

    async def see(self, chunk: bytes, /) -> int | None:
        """Learns announced turns as starts."""
        with failing_open(self._report, "watching a session channel"):
            for frame in self._scanner.feed(chunk):
                await self._learn(frame)
        return None

    async def _learn(self, frame: Frame) -> None:
        if frame.event is None or not (turn := events.announcement_of(frame.event, frame.data)):
            return
        hosted = None if turn.stamp is None else True
        started = TurnStarted(self._ownership.clock(), turn.stream_id, hosted, turn.stamp)
        await self._ownership.turn_seen(turn.session_id, started)


class ChatWatch:
    """One turn's stream.

    Args:
        stream_id: Which.
        ownership: Told what is seen.
        live: Says how long a relay may go on without its terminal event, and an ending waits for the answer of a cancel
            under way.
        steered: Says which of the texts that were steered into the turn came too late, and have to be given back (F18).
        report: Told the names of the events that were looked at or added, and the count of all since it was told last;
            knows which relay it is.
    """

    def __init__(self, stream_id: str, ownership: Ownership, live: Live, steered: Reader, *, report: Report) -> None:
        self.told = False
        self._stream_id = stream_id
        self._report = report
        self._ownership = ownership
        self._live = live
        self._steered = steered
        self._leftover = Leftover(stream_id, ownership, live, steered, report=report)
        self._scanner = Scanner()
        self._session_id: str | None = None
        self._opened = self._last_event = self._reported = ownership.clock()
        self._passed = 0  # events since then
        self._listens_for_output = True

    def passes(self, chunk: bytes, /) -> bool:
        """While its turn goes on in a session that is known, its words do; they are reported now and then."""
        if self.told or self._listens_for_output or self._session_id is None:
            return False
        if not (self._scanner.at_boundary and events.is_plain(chunk)):
            return False
        self._scanner.skip()
        self._last_event = self._ownership.clock()
        self._passed += chunk.count(b"\n\n")
        if self._last_event >= self._reported + _REPORT_EVERY:
            self._wrote([])
        return True

    def _wrote(self, names: list[str]) -> None:
        passed, self._passed, self._reported = self._passed, 0, self._last_event
        self._report("relay_wrote", events=names, count=passed + len(names))

    async def see(self, chunk: bytes, /) -> int | None:
        """Learns from the frames that end in `chunk`; cuts after a terminal event (P4: terminal last)."""
        with failing_open(self._report, "watching a stream"):
            frames = self._scanner.feed(chunk)
            passed, end = await self._learn_all(frames)
            if any(events.is_ending(event) for event in passed):
                deadline = self._last_event + self._live.now.answer_timeout
                await let_the_answer_come(self._ownership, self._stream_id, deadline)
                self.told = True
            added = await self._leftover.look(frames, self._scanner)
            if added or passed:
                self._wrote(added + passed)
            return end
        return None

    def amend(self, chunk: bytes, /) -> bytes:
        """With what was steered too late before the end of the turn."""
        return self._leftover.amend(chunk)

    def written(self) -> None:
        """So was that."""
        self._leftover.written()

    async def _learn_all(self, frames: list[Frame]) -> tuple[list[str], int | None]:
        """The names of the events up to a terminal one, and where that one ends."""
        passed: list[str] = []
        for frame in frames:
            if (event := frame.event) is None:
                continue
            self._last_event = self._ownership.clock()
            passed.append(event)
            await self._learn(event, frame)
            if events.is_terminal(event):
                return passed, frame.end
        return passed, None

    async def due(self, resumed: float, /) -> Due | None:
        """As `judge_relay` says of the stream's record."""
        with failing_open(self._report, "judging a relay"):
            stream = await self._ownership.stream(self._stream_id)
            if stream is not None and stream.is_uncertain and self._opened < stream.since:
                self._listens_for_output = True
            limit = judge_relay(stream, self._live.now)
            if limit is not None:
                return Due(max(limit.since, self._last_event, resumed) + limit.within, limit.ending)
        return None

    async def ending(self, overdue: Due | None, /) -> bytes:
        """A synthesized terminal event, where one is due, behind whatever frame was left half-written (P5)."""
        with failing_open(self._report, "ending a relay"):
            ending = overdue.ending if overdue else await self._ending_at_eof()
            if ending is not None:
                event, frame = events.synthesize(ending, self._session_id)
                before = await self._leftover.before(ending)
                self._wrote([events.LEFTOVER, event] if before else [event])
                return (b"" if self._scanner.at_boundary else events.abandon()) + before + frame
        return b""

    async def _ending_at_eof(self) -> Ending | None:
        stream = await self._ownership.stream(self._stream_id)
        being_cancelled = stream is not None and stream.state is StreamState.SETTLING
        return Ending.CANCELLED if being_cancelled else None

    async def _learn(self, event: str, frame: Frame) -> None:
        if self._session_id is None:
            await self._learn_session(frame)
        if self._listens_for_output and events.is_output(event):
            await self._hear()
        self._steered.saw(event, frame.data)
        ending = events.ending_of(event, frame.data)
        if ending is not None:
            seen = StreamEnded(self._ownership.clock(), self._stream_id, ending)
            await self._ownership.observe(seen)
        elif rotation := events.rotation_of(event, frame.data):
            await self._ownership.rotate(rotation.old_session_id, rotation.new_session_id)

    async def _hear(self) -> None:
        """Output shows that the turn's agent works: the first, and the first since the turn was believed to be over.

        A relay that was opened after that belief may be shown the stream's past, which shows nothing.
        """
        self._listens_for_output = False
        stream = await self._ownership.stream(self._stream_id)
        if stream is None or not stream.is_uncertain or self._opened < stream.since:
            await self._ownership.observe(StreamSpoke(self._ownership.clock(), self._stream_id))

    async def _learn_session(self, frame: Frame) -> None:
        self._session_id = await self._ownership.session_of(self._stream_id) or events.session_in(frame.data)
        if self._session_id is not None:
            await self._ownership.identify(self._stream_id, self._session_id)
