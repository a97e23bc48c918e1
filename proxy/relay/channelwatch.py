"""What a session's channel tells while it passes: turns that no browser started."""

from proxy.core.observations import TurnStarted
from proxy.hermes import events
from proxy.hermes.events import Announcement
from proxy.ownership.ownership import Ownership
from proxy.relay.ends import Piece
from proxy.relay.watch import NoWatch
from proxy.reporting import Report, failing_open
from proxy.sse import Frame, Scanner

_HELD = 1 << 16
"""Most bytes of an unfinished frame that are kept back until it is known what it is (P7)."""


class ChannelWatch(NoWatch):
    """Learns announced turns as starts, and passes on whatever announces no dead one.

    Up to exp-v0.52.234 Hermes announces a stopped turn to every new subscriber for as long as its worker unwinds. The
    page then attaches to that turn, is told that it was cancelled, and opens its channel again, over and over.

    Args:
        ownership: Told of turns, and asked what became of them.
        upstream: Which upstream it is, as reports call it.
        report: Told of internal errors.
    """

    __slots__ = ("_dropped", "_has_begun", "_held", "_ownership", "_report", "_scanner", "_upstream", "_whole")

    def __init__(self, ownership: Ownership, upstream: str, report: Report) -> None:
        self._ownership = ownership
        self._upstream = upstream
        self._report = report
        self._scanner = Scanner()
        self._held = b""
        self._has_begun = False  # whether some of the unfinished frame went on
        self._whole: int | None = None  # where the unfinished frame begins, in what is held and the chunk
        self._dropped: list[tuple[int, int]] = []

    def passes(self, _chunk: bytes, _now: float, /) -> bool:
        """Never: they are few, and each may announce a turn."""
        return False

    async def see(self, chunk: bytes, /) -> int | None:
        """Looks at the frames that end in `chunk`."""
        self._whole = None
        with failing_open(self._report, "watching a session channel", upstream=self._upstream, stream=None):
            begin = 0
            for frame in self._scanner.feed(chunk):
                end = len(self._held) + frame.end
                if await self._is_to_be_dropped(frame) and not self._has_begun:
                    self._dropped.append((begin, end))
                begin, self._has_begun = end, False
            self._whole = begin
        return None

    def amend(self, chunk: bytes, /) -> list[Piece]:
        """All but the frames that announce dead turns, and but a frame that is not whole yet."""
        data, at, pieces = self._held + chunk, 0, []
        whole = 0 if self._whole is None else self._whole
        is_passed = self._whole is None or self._has_begun or len(data) - whole > _HELD
        end = len(data) if is_passed else whole
        for begin, behind in self._dropped:
            pieces.append(data[at:begin])
            at = behind
        pieces.append(data[at:end])
        self._has_begun = end > whole
        self._held = data[end:]
        self._dropped.clear()
        passed = b"".join(pieces)
        return [Piece(passed)] if passed else []

    async def _is_to_be_dropped(self, frame: Frame) -> bool:
        if frame.event is None or not (turn := events.announcement_of(frame.event, frame.data)):
            return False
        if await self._is_dead(turn):
            return True
        hosted = None if turn.stamp is None else True
        started = TurnStarted(self._ownership.clock(), turn.stream_id, hosted, turn.stamp)
        await self._ownership.turn_seen(turn.session_id, started)
        return False

    async def _is_dead(self, turn: Announcement) -> bool:
        """Whether the end of that turn was seen: that it is believed to be over is not enough (F20)."""
        stream = await self._ownership.stream(turn.stream_id)
        return stream is not None and stream.ending is not None and not stream.is_doubtful
