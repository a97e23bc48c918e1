"""Gives text back to the page that was steered in too late for the model (F18).

It writes Hermes' own frame for that just before the event that ends the turn. If the turn was stopped, the text is
dropped instead, since the page would send it at once as the next message.
"""

from proxy.core.records import Ending
from proxy.core.verdicts import judge_leftover
from proxy.hermes import events
from proxy.ownership.answering import let_the_answer_come
from proxy.ownership.limits import Live
from proxy.ownership.ownership import Ownership
from proxy.relay.ends import Piece
from proxy.relay.steers import Reader
from proxy.reporting import Report, failing_open
from proxy.sse import Frame, Scanner

_HELD = 1 << 14
"""Most bytes of an unfinished frame that are kept back until it is known what it is (P7)."""


class Leftover:
    """The bytes of one upstream, with the proxy's own frame before the turn's end.

    The event that ends a turn can carry a whole conversation and come in many chunks; they are passed on as they
    come. Only while a text waits, the beginning of a frame is held back until its event's name is known, and an
    `error` frame until it is complete, because only its data says whether the turn was cancelled.

    Args:
        stream_id: The turn's.
        ownership: Asked how the turn ended, once a cancel under way has been answered.
        live: Says how long to wait for that answer.
        steered: Says whether a text waits, and gives it.
        upstream: Which upstream it is, as reports call it.
        report: Told of internal errors.
    """

    __slots__ = (
        "_begin",
        "_held",
        "_keep",
        "_live",
        "_next",
        "_own",
        "_ownership",
        "_report",
        "_steered",
        "_stream_id",
        "_upstream",
    )

    def __init__(  # noqa: PLR0913 - what it is about, what it asks and tells, and by which limits
        self, stream_id: str, ownership: Ownership, live: Live, steered: Reader, *, upstream: str, report: Report
    ) -> None:
        self._stream_id = stream_id
        self._upstream = upstream
        self._ownership = ownership
        self._live = live
        self._steered = steered
        self._report = report
        self._held = b""
        self._begin: int | None = 0  # where the unfinished frame begins, in what is held; None if some of it went on
        self._next: int | None = None  # the same for the next chunk
        self._keep: int | None = None  # from where bytes are held back
        self._own: list[tuple[int, bytes]] = []  # what is inserted, and where

    async def look(self, frames: list[Frame], scanner: Scanner) -> None:
        """Looks at the frames that end in the next chunk, and at the one that begins in it."""
        with failing_open(
            self._report, "looking for the end of a turn", upstream=self._upstream, stream=self._stream_id
        ):
            await self._look(frames, scanner)

    async def _look(self, frames: list[Frame], scanner: Scanner) -> None:
        if not self._steered.is_waiting and not self._held:
            self._next = 0 if scanner.at_boundary else None
            return
        begin = self._begin
        for frame in frames:
            event = frame.event or ""
            if begin is not None:
                await self._put(begin, events.ending_of(event, frame.data))
            begin = len(self._held) + frame.end
            if events.is_terminal(event):
                return
        await self._look_at_beginning(begin, *scanner.unfinished)
        self._next = 0 if scanner.at_boundary or self._keep is not None else None

    async def _look_at_beginning(self, begin: int | None, size: int, name: str) -> None:
        """What to do about a frame of which only so many bytes are there."""
        if begin is None or not size or not self._steered.is_waiting:
            return
        ending = events.ending_of(name, b"")
        if ending is Ending.FINISHED:
            await self._put(begin, ending)
        elif (not name or ending is Ending.FAILED) and size <= _HELD:
            self._keep = begin

    async def _put(self, begin: int, ending: Ending | None) -> None:
        if ending is not None and (frame := await self.before(ending)):
            self._own.append((begin, frame))

    async def before(self, ending: Ending) -> bytes:
        """What is to be put before an event that ends the turn like this, if anything."""
        with failing_open(
            self._report, "giving back what was steered", upstream=self._upstream, stream=self._stream_id
        ):
            if self._steered.is_waiting:
                return await self._give_back(ending)
        return b""

    async def _give_back(self, ending: Ending) -> bytes:
        deadline = self._ownership.clock() + self._live.now.answer_timeout
        await let_the_answer_come(self._ownership, self._stream_id, deadline)
        if judge_leftover(await self._ownership.stream(self._stream_id), ending):
            return self._steered.take()
        self._steered.lose()
        return b""

    def amend(self, chunk: bytes) -> list[Piece]:
        """What goes on of what was held and the chunk that was just looked at, with what is put into it."""
        data, pieces, at = self._held + chunk, [], 0
        end = len(data) if self._keep is None else self._keep
        for begin, frame in self._own:
            pieces += [Piece(data[at:begin]), given_back(frame)]
            at = begin
        pieces.append(Piece(data[at:end]))
        self._held = data[end:]
        self._begin, self._next, self._keep = self._next, None, None
        self._own.clear()
        return [piece for piece in pieces if piece.data]


def given_back(frame: bytes) -> Piece:
    """The frame that gives a text back, which one page only is to send as its next message."""
    return Piece(frame, (events.LEFTOVER,), 1, once=True)
