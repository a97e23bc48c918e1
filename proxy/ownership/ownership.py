"""Feeds what was seen to the records in the store, and hands the effects on."""

from collections.abc import Callable

from proxy.core.effects import MoveStreams, ShellEffect, Transition
from proxy.core.observations import (
    BackendRestarted,
    CancelSent,
    Observation,
    SessionRotated,
    StartConflicted,
    StreamObservation,
    StreamsAdopted,
    TurnStarted,
)
from proxy.core.records import Ending, SessionRecord, StreamRecord, StreamState
from proxy.core.transitions import apply
from proxy.core.verdicts import CancelVerdict, Forward, Stale, judge_cancel
from proxy.events.guard import Observed
from proxy.reporting import Report
from proxy.store.base import Store

_MOST_ROTATIONS = 64
"""Longest chain of rotations followed; a conversation is compressed a few times in its life."""


class Ownership:
    """What is believed about every session, and the one way to change it.

    Args:
        store: Where the records are.
        clock: Monotonic seconds; the same one that stamps the observations.
        report: Told of every observation.

    Attributes:
        carry_out: Called with each effect; has to be set before the first one, or that is a mistake.
    """

    def __init__(self, store: Store, clock: Callable[[], float], report: Report) -> None:
        self.clock = clock
        self._store = store
        self._report = report
        self.carry_out: Callable[[ShellEffect], None] = _refuse

    async def observe(self, seen: StreamObservation) -> None:
        """Applies an observation to the session that the stream is known to belong to."""
        await self._apply(await self.locate(seen.stream_id), seen)

    async def turn_seen(self, session_id: str, seen: TurnStarted | StartConflicted) -> None:
        """Applies a start's outcome, or an announced turn, to the session that it names."""
        if await self._store.session_of(seen.stream_id) == _nameless(seen.stream_id):
            await self.identify(seen.stream_id, session_id)
        known = await self._store.session_of(seen.stream_id)
        await self._apply(known or session_id, seen)

    async def identify(self, stream_id: str, session_id: str) -> None:
        """A stream whose session was not known turns out to belong to this one."""
        if await self.locate(stream_id) == _nameless(stream_id):
            await self.rotate(_nameless(stream_id), session_id)

    async def rotate(self, old_session_id: str, new_session_id: str) -> None:
        """The conversation goes on under another id, with its owner."""
        await self._apply(old_session_id, SessionRotated(self.clock(), new_session_id))

    async def lose_running(self, at: float) -> None:
        """The backend is another process since `at`: what ran before is lost."""
        for session_id in await self._store.sessions():
            await self._apply(session_id, BackendRestarted(at))

    async def judge_cancel(
        self, stream_id: str, credentials: str, cancel_id: str, *, unended: bool = False
    ) -> CancelVerdict:
        """The verdict on a cancel; Forward is recorded as sent in the same step, so it is given once (P1).

        `unended`: the backend was asked and knows no end of the stream, so that a later turn alone is no reason to
        refuse (F20).
        """
        verdict: CancelVerdict = Forward()

        def judge(record: SessionRecord) -> Transition:
            nonlocal verdict
            verdict = judge_cancel(record, stream_id, credentials)
            if unended and isinstance(verdict, Stale) and not verdict.proven:
                verdict = Forward()
            if isinstance(verdict, Forward):
                return apply(record, CancelSent(self.clock(), stream_id, cancel_id, credentials))
            return Transition(record)

        await self._store.transact(await self.locate(stream_id), judge)
        return verdict

    async def stream(self, stream_id: str) -> StreamRecord | None:
        """What is believed about a stream."""
        return (await self.session(await self.locate(stream_id))).stream(stream_id)

    async def ending(self, stream_id: str) -> Ending | None:
        """How a stream is known to have ended."""
        stream = await self.stream(stream_id)
        ending = stream.ending if stream else None
        return None if ending is Ending.UNKNOWN else ending

    async def owner(self, stream_id: str) -> str | None:
        """The stream that owns the session of that stream now, if one is known."""
        owner = (await self.session(await self.locate(stream_id))).owner
        return owner.stream_id if owner else None

    async def session(self, session_id: str) -> SessionRecord:
        """What is believed about a session, wherever it was moved to."""
        record = await self._read(session_id)
        for _ in range(_MOST_ROTATIONS):
            if record.moved_to is None:
                break
            record = await self._read(record.moved_to)
        return record

    async def busy(self) -> tuple[SessionRecord, ...]:
        """What is believed about every session in which something runs or settles."""
        return await self._store.busy()

    async def live_streams(self) -> tuple[StreamRecord, ...]:
        """Every stream that runs or is being cancelled, as far as is believed."""
        return tuple(s for record in await self.busy() for s in record.streams if s.state is not StreamState.ENDED)

    async def changed(self, known: SessionRecord) -> SessionRecord:
        """The session's record once it is another than `known`; the caller bounds the wait."""
        return await self.session((await self._store.watch(known)).session_id)

    async def locate(self, stream_id: str) -> str:
        """The session whose record holds, or would hold, that stream."""
        known = await self._store.session_of(stream_id)
        return known or (await self.session(_nameless(stream_id))).session_id

    async def session_of(self, stream_id: str) -> str | None:
        """The session of that stream, if it is known."""
        located = await self.locate(stream_id)
        return None if is_nameless(located) else located

    async def _read(self, session_id: str) -> SessionRecord:
        return (await self._store.transact(session_id, Transition)).record

    async def _apply(self, session_id: str, seen: Observation) -> None:
        transition = await self._store.transact(session_id, lambda record: apply(record, seen))
        self._report(Observed(session_id, seen))
        for effect in transition.effects:
            if isinstance(effect, MoveStreams):
                await self._apply(effect.session_id, StreamsAdopted(self.clock(), effect.streams))
            else:
                self.carry_out(effect)


def _refuse(effect: ShellEffect) -> None:
    raise RuntimeError(f"nobody carries out {effect}")


_NAMELESS = "stream:"


def _nameless(stream_id: str) -> str:
    """A session id of our own for a stream whose session is not known yet."""
    return f"{_NAMELESS}{stream_id}"


def is_nameless(session_id: str) -> bool:
    """Whether that is no session of Hermes', but stands for one that is not known yet."""
    return session_id.startswith(_NAMELESS)
