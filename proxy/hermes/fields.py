"""Reading JSON objects whose shape nobody promises: what is not as expected is not there (P8)."""

import json
from typing import Any

_COUNTABLE = 1e12
"""Below which every number of Hermes' is: JSON can spell some that cannot be reckoned with."""


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; an empty one if it is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def text(fields: dict[str, Any], name: str) -> str | None:
    """A field of text that is not empty."""
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def number(fields: dict[str, Any], name: str) -> float | None:
    """A field that is a number."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_COUNTABLE < value < _COUNTABLE:
        return None
    return value
