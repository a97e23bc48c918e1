"""What was steered into one turn, until it is seen what became of it (F18: an accepted steer may be lost)."""

from dataclasses import dataclass

_MOST_TOOLS = 1024
"""Tools of one turn that are known again when a relay that joins late is shown them once more."""


@dataclass(frozen=True, slots=True)
class Steer:
    """One text that the backend accepted."""

    session_id: str
    """The session, as the page that sent it calls it."""
    text: str
    after: int
    """How many of the turn's tools had been seen to end when it was accepted."""


class Steered:
    """The accepted texts of one turn that have not been seen to reach the model, or to come back.

    A text reaches the model with the result of the next tool. Several relays tell of the same tool, and one that joins
    late tells of old ones: only a tool that nobody had told of when a text was accepted has taken it along. One that
    ends in that very moment may have, too; then it is given back rather than lost.

    Attributes:
        waiting: These texts, in the order in which they were accepted.
    """

    def __init__(self) -> None:
        self.waiting: tuple[Steer, ...] = ()
        self._tools: dict[int, int] = {}
        self._count = 0

    def remember(self, session_id: str, text: str) -> None:
        """One more was accepted."""
        self.waiting = (*self.waiting, Steer(session_id, text, self._count))

    def tool_ended(self, identity: int) -> tuple[Steer, ...]:
        """A relay tells of the end of a tool; the texts that it took to the model."""
        number = self._number(identity)
        return self._keep(tuple(steer for steer in self.waiting if steer.after >= number))

    def handed_back(self, text: str) -> tuple[Steer, ...]:
        """The backend hands `text` back itself, which joins several by line ends; the texts that it consists of."""
        rest, kept = f"\n{text}\n", list(self.waiting)
        for steer in sorted(self.waiting, key=lambda steer: -len(steer.text)):
            if (line := f"\n{steer.text}\n") in rest:
                rest = rest.replace(line, "\n", 1)
                kept.remove(steer)
        return self._keep(tuple(kept))

    def take(self) -> tuple[Steer, ...]:
        """All of them, for whoever gives them back."""
        return self._keep(())

    def put_back(self, steers: tuple[Steer, ...]) -> None:
        """They could not be given back after all."""
        self.waiting = (*steers, *self.waiting)

    def _keep(self, kept: tuple[Steer, ...]) -> tuple[Steer, ...]:
        """The others."""
        before, self.waiting = list(self.waiting), kept
        for steer in kept:
            before.remove(steer)
        return tuple(before)

    def _number(self, identity: int) -> int:
        """The number of that tool, counted from one in the order in which they were first told of."""
        if identity not in self._tools:
            self._count += 1
            self._tools[identity] = self._count
            if len(self._tools) > _MOST_TOOLS:
                del self._tools[next(iter(self._tools))]
        return self._tools[identity]
