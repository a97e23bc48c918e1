"""What the bytes of a turn's stream tell while they pass: its session, its ends, its rotations."""

from collections.abc import Callable

from proxy.core.observations import StreamEnded, StreamSpoke
from proxy.core.records import Ending
from proxy.core.verdicts import judge_relay
from proxy.events.relays import UpstreamHeard
from proxy.hermes import events
from proxy.ownership.answering import let_the_answer_come
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.ends import Piece
from proxy.relay.leftover import Leftover, given_back
from proxy.relay.steers import Reader
from proxy.relay.watch import Due
from proxy.reporting import Report, failing_open
from proxy.sse import Frame, Scanner

_REPORT_EVERY = 1.0
"""Seconds between two reports of words that go by."""


class ChatWatch:
    """Watches one upstream of a turn's stream.

    Args:
        stream_id: Which.
        ownership: Told what is seen.
        live: Says how long a relay may go on without its terminal event, and an ending waits for the answer of a cancel
            under way.
        steered: Says which of the texts that were steered into the turn came too late, and have to be given back (F18).
        upstream: Which upstream it is, as reports call it.
        passed: Told once a second how many events went by that were not looked at.
        report: Told the names of the events that were looked at or added, and the count of all since it was told last.
    """

    __slots__ = (
        "_heard",
        "_is_quick",
        "_last_event",
        "_leftover",
        "_listens_for_output",
        "_live",
        "_names",
        "_note_passed",
        "_opened",
        "_ownership",
        "_passed",
        "_report",
        "_report_at",
        "_scanner",
        "_session_id",
        "_steered",
        "_stream_id",
        "_upstream",
        "_went_by",
        "told",
    )

    def __init__(  # noqa: PLR0913 - whom it asks, and whom it tells
        self,
        stream_id: str,
        ownership: Ownership,
        live: Live,
        steered: Reader,
        *,
        upstream: str,
        passed: Callable[[int], None],
        report: Report,
    ) -> None:
        self.told = False
        self._note_passed = passed
        self._stream_id = stream_id
        self._upstream = upstream
        self._report = report
        self._ownership = ownership
        self._live = live
        self._steered = steered
        self._leftover = Leftover(stream_id, ownership, live, steered, upstream=upstream, report=report)
        self._scanner = Scanner()
        self._session_id: str | None = None
        self._opened = self._last_event = ownership.clock()
        self._passed = 0  # events since anybody was told of them
        self._names: list[str] = []  # of the events in the chunk that was looked at
        self._heard = 0  # how many events were passed on with that chunk
        self._report_at = self._opened + _REPORT_EVERY
        self._listens_for_output = True
        self._is_quick = False  # whether words may go by unscanned
        self._went_by = False  # whether any did since the scanner was fed

    def passes(self, chunk: bytes, now: float, /) -> bool:
        """Whether this chunk may go on at once, unparsed: the turn is known to run, and these are its words.

        Such events are counted, and reported once a second.
        """
        if not (self._is_quick and events.is_plain(chunk)):
            return False
        self._went_by = True
        self._last_event = now
        self._passed += chunk.count(b"\n\n")
        if now >= self._report_at:
            self.flush()
        return True

    def flush(self) -> None:
        """Tells of the events that went by and were not told of."""
        if self._passed:
            self._note_passed(self._counted(()))

    def _counted(self, names: tuple[str, ...]) -> int:
        """Reports events, and how many these are with those that went by since the last report."""
        count = self._passed + len(names)
        self._passed, self._report_at = 0, self._last_event + _REPORT_EVERY
        self._report(UpstreamHeard(self._upstream, self._stream_id, names, count))
        return count

    def _weigh(self) -> None:
        """See whether words may go by: the agent has been heard, the end has not, and no frame is unfinished."""
        self._is_quick = not (self.told or self._listens_for_output) and self._scanner.at_boundary

    async def see(self, chunk: bytes, /) -> int | None:
        """Learns from the frames that end in `chunk`; where the stream is cut, behind a terminal event (P4)."""
        try:
            return await self._see(chunk)
        finally:
            self._weigh()

    async def _see(self, chunk: bytes) -> int | None:
        with failing_open(self._report, "watching a stream", upstream=self._upstream, stream=self._stream_id):
            if self._went_by:
                self._went_by = False
                self._scanner.skip()
            frames = self._scanner.feed(chunk)
            passed, end = await self._learn_all(frames)
            if any(events.is_ending(event) for event in passed):
                deadline = self._last_event + self._live.now.answer_timeout
                await let_the_answer_come(self._ownership, self._stream_id, deadline)
                self.told = True
            self._names += passed
            if passed:
                self._heard = self._counted(tuple(passed))
            await self._leftover.look(frames, self._scanner)
            return end
        return None

    def amend(self, chunk: bytes, /) -> list[Piece]:
        """What to send of this chunk, with text that was steered too late inserted before the turn's end (F18)."""
        pieces, names = self._leftover.amend(chunk), tuple(self._names)
        self._names.clear()
        if names and pieces:
            pieces[-1] = pieces[-1]._replace(events=names, passed=self._heard)
        return pieces

    def written(self) -> None:
        """A browser was sent a text that was given back."""
        self._steered.written()

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
        """When this relay has to be ended for its silence, as `judge_relay` says; None if it need not.

        If the turn is believed to be over without proof, output is looked for again.
        """
        with failing_open(self._report, "judging a relay", upstream=self._upstream, stream=self._stream_id):
            stream = await self._ownership.stream(self._stream_id)
            if stream is not None and stream.is_uncertain and self._opened < stream.since:
                self._listens_for_output, self._is_quick = True, False
            limit = judge_relay(stream, self._live.now)
            if limit is not None:
                return Due(max(limit.since, self._last_event, resumed) + limit.within, limit.ending)
        return None

    async def ending(self, overdue: Due | None, /) -> tuple[Piece, ...]:
        """A synthesized terminal event, where one is due, behind whatever frame was left half-written (P5)."""
        with failing_open(self._report, "ending a relay", upstream=self._upstream, stream=self._stream_id):
            ending = overdue.ending if overdue else await self._ending_at_eof()
            if ending is not None:
                session_id = self._session_id or await self._ownership.session_of(self._stream_id)
                event, frame = events.synthesize(ending, session_id)
                before = await self._leftover.before(ending)
                closing = () if self._scanner.at_boundary else (Piece(events.abandon()),)
                given = (given_back(before),) if before else ()
                return (*closing, *given, Piece(frame, (event,), self._counted((event,))))
        return ()

    def close(self) -> None:
        """What was steered and not given back, another relay may give."""
        self._steered.close()

    async def _ending_at_eof(self) -> Ending | None:
        stream = await self._ownership.stream(self._stream_id)
        being_cancelled = stream is not None and stream.is_settling
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
        """Notes that the agent works: at its first output, and at the first one after the turn was believed to be over.

        Not on a relay that was opened after that, as Hermes may replay old events to it.
        """
        self._listens_for_output = False
        stream = await self._ownership.stream(self._stream_id)
        if stream is None or not stream.is_uncertain or self._opened < stream.since:
            await self._ownership.observe(StreamSpoke(self._ownership.clock(), self._stream_id))

    async def _learn_session(self, frame: Frame) -> None:
        self._session_id = await self._ownership.session_of(self._stream_id) or events.session_in(frame.data)
        if self._session_id is not None:
            await self._ownership.identify(self._stream_id, self._session_id)
