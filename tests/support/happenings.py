"""Events for tests that care for a few of their fields only."""

from collections.abc import Mapping
from enum import Enum
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from proxy.core.observations import Observation, StreamSpoke
from proxy.events.catalogue import KINDS
from proxy.events.event import Event
from proxy.events.guard import Subject

_NOTHING: Mapping[Any, object] = {
    str: "",
    int: 0,
    float: 0.0,
    bool: False,
    tuple: (),
    Mapping: {},
    Subject: {},
    Observation: StreamSpoke(0.0, ""),
}


def happened(name: str, **said: object) -> Event:
    """The event of that name: JSON values for some of its fields, and nothing in particular in all others."""
    kind = KINDS[name]
    hints = {field: hint for field, hint in get_type_hints(kind).items() if field in kind.__dataclass_fields__}
    fields = {field: hint for field, hint in hints.items() if field != "name"}
    assert said.keys() <= fields.keys(), said.keys() - fields.keys()
    values = {field: _value(said[field], hint) if field in said else _nothing(hint) for field, hint in fields.items()}
    return kind(**values)


def _value(said: object, hint: Any) -> object:
    """A JSON value as a field of that type has it."""
    if isinstance(said, list):
        return tuple(said)
    enums = [each for each in (hint, *get_args(hint)) if isinstance(each, type) and issubclass(each, Enum)]
    return enums[0](said) if enums and said is not None else said


def _nothing(hint: Any) -> object:
    if NoneType in get_args(hint):
        return None
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    return _NOTHING[hint if hint in _NOTHING else get_origin(hint)]
