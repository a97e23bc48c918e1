"""Sessions, and the turns that run in them."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from proxy.demo.habits import Fate
from proxy.demo.streams import Stream, Topic

MESSAGE_LIMIT = 1000
UNTITLED = "Untitled"
WORKSPACE = "/workspace"
NOT_FOUND = "Session not found"

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine as a task that the backend owns."""


@dataclass
class Session:
    """One conversation.

    Attributes:
        updated_at: When it was last saved; a turn saves it when it starts, and again when its agent listens (F13).
        poisoned: Its agent is still told to stop, though nothing runs (F1).
        has_agent: Hermes keeps the agent that its first turn has made (F18).
    """

    session_id: str
    created_at: float
    title: str = UNTITLED
    title_generated: bool = False
    updated_at: float = 0.0
    has_agent: bool = False
    poisoned: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    active_stream_id: str | None = None
    pending_user_message: str | None = None
    pending_started_at: float | None = None
    goal: dict[str, str] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    background_results: list[dict[str, Any]] = field(default_factory=list)
    channel: Topic = field(default_factory=Topic)
    approvals: Topic = field(default_factory=Topic)
    clarifications: Topic = field(default_factory=Topic)

    def say(self, role: str, content: str, **extra: Any) -> None:
        """Appends a message, at the cost of the oldest when there are too many."""
        self.updated_at = time.time()
        self.messages.append({"role": role, "content": content, "timestamp": self.updated_at, **extra})
        del self.messages[:-MESSAGE_LIMIT]

    def remove_last_turn(self) -> list[dict[str, Any]]:
        """Takes out the last question and what follows it; empty if there is none."""
        asked = [index for index, message in enumerate(self.messages) if message["role"] == "user"]
        if not asked:
            return []
        removed = self.messages[asked[-1] :]
        del self.messages[asked[-1] :]
        return removed

    def settle(self) -> None:
        """No turn runs, and none is pending."""
        self.active_stream_id = None
        self.pending_user_message = None
        self.pending_started_at = None


@dataclass(frozen=True)
class BackgroundTask:
    """A ``/api/background`` task, and where its result is left for the session that asked."""

    task_id: str
    results: list[dict[str, Any]]


@dataclass(eq=False)
class Turn:
    """One turn: its stream, and the worker that runs it.

    Attributes:
        listens: Its agent has been made, and hears a Stop from now on (F13).
        pending_since: When its start was taken up; `/health` counts from a little later (F15).
        cancelled_at: The last accepted Stop, by the backend's clock.
        last_stop_at: The same by ``time.monotonic``.
        stops: Set by every Stop, cleared by whoever hears it.
        written: What its Stop wrote into the session (F17).
        tool_result: What its tool has said, which no one has written yet.
        heir: The next turn of the session, if it took over this one's worker (F1).
    """

    stream: Stream
    session: Session
    prompt: str
    started_at: float
    pending_since: float
    fate: Fate | None = None
    ephemeral: bool = False
    task: BackgroundTask | None = None
    phase: str = "running"
    cancelled_at: float | None = None
    cancelled: bool = False
    listens: bool = False
    last_stop_at: float = 0.0
    stops: asyncio.Event = field(default_factory=asyncio.Event)
    heir: "Turn | None" = None
    spoken: list[str] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    tool_result: str | None = None
    steers: list[str] = field(default_factory=list)

    @property
    def stream_id(self) -> str:
        """The stream's id, which is the turn's as well."""
        return self.stream.stream_id

    def put(self, event: str, data: dict[str, Any]) -> None:
        """Emits an event, unless the turn was cancelled: then only its end is heard."""
        if not self.cancelled or event in {"cancel", "error"}:
            self.stream.emit(event, data)

    def take_steers(self) -> list[str]:
        """What was steered since the last tool (F18)."""
        taken, self.steers = self.steers, []
        return taken

    def stop(self, at: float) -> None:
        """A Stop was accepted; whether the worker hears of it is another matter (F13)."""
        self.cancelled = True
        self.cancelled_at = at
        self.last_stop_at = time.monotonic()
        self.stops.set()
