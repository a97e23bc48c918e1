"""What the guard needs of a store."""

from collections.abc import Callable
from typing import Protocol

from proxy.core.effects import Transition
from proxy.core.records import SessionRecord

Change = Callable[[SessionRecord], Transition]
"""A pure function; a store may call it more than once, and keeps the last call's result."""


class Store(Protocol):
    """Session records by session id, and an index of their streams."""

    async def transact(self, session_id: str, change: Change) -> Transition:
        """Reads the record (an empty one if there is none), applies `change`, and writes its record.

        Nobody else's write comes in between. Whatever `change` raises is passed on, and nothing is written.
        """

    async def session_of(self, stream_id: str) -> str | None:
        """The session whose record holds that stream."""

    async def sessions(self) -> tuple[str, ...]:
        """The sessions that have a record."""

    async def busy(self) -> tuple[SessionRecord, ...]:
        """The records in which a stream runs or settles."""

    async def watch(self, known: SessionRecord) -> SessionRecord:
        """The session's record as soon as it differs from `known`; the caller bounds the wait."""
