"""What every event has: a name, and fields."""

import re
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from types import NoneType
from typing import ClassVar, Final

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as it is reported.

    The class and its fields are what a trace and a log show: `CancelSaid(stream, ...)` is `cancel_said` with a field
    `stream`. A field never holds a secret, or what somebody wrote in a chat.

    Attributes:
        name: What a trace and a log call it.
    """

    name: ClassVar[str] = "event"

    def __init_subclass__(cls) -> None:
        cls.name = _WORD.sub("_", cls.__name__).lower()

    def fields(self) -> dict[str, object]:
        """The fields in their order, as JSON values."""
        told: dict[str, object] = {}
        for name in _names(type(self)):  # type: ignore[arg-type]  # mypy takes the hash of an instance for its class'
            value = getattr(self, name)
            told[name] = value if type(value) in _PLAIN else _as_json(value)
        return told


_PLAIN: Final[frozenset[type]] = frozenset({str, int, float, bool, NoneType})
"""Types of fields that are JSON values already. Nearly all are, and each request logs a dozen of them."""


@cache
def _names(kind: type[Event]) -> tuple[str, ...]:
    """The names of a class' fields, remembered, since `dataclasses.fields` is slow."""
    return tuple(field.name for field in fields(kind))


def _as_json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
