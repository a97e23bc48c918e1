"""Telling how something gets on: one line that is written over on a terminal, else a line for each change."""

from collections.abc import Callable

_CLEAR = "\r\x1b[K"
"""Back to the beginning of the line, and erase it (ECMA-48)."""


class Progress:
    """Lines about what is waited for.

    Args:
        write: Writes a text as it is.
        is_terminal: Whether lines can be written over.
    """

    def __init__(self, write: Callable[[str], None], *, is_terminal: bool) -> None:
        self._write = write
        self._is_terminal = is_terminal
        self._said: object = None

    def show(self, line: str, state: object) -> None:
        """How it is now; `state` is the part of `line` whose change is worth a line of its own."""
        if self._is_terminal:
            self._write(f"{_CLEAR}{line}")
        elif state != self._said:
            self._write(f"{line}\n")
        self._said = state

    def say(self, line: str) -> None:
        """What is worth a line in any case, in place of what was shown."""
        clear = _CLEAR if self._is_terminal and self._said is not None else ""
        self._said = None
        self._write(f"{clear}{line}\n")
