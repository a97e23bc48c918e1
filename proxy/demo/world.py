"""Everything that a Hermes process knows: who runs, who is being cancelled, what a Stop does.

Hermes keeps two tables, and most facts come from their disagreement: ``streams`` (what can be
subscribed to live, and cancelled) loses a cancelled stream at once, ``workers`` (what still
runs) only when its thread has unwound (F1 to F4).
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from proxy.demo.habits import Fate, Faults, Mode, Pace, Release
from proxy.demo.sessions import UNTITLED, Session, Turn
from proxy.demo.streams import Frame, Stream, Topic

SESSION_LIMIT = 512
JOURNALS_LIMIT = 2048


class World:
    """Everything that a Hermes process knows about sessions and turns, and ``remote``, of which it does not (F20)."""

    def __init__(self, habits: Release, pace: Pace, clock: Callable[[], float], mode: Mode = Mode.LOCAL) -> None:
        self.habits = habits
        self.mode = mode
        self.pace = pace
        self._faults = Faults()
        self._unanswered = 0
        self._faults_changed = asyncio.Event()
        self.clock = clock
        self.started_at = clock()
        self.last_run_finished_at: float | None = None
        self.sessions: OrderedDict[str, Session] = OrderedDict()
        self.streams: dict[str, Turn] = {}
        self.workers: dict[str, Turn] = {}
        self.remote: dict[str, Turn] = {}
        self.journals: OrderedDict[str, Stream] = OrderedDict()
        self.list_events = Topic()
        self._list_version = 0

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose, from now on."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._unanswered = 0
        self._faults_changed.set()
        self._faults_changed = asyncio.Event()

    async def until_unhung(self) -> None:
        """Returns once ``Faults.hang`` is not, or no longer, set."""
        while self._faults.hang:
            await self._faults_changed.wait()

    def leaves_unanswered(self) -> bool:
        """Whether this cancel is one of those that ``Faults.unanswered`` means."""
        self._unanswered += 1
        return self._unanswered <= self._faults.unanswered

    async def until_answering(self) -> None:
        """Returns once ``Faults.unanswered`` is no longer set."""
        while self._faults.unanswered:
            await self._faults_changed.wait()

    def new_session(self, parent: Session | None = None) -> Session:
        """A session, or the ephemeral session of a side stream, which starts with its parent's past."""
        now = self.clock()
        session = Session(secrets.token_hex(6), now, updated_at=now)
        if parent:
            session.messages = list(parent.messages)
        self.sessions[session.session_id] = session
        self._forget_oldest(self.sessions, SESSION_LIMIT, self._idle_sessions())
        return session

    def unlisted_turn(self, session: Session, prompt: str) -> Turn:
        """A turn of which nobody else is told."""
        return self._new_turn(session, prompt, 0.0)

    def open_turn(self, session: Session, prompt: str, *, lag: float = 0.0, **marks: Any) -> Turn | None:
        """Registers a turn; ``None`` if one runs, or must be waited for (F1, F2).

        The caller runs the worker.

        Args:
            session: Where it runs.
            prompt: What it answers.
            lag: Seconds since the start was taken up (F15).
            marks: What else is known of the turn.
        """
        turn = self._new_turn(session, prompt, lag, **marks)
        if self.mode is Mode.RUNNER:
            self.remote[turn.stream_id] = turn
            self._keep_journal(turn)
            return turn
        if self.blocking_stream(session):
            return None
        elder = self._unwinding(session)
        turn.fate = self._fate if elder else self._poison(session)
        if elder and turn.fate is Fate.LEAK:
            elder.heir = turn
        self._register(turn)
        return turn

    def _new_turn(self, session: Session, prompt: str, lag: float, **marks: Any) -> Turn:
        stream_id, frames_carry_ids = secrets.token_hex(16), self.habits.frames_carry_ids
        stream = Stream(stream_id, session.session_id, frames_carry_ids=frames_carry_ids)
        phase = "gateway-request" if self.mode is Mode.GATEWAY else "running"
        now = self.clock()
        return Turn(stream, session, prompt, now, now - lag, phase=phase, **marks)

    @property
    def _fate(self) -> Fate | None:
        """What a start meets while a cancelled worker unwinds; on v0.51 a gateway's turn has none to meet (F19)."""
        fate = self.faults.fate or self.habits.fate
        return None if self.mode is Mode.GATEWAY and fate is not Fate.REFUSED else fate

    @staticmethod
    def _poison(session: Session) -> Fate | None:
        """A Stop that was left over: the turn dies as one with an elder does, and the next is well again."""
        poisoned, session.poisoned = session.poisoned, False
        return Fate.LEAK if poisoned else None

    def _register(self, turn: Turn) -> None:
        session = turn.session
        session.active_stream_id = turn.stream_id
        session.pending_user_message = turn.prompt
        session.pending_started_at = session.updated_at = turn.pending_since
        if session.title == UNTITLED:
            session.title = turn.prompt[:64]
        self.streams[turn.stream_id] = self.workers[turn.stream_id] = turn
        self._keep_journal(turn)
        self.announce("session_new", session.session_id)

    def _keep_journal(self, turn: Turn) -> None:
        self.journals[turn.stream_id] = turn.stream
        idle = [key for key in self.journals if key not in self.workers and key not in self.remote]
        self._forget_oldest(self.journals, JOURNALS_LIMIT, idle)

    @property
    def tool_phase(self) -> str:
        """What ``/health`` says of a turn that uses a tool."""
        return "gateway-tool" if self.mode is Mode.GATEWAY else "running"

    def audible(self, stream_id: str) -> Turn | None:
        """The turn whose events can be heard live."""
        return self.streams.get(stream_id) or self.remote.get(stream_id)

    def blocking_stream(self, session: Session) -> str | None:
        """The stream that a 409 would name, ``None`` if a turn may start."""
        if session.active_stream_id in self.streams:
            return session.active_stream_id
        elder = self._unwinding(session)
        if elder and self._fate is Fate.REFUSED and self.clock() - (elder.cancelled_at or 0) < self.habits.fence_limit:
            return elder.stream_id
        return None

    def _unwinding(self, session: Session) -> Turn | None:
        for turn in self.workers.values():
            if turn.session is session and turn.cancelled:
                return turn
        return None

    def cancel(self, stream_id: str) -> tuple[bool, Turn | None]:
        """A Stop: whether it is accepted, and the turn whose ``cancel`` event is now due (F4)."""
        turn = self.streams.pop(stream_id, None)
        if turn is None:
            return self._cancel_again(stream_id), None
        turn.stop(self.clock())
        if turn.session.active_stream_id != stream_id:
            return True, None
        if turn.listens or self.habits.cancels_by_worker:
            self.write_cancel(turn)
        return True, None if self.faults.mute_cancel else turn

    def _cancel_again(self, stream_id: str) -> bool:
        """F14: later releases pass every further Stop on, for as long as the worker is there."""
        turn = self.workers.get(stream_id)
        if turn is None or not self.habits.cancels_by_worker:
            return False
        turn.stop(self.clock())
        return True

    def write_cancel(self, turn: Turn) -> None:
        """A Stop settles the session; the oldest release needs an agent for that, and else leaves it to the worker."""
        session, before = turn.session, len(turn.session.messages)
        session.say("user", turn.prompt)
        if turn.spoken:
            session.say("assistant", "".join(turn.spoken).strip(), _partial=True)
        marker = "**Task cancelled:** Task cancelled."
        session.say("assistant", marker, _error=True, provider_details="Task cancelled.")
        turn.written = session.messages[before:]
        session.settle()

    def end_worker(self, turn: Turn) -> None:
        """The worker's thread is gone; what is still to be written loses its ids (F11)."""
        self.streams.pop(turn.stream_id, None)
        if turn.session.active_stream_id == turn.stream_id:
            turn.session.settle()
        if self.workers.pop(turn.stream_id, None):
            self.last_run_finished_at = self.clock()
            turn.stream.newest_id = None

    def rotate(self, session: Session) -> tuple[str, str]:
        """Compression: the session goes on under a new id. The old and the new id.

        The old id stays behind as a snapshot of what was said before.
        """
        old_id, new_id = session.session_id, secrets.token_hex(6)
        snapshot = Session(old_id, session.created_at, session.title, messages=list(session.messages))
        self.sessions[old_id] = snapshot
        session.session_id = new_id
        self.sessions[new_id] = session
        return old_id, new_id

    def announce(self, reason: str, session_id: str) -> None:
        """Tells ``/api/sessions/events`` that the list of sessions has changed."""
        self._list_version += 1
        data = {"type": "sessions_changed", "version": self._list_version, "reason": reason}
        named = {"session_id": session_id} if self.habits.names_changes else {}
        self.list_events.publish(Frame("sessions_changed", {**data, **named}))

    def lose_everything_running(self) -> None:
        """A restart: sessions and journals are on disk, streams and workers were not."""
        for turn in tuple(self.workers.values()):
            turn.session.settle()
        self.streams.clear()
        self.workers.clear()
        self.remote.clear()
        self.started_at = self.clock()

    def _idle_sessions(self) -> list[str]:
        return [key for key, session in self.sessions.items() if not session.active_stream_id]

    @staticmethod
    def _forget_oldest(table: OrderedDict[str, Any], limit: int, idle: Iterable[str]) -> None:
        for key in tuple(idle)[: max(0, len(table) - limit)]:
            del table[key]
