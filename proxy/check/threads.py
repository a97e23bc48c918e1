"""How many of Hermes' threads its page's tabs take, with the proxy in front of it (F7)."""

from dataclasses import dataclass
from typing import Final

from proxy.hermes.releases import Span

_ASKING: Final = Span(until=(0, 51, 346))
"""Releases whose page opens channels for approvals and questions while a turn runs."""

_POLLING: Final = Span(first=(0, 51, 350))
"""Releases whose page asks for these now and then instead."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads that are held by the event streams of tabs which show a turn that runs.

    Attributes:
        first_tab: By the first tab: the turn's stream, the list of sessions, and whatever cannot be shared.
        further_tab: By each further tab of that browser.
    """

    first_tab: int
    further_tab: int

    def __str__(self) -> str:
        further = self.further_tab or "none"
        return f"a running turn takes {self.first_tab} with one tab, and {further} more with each further one"


def threads(release: Span, *, is_shared: bool) -> Threads | None:
    """What tabs of that release's page take; None where that is not known.

    Args:
        release: What Hermes is.
        is_shared: Whether browsers share upstreams (`relay.log`).
    """
    if _ASKING.holds_for(release):
        return Threads(4, 2 if is_shared else 4)
    if _POLLING.holds_for(release):
        return Threads(2, 0 if is_shared else 2)
    return None
