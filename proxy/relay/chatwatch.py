"""What the bytes of a turn's stream tell while they pass: its session, its ends, its rotations."""

from proxy.core.observations import StreamEnded, StreamSpoke
from proxy.core.records import Ending
from proxy.core.verdicts import judge_relay
from proxy.events.relays import RelayWrote
from proxy.hermes import events
from proxy.ownership.answering import let_the_answer_come
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.leftover import Leftover
from proxy.relay.steers import Reader
from proxy.relay.watch import Due
from proxy.reporting import Report, failing_open
from proxy.sse import Frame, Scanner

_REPORT_EVERY = 1.0
"""Seconds between two reports of words that go by."""


class ChatWatch:
    """Watches one relay (one browser's subscription) of a turn's stream.

    Args:
        stream_id: Which.
        ownership: Told what is seen.
        live: Says how long a relay may go on without its terminal event, and an ending waits for the answer of a cancel
            under way.
        steered: Says which of the texts that were steered into the turn came too late, and have to be given back (F18).
        relay: Which relay it is, as reports call it.
        report: Told the names of the events that were looked at or added, and the count of all since it was told last.
    """

    __slots__ = (
        "_is_quick",
        "_last_event",
        "_leftover",
        "_listens_for_output",
        "_live",
        "_opened",
        "_ownership",
        "_passed",
        "_relay",
        "_report",
        "_report_at",
        "_scanner",
        "_session_id",
        "_steered",
        "_stream_id",
        "_went_by",
        "told",
    )

    def __init__(  # noqa: PLR0913 - what it watches, what it asks and tells, and by which limits
        self, stream_id: str, ownership: Ownership, live: Live, steered: Reader, *, relay: str, report: Report
    ) -> None:
        self.told = False
        self._stream_id = stream_id
        self._relay = relay
        self._report = report
        self._ownership = ownership
        self._live = live
        self._steered = steered
        self._leftover = Leftover(stream_id, ownership, live, steered, relay=relay, report=report)
        self._scanner = Scanner()
        self._session_id: str | None = None
        self._opened = self._last_event = ownership.clock()
        self._passed = 0  # events since the last report
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
            self._wrote([])
        return True

    def _wrote(self, names: list[str]) -> None:
        passed, self._passed, self._report_at = self._passed, 0, self._last_event + _REPORT_EVERY
        self._report(RelayWrote(self._relay, self._stream_id, tuple(names), passed + len(names)))

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
        with failing_open(self._report, "watching a stream", relay=self._relay, stream=self._stream_id):
            if self._went_by:
                self._went_by = False
                self._scanner.skip()
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
        """What to send of this chunk, with text that was steered too late inserted before the turn's end (F18)."""
        return self._leftover.amend(chunk)

    def written(self) -> None:
        """All of that has been sent."""
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
        """When this relay has to be ended for its silence, as `judge_relay` says; None if it need not.

        If the turn is believed to be over without proof, output is looked for again.
        """
        with failing_open(self._report, "judging a relay", relay=self._relay, stream=self._stream_id):
            stream = await self._ownership.stream(self._stream_id)
            if stream is not None and stream.is_uncertain and self._opened < stream.since:
                self._listens_for_output, self._is_quick = True, False
            limit = judge_relay(stream, self._live.now)
            if limit is not None:
                return Due(max(limit.since, self._last_event, resumed) + limit.within, limit.ending)
        return None

    async def ending(self, overdue: Due | None, /) -> bytes:
        """A synthesized terminal event, where one is due, behind whatever frame was left half-written (P5)."""
        with failing_open(self._report, "ending a relay", relay=self._relay, stream=self._stream_id):
            ending = overdue.ending if overdue else await self._ending_at_eof()
            if ending is not None:
                session_id = self._session_id or await self._ownership.session_of(self._stream_id)
                event, frame = events.synthesize(ending, session_id)
                before = await self._leftover.before(ending)
                self._wrote([events.LEFTOVER, event] if before else [event])
                return (b"" if self._scanner.at_boundary else events.abandon()) + before + frame
        return b""

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
