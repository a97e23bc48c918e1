"""What a prompt asks of the scripted model.

``n=40`` tokens, ``d=0.1`` seconds between them, ``tag=A`` for the text ``A0 A1 A2 …``, so that text
that leaks from one turn into another can be told apart. ``first=3`` keeps the model silent for so
many seconds at first, ``quiet=9`` in the middle, and ``tool=2`` makes it use a tool for so many.
Where an option stands twice, the last one counts. The word ``compress`` makes the context be
compressed at the end, ``fail`` makes the provider fail.
"""

import re
from dataclasses import dataclass

from proxy.demo.habits import Pace

TOKENS_LIMIT = 100_000
_SECONDS = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Script:
    """A prompt's options.

    Attributes:
        tokens: How many.
        delay: Seconds between two tokens.
        first: Seconds from the turn's start to its first token, if the agent listens by then.
        tag: What every token begins with.
        tool: Seconds that a tool runs before the text, ``None`` without one.
        quiet: Seconds of silence in the middle of the text.
        fails: The provider fails at the end.
        compresses: The context is compressed at the end.
    """

    tokens: int
    delay: float
    first: float
    tag: str
    tool: float | None
    quiet: float
    fails: bool
    compresses: bool

    def token(self, index: int) -> str:
        """The text of one token."""
        return f"{self.tag}{index} "

    def pause(self, index: int) -> float:
        """Seconds of silence after a token."""
        return self.delay + (self.quiet if index == self.tokens // 2 else 0.0)

    def seconds_left(self, said: int) -> float:
        """Seconds that the rest of the text takes, once so many tokens have been said."""
        quiet = self.quiet if said <= self.tokens // 2 else 0.0
        return (self.tokens - said) * self.delay + quiet


def read_script(prompt: str, pace: Pace) -> Script:
    """The script that a prompt asks for; what it leaves open is up to the pace."""
    tool = _option(prompt, "tool", _SECONDS)
    return Script(
        tokens=min(TOKENS_LIMIT, int(_option(prompt, "n", r"\d+") or 20)),
        delay=float(_option(prompt, "d", _SECONDS) or pace.token),
        first=float(_option(prompt, "first", _SECONDS) or pace.first_token),
        tag=_option(prompt, "tag", r"\w+") or "T",
        tool=float(tool) if tool else None,
        quiet=float(_option(prompt, "quiet", _SECONDS) or 0),
        fails=_has_word(prompt, "fail"),
        compresses=_has_word(prompt, "compress"),
    )


def _option(prompt: str, name: str, pattern: str) -> str:
    values: list[str] = re.findall(rf"\b{name}=({pattern})", prompt)
    return values[-1] if values else ""


def _has_word(prompt: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", prompt) is not None
