"""The lines of a trace, and what may be wrong with one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self, TypeGuard, get_args

from proxy.core.observations import Observation
from proxy.core.verdicts import orphan_grace
from proxy.events.catalogue import KINDS
from proxy.events.event import Event
from proxy.events.guard import Observed

_Ids = Literal["cancel", "cancel_id", "change", "first", "new_session_id", "relay", "run", "session", "start"]
_Streams = Literal["ending", "events", "overdue", "reason", "stream", "stream_id", "streams", "verdict", "what", "why"]
_Answers = Literal["active", "began", "cancelled", "gone", "hosted", "shared", "slot", "stamp", "status", "unnamed"]
_Others = Literal["count", "missing", "part", "seconds", "settings", "time", "took", "upstream"]
Field = _Ids | _Streams | _Answers | _Others
"""The fields that are read; each is one of an event's, or of an observation's."""

_OBSERVATIONS: Final = {kind.__name__: kind for kind in get_args(Observation)}

_COUNTABLE = 1e15
"""Below which every number is: JSON can spell some that cannot be reckoned with."""


class TraceError(Exception):
    """A line that no trace has.

    Attributes:
        number: Which line of those read, from 1.
    """

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number} {why}")
        self.number = number
        self.why = why


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept.

    Attributes:
        promise: `P1` to `P11`.
        sentence: What happened.
        lines: The lines that show it, from 1.
    """

    promise: str
    sentence: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One event.

    Attributes:
        number: Which line of those read, from 1.
        t: Seconds of the proxy's monotonic clock.
        event: Its name.
        fields: The rest. Another version of the proxy may have written more of them, or fewer.
    """

    number: int
    t: float
    event: str
    fields: Mapping[str, Any]

    @classmethod
    def parse(cls, number: int, text: str) -> Self:
        """Reads one line.

        Raises:
            TraceError: it is no JSON object with `t` and `event`.
        """
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            raise TraceError(number, "is not JSON") from None
        if not isinstance(said, dict):
            raise TraceError(number, "is not a JSON object")
        t, event = said.pop("t", None), said.pop("event", None)
        if not _is_number(t) or not isinstance(event, str):
            raise TraceError(number, 'has no "t" in seconds, or no "event"')
        return cls(number, t, event, said)

    @property
    def kind(self) -> type[Event] | None:
        """The event's class; None if another version of the proxy knows it, and this one does not."""
        return KINDS.get(self.event)

    @property
    def seen(self) -> type[Observation] | None:
        """What was observed, as the core names it; None if it is no observation, or one that is not known.

        Raises:
            TraceError: it is one, and does not say which.
        """
        return _OBSERVATIONS.get(self.text("what")) if self.kind is Observed else None

    def value(self, name: Field) -> object:
        """A field, whatever is in it; None if it is missing."""
        return self.fields.get(name)

    def text(self, name: Field) -> str:
        """A field of text.

        Raises:
            TraceError: there is none.
        """
        value = self.value(name)
        if not isinstance(value, str):
            raise TraceError(self.number, f'is {self.event} without a "{name}"')
        return value

    def maybe(self, name: Field) -> str | None:
        """A field of text that may be null or missing."""
        return None if self.value(name) is None else self.text(name)

    def texts(self, name: Field) -> list[str]:
        """A field that lists text.

        Raises:
            TraceError: there is none.
        """
        value = self.value(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise TraceError(self.number, f'is {self.event} without a list of text "{name}"')
        return value

    @property
    def asked(self) -> float:
        """When that was asked for which it tells the answer to, in seconds of the same clock."""
        took = self.value("took")
        return self.t - max(0.0, took) if _is_number(took) else self.t

    def number_of(self, name: Field) -> float | None:
        """A field that is a number; None if it is not."""
        value = self.value(name)
        return value if _is_number(value) else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the promises are measured by: the `ownership` settings of the proxy, in seconds and counts."""

    settle_timeout: float
    stop_timeout: float
    answer_timeout: float
    answer_gap: float
    linger: float
    sessions: float
    forget_after: float

    @property
    def orphan_grace(self) -> float:
        """Seconds that a silent stream whose worker is gone may stay open."""
        return orphan_grace(self.linger)

    @property
    def answering(self) -> float:
        """Seconds for which an accepted cancel may not be told: for its event, and then for its own way (F5)."""
        return self.answer_timeout + self.answer_gap

    @property
    def settling(self) -> float:
        """Seconds for the worker, and then for the answer, which may still be on its way."""
        return self.stop_timeout + self.answering

    @classmethod
    def of(cls, begun: Line) -> Self:
        """Those of a `trace_begun`; other settings in it do not matter here.

        Raises:
            TraceError: one is missing.
        """
        said = begun.value("settings")
        settings = said if isinstance(said, dict) else {}
        for field in fields(cls):
            if not _is_number(settings.get(field.name)):
                raise TraceError(begun.number, f'is trace_begun without the setting "{field.name}"')
        return cls(**{field.name: settings[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a proxy's life a file of its trace belongs."""

    run: str
    part: int
    time: float
    """Seconds since the epoch, when the file was begun."""

    @classmethod
    def of(cls, begun: Line) -> Self:
        """That of a `trace_begun`.

        Raises:
            TraceError: it does not say.
        """
        part, time = begun.value("part"), begun.value("time")
        if not isinstance(part, int) or not isinstance(time, int | float):
            raise TraceError(begun.number, 'is trace_begun without a "part" and a "time"')
        return cls(begun.text("run"), part, time)

    def follows(self, before: "Place | None") -> bool:
        """Whether nothing is missing between the two."""
        return before is not None and (self.run, self.part) == (before.run, before.part + 1)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _COUNTABLE
