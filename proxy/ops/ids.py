"""Ids as operators see them: session and stream ids are credentials of a kind; their beginning tells them apart."""

from collections.abc import Mapping

_SHOWN = 8
"""Characters shown of a session's or stream's id."""

_IDS = frozenset({"session", "stream", "stream_id", "new_session_id"})
"""The fields of reports and log lines that hold one."""


def shorten(an_id: str) -> str:
    """The beginning of a session's or stream's id."""
    return an_id[:_SHOWN]


def with_short_ids(fields: Mapping[str, object]) -> dict[str, object]:
    """The same fields, in which every session's or stream's id is only begun."""
    if _IDS.isdisjoint(fields):
        return dict(fields)
    return {
        name: shorten(value) if name in _IDS and isinstance(value, str) else value for name, value in fields.items()
    }
