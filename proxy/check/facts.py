"""The facts about Hermes, the releases for which each holds, and what the proxy does about it."""

from dataclasses import dataclass
from typing import Final

from proxy.hermes.releases import Span

ALL: Final = Span()
REFUSING: Final = (0, 51, 327)
"""The first release to refuse a start until the cancelled worker has unwound (F2, F3)."""
REPEATABLE: Final = (0, 51, 237)
"""The first release in which a cancel finds the worker as long as it is there (F14)."""
NAMELESS: Final = (0, 51, 763)
"""The first release whose `/health` does not name streams (F15)."""
HAS_THREADS: Final = Span(first=(0, 51, 748))
"""Those that serve requests by a bounded number of threads (F7)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact.

    Attributes:
        number: As docs/how-it-decides.md lists it.
        releases: For which it holds.
        says: What Hermes does.
        remedy: What the proxy does about it.
    """

    number: str
    releases: Span
    says: str
    remedy: str


FACTS: Final = (
    Fact(
        "F1",
        Span(until=REFUSING),
        "a start right after a cancel shares the cancelled turn's fate",
        "holds it until the old worker has unwound",
    ),
    Fact(
        "F2",
        Span(first=REFUSING),
        "a start right after a cancel is refused with 409",
        "tries it again, and passes on only a real 409",
    ),
    Fact("F3", ALL, "only /health shows whether a worker has unwound", "asks it while a cancel settles"),
    Fact("F4", ALL, "a second Stop may be answered otherwise than the first", "answers all of a caller's alike"),
    Fact("F5", ALL, "the cancel event and the cancel's answer race", "has the event arrive first"),
    Fact("F6", ALL, "not every stream is closed when it is over", "closes it, with an ending of its own"),
    Fact(
        "F7",
        HAS_THREADS,
        "128 requests are served at once, streams included",
        "keeps lanes apart, so that a Stop gets through",
    ),
    Fact("F8", ALL, "a refused body is read as the next request", "never uses such a connection again"),
    Fact("F9", ALL, "whoever seems to be local is trusted", "refuses those calls to whoever is not"),
    Fact("F10", ALL, "a POST's Origin must match its Host", "passes Host on unchanged"),
    Fact("F11", ALL, "a cancel event repeats an id", "goes by events, never by ids"),
    Fact("F12", ALL, "who joins without a cursor misses what came before", "keeps what passes for whoever comes back"),
    Fact("F13", ALL, "a turn's first moments lose its cancel", "has the cancel wait until its agent listens"),
    Fact("F14", Span(until=REPEATABLE), "a cancel has one shot", "looks for the worker, and says if it stays"),
    Fact("F15", Span(first=NAMELESS), "/health does not name streams", "knows a worker by its beginning and its mark"),
    Fact("F16", ALL, "a silent request to the model may outlast its Stop", "has the cancel avoid its beginning"),
    Fact("F17", ALL, "a worker that unwinds undoes what changes its session", "holds changes until it is gone"),
    Fact("F18", ALL, "what is steered too late is lost without a word", "gives it back"),
    Fact("F19", ALL, "through a gateway a Stop may not take", "goes on with it, and says so"),
    Fact("F20", ALL, "only its events tell of an external runner's turn", "takes no refusal and no start for its end"),
    Fact("F21", ALL, "not every goal starts a turn", "holds only those that do"),
    Fact("F22", ALL, "a second save of the session shows that its agent listens", "lets the cancel go then"),
    Fact("F23", Span(first=REPEATABLE), "a cancel too many kills the next turn", "sends none while a worker unwinds"),
)
