"""All events there are, by the names that a trace and a log show."""

from collections.abc import Mapping
from types import ModuleType
from typing import Final

from proxy.events import cancels, guard, process, relays, requests, starts, steers
from proxy.events.event import Event

_THEMES: Final = (cancels, starts, steers, relays, requests, guard, process)


def _kinds_in(module: ModuleType) -> tuple[type[Event], ...]:
    own = (each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__)
    return tuple(each for each in own if issubclass(each, Event) and not each.__name__.startswith("_"))


KINDS: Final[Mapping[str, type[Event]]] = {kind.name: kind for theme in _THEMES for kind in _kinds_in(theme)}
"""The class of each name; what only gathers the fields of several has no name of its own."""
