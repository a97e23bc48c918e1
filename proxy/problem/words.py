"""The fields of a log, a trace and the admin listener's answers whose text may be shown.

What is not listed is masked: nobody has looked whether it can hold a secret.
"""

from typing import Final

IDS: Final = frozenset({"session", "stream", "stream_id", "streams", "new_session_id"})
"""Ids of sessions and streams, which are credentials of a kind: only their beginning is shown."""

_OF_ALL: Final = frozenset({"at", "event", "level", "state", "time", "timestamp", "version"})
_OF_TURNS: Final = frozenset(
    {
        "by",
        "call",
        "cancel",
        "cancel_id",
        "ending",
        "events",
        "first",
        "joined",
        "missing",
        "outcome",
        "overdue",
        "reason",
        "relay",
    }
    | {"run", "slot", "slot_freed_by", "start", "step", "verdict", "what", "why"}
)
_OF_REQUESTS: Final = frozenset({"code", "ended_by", "error", "failed", "method", "path"})
_OF_ANSWERS: Final = frozenset({"away_since", "id", "listening", "started", "upstream", "waiting_since"})

SHOWN: Final = _OF_ALL | _OF_TURNS | _OF_REQUESTS | _OF_ANSWERS
"""Text of the proxy's own words, of times, or of addresses; it is looked through for secrets all the same."""
