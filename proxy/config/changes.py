"""What differs between two sets of settings, by the paths that a person writes."""

from collections.abc import Iterator
from typing import Any

from proxy.config.settings import Settings


def changed(before: Settings, after: Settings) -> dict[str, Any]:
    """The values of ``after``, as JSON has them, that ``before`` has not; by path, such as ``listen.port``."""
    old, new = dict(_flat(before.model_dump())), dict(_flat(after.model_dump()))
    written = dict(_flat(after.model_dump(mode="json")))
    return {path: written[path] for path, value in new.items() if path not in old or old[path] != value}


def _flat(section: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
