"""Durations (``500ms``, ``5s``, ``2m``, ``24h``) and sizes (``64KiB``, ``8MiB``).

In a file or the environment the unit is required, as a bare ``30`` does not say of what. In
Python a duration is float seconds and a size int bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

# Nine digits are 31 years in seconds: enough, and never an overflow in a timer.
_FROM_ZERO: Final = "(0|[1-9][0-9]{0,8})"
_FROM_ONE: Final = "([1-9][0-9]{0,8})"


@dataclass(frozen=True)
class _Scale:
    """Units of one quantity, smallest first, as multiples of the smallest."""

    units: Mapping[str, int]
    wanted: str

    def parse(self, text: str) -> int:
        found = re.fullmatch(self.pattern(_FROM_ZERO), text)
        if found is None:
            raise ValueError(f'should be {self.wanted}, not "{text}"')
        return int(found[1]) * self.units[found[2]]

    def format(self, count: int) -> str:
        whole = [unit for unit, size in self.units.items() if count >= size and count % size == 0]
        unit = whole[-1] if whole else next(iter(self.units))
        return f"{count // self.units[unit]}{unit}"

    def pattern(self, count: str) -> str:
        return f"^{count}({'|'.join(self.units)})$"

    def schema(self, count: str) -> dict[str, Any]:
        return {"type": "string", "pattern": self.pattern(count)}

    def refuse_bare(self, value: object, info: ValidationInfo) -> object:
        if info.mode == "json":
            raise ValueError(f"should be {self.wanted}, not {value}")
        return value


_TIME: Final = _Scale({"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}, "a duration such as 500ms, 5s or 2m")
_SIZE: Final = _Scale({"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}, "a size such as 64KiB or 8MiB")


def parse_duration(text: str) -> float:
    """Seconds in a duration such as ``500ms``.

    Raises:
        ValueError: It is not a whole number followed by ms, s, m or h.
    """
    return _TIME.parse(text) / 1000


def format_duration(seconds: float) -> str:
    """Seconds, to the millisecond, in the largest unit that keeps them whole: ``10m``."""
    return _TIME.format(round(seconds * 1000))


def parse_size(text: str) -> int:
    """Bytes in a size such as ``64KiB``.

    Raises:
        ValueError: It is not a whole number followed by B, KiB, MiB or GiB.
    """
    return _SIZE.parse(text)


def format_size(count: int) -> str:
    """Bytes in the largest unit that keeps them whole: ``8MiB``."""
    return _SIZE.format(count)


def _read_duration(value: object, info: ValidationInfo) -> object:
    return parse_duration(value) if isinstance(value, str) else _TIME.refuse_bare(value, info)


def _read_size(value: object, info: ValidationInfo) -> object:
    return parse_size(value) if isinstance(value, str) else _SIZE.refuse_bare(value, info)


Duration = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_TIME.schema(_FROM_ZERO)),
]
"""Seconds, zero allowed: a grace or a gap that may be switched off."""

Timeout = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_TIME.schema(_FROM_ONE)),
]
"""Seconds, more than zero: the limit of a wait, which must have one (P7: bounded)."""

Size = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(_read_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema(_SIZE.schema(_FROM_ONE)),
]
"""Bytes, more than zero."""

Room = Annotated[
    int,
    Field(ge=0),
    BeforeValidator(_read_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema(_SIZE.schema(_FROM_ZERO)),
]
"""Bytes, zero allowed: room for something that may be switched off."""
