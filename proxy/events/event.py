"""What every event has: a name, and fields."""

import re
from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar

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
        return {field.name: _as_json(getattr(self, field.name)) for field in fields(self)}


def _as_json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
