"""Session records in this process's memory, bounded by age and count."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from proxy.core.effects import Transition
from proxy.core.records import SessionRecord
from proxy.store.base import Change


class MemoryStore:
    """A `Store` in two dicts: the busy records, which are never forgotten, and the idle ones, oldest first.

    Args:
        clock: Monotonic seconds.
        sessions: Most idle records kept (P7: every buffer has a size).
        forget_after: Seconds after its last change at which an idle record is forgotten.

    Attributes:
        most, forget_after: The same two; a change holds from the next record that is written.
    """

    def __init__(self, clock: Callable[[], float], *, sessions: int, forget_after: float) -> None:
        self._clock = clock
        self.most = sessions
        self.forget_after = forget_after
        self._busy: dict[str, SessionRecord] = {}
        self._idle: OrderedDict[str, tuple[float, SessionRecord]] = OrderedDict()
        self._session_of: dict[str, str] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}

    async def transact(self, session_id: str, change: Change) -> Transition:
        """See `Store.transact`. No await lies between reading and writing, so nothing comes in between."""
        before = self._read(session_id)
        transition = change(before)
        if transition.record != before:
            self._write(before, transition.record)
        return transition

    async def session_of(self, stream_id: str) -> str | None:
        """See `Store.session_of`."""
        return self._session_of.get(stream_id)

    async def sessions(self) -> tuple[str, ...]:
        """See `Store.sessions`."""
        return (*self._busy, *self._idle)

    async def busy(self) -> tuple[SessionRecord, ...]:
        """See `Store.busy`."""
        return tuple(self._busy.values())

    async def watch(self, known: SessionRecord) -> SessionRecord:
        """See `Store.watch`."""
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(known.session_id, set())
        watchers.add(changed)
        try:
            while (record := self._read(known.session_id)) == known:
                changed.clear()
                await changed.wait()
            return record
        finally:
            watchers.discard(changed)
            if not watchers:
                del self._watchers[known.session_id]

    def _read(self, session_id: str) -> SessionRecord:
        if session_id in self._busy:
            return self._busy[session_id]
        _, record = self._idle.get(session_id, (0.0, None))
        return record or SessionRecord(session_id)

    def _write(self, before: SessionRecord, after: SessionRecord) -> None:
        session_id = after.session_id
        self._busy.pop(session_id, None)
        self._idle.pop(session_id, None)
        self._unindex(before)
        if after.busy:
            self._busy[session_id] = after
        elif after != SessionRecord(session_id):
            self._idle[session_id] = (self._clock(), after)
        self._session_of.update((stream.stream_id, session_id) for stream in after.streams)
        self._forget()
        for changed in self._watchers.get(session_id, ()):
            changed.set()

    def _unindex(self, record: SessionRecord) -> None:
        for stream in record.streams:
            if self._session_of.get(stream.stream_id) == record.session_id:
                del self._session_of[stream.stream_id]

    def _forget(self) -> None:
        oldest_kept = self._clock() - self.forget_after
        while self._idle:
            written, record = next(iter(self._idle.values()))
            if len(self._idle) <= self.most and written >= oldest_kept:
                return
            del self._idle[record.session_id]
            self._unindex(record)
