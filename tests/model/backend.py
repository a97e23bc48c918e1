"""A model of the backend: what is really so, whatever the proxy believes."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.core.records import Ending


@dataclass
class Turn:
    """One turn's run, and its worker."""

    stream_id: str
    session_id: str
    number: int
    """Turns are numbered in the order in which they really began."""
    running: bool = True
    worker: bool = True
    deaf: bool = False
    """Its agent does not listen yet, so that the first cancel is accepted and lost (F13, F14)."""
    cancelling: bool = False
    ending: Ending | None = None
    journal: Ending | None = None
    """What its status says of its end; nothing while a cancelled worker has not unwound."""


class Backend:
    """A conversation, its turns and its side streams.

    Args:
        fences: Whether a start is refused while a cancelled worker holds its slot (F2), or accepted all the same (F1).
        repeats: Whether a second cancel finds the worker that a first one left behind (F14), or is answered `false`.
        runner: Whether a runner of its own has the turns: it begins them side by side, refuses every cancel, and
            outlives the backend (F20).
    """

    def __init__(self, *, fences: bool, repeats: bool, runner: bool) -> None:
        self.fences = fences
        self.repeats = repeats
        self.runner = runner
        self.turns: dict[str, Turn] = {}
        self.session_id = "s"
        self._numbers = 0
        self._before: dict[str, str] = {}

    def start(self, session_id: str) -> Turn | str:
        """The new turn, or the stream that a 409 names."""
        for turn in self.turns.values() if not self.runner else ():
            if turn.session_id == session_id and (turn.running or (self.fences and turn.worker)):
                return turn.stream_id
        self._numbers += 1
        turn = Turn(f"x{self._numbers}", session_id, self._numbers)
        self.turns[turn.stream_id] = turn
        return turn

    def start_aside(self) -> Turn:
        """A side stream, in an ephemeral session of its own."""
        turn = self.start(f"side{self._numbers}")
        assert isinstance(turn, Turn)
        return turn

    def cancel(self, stream_id: str) -> bool:
        turn = self.turns.get(stream_id)
        if turn is None or not turn.worker or self.runner:
            return False
        if turn.cancelling:
            turn.deaf = turn.deaf and not self.repeats
            return self.repeats
        turn.running, turn.cancelling, turn.ending = False, True, turn.ending or Ending.CANCELLED
        return True

    def finish(self, turn: Turn, ending: Ending, *, tidy: bool) -> None:
        """The turn ends of itself; while its worker is there a cancel is answered `true` all the same (F4)."""
        turn.running, turn.worker = False, not tidy
        turn.ending = turn.journal = ending

    def unwind(self, turn: Turn) -> None:
        """The worker of a cancelled turn notices, or comes to its end; at last it is gone."""
        turn.worker, turn.journal = False, turn.ending

    def restart(self) -> None:
        for turn in self.turns.values():
            if (turn.running or turn.worker) and not self.runner:
                turn.running = turn.worker = False
                turn.ending = turn.ending or Ending.LOST

    def compress(self, turn: Turn, *, back: bool) -> tuple[str, str]:
        """Moves the turn's conversation to another id, or back to its last one; gives the old id and the new."""
        old = turn.session_id
        new = self._before.get(old) if back else None
        self._numbers += 1
        new = new or f"{old.partition('.')[0]}.{self._numbers}"
        self._before[new] = old
        for other in self.turns.values():
            if other.session_id == old:
                other.session_id = new
        self.session_id = new
        return old, new
