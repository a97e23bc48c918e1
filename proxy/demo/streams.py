"""Streams: a turn's journal, and the channel that carries it to its subscribers.

The two are apart as in Hermes: the journal outlives the turn and is what a late or resumed
subscriber is given; the channel carries only what happens from now on, but keeps for its first
subscriber what nobody has heard yet (F12).
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

JOURNAL_LIMIT = 20_000
"""Events kept of one stream; a turn that says more loses its oldest."""
QUEUE_LIMIT = 8192
"""Frames kept for one subscriber, or for the first to come; the oldest are dropped."""

TERMINAL_STATES: Mapping[str, str] = {
    "done": "completed",
    "stream_end": "completed",
    "cancel": "interrupted-by-user",
    "apperror": "errored",
    "error": "errored",
}
"""What the journal says of a stream by the event that ended it."""

Payload = Mapping[str, Any]


class Frame(NamedTuple):
    """One event on its way to a browser; ``event_id`` is ``<stream_id>:<seq>`` if it has one."""

    event: str
    data: Payload
    event_id: str | None = None


class Subscriber:
    """A bounded queue of frames: when a browser is too slow, the oldest are lost."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(QUEUE_LIMIT)

    def put(self, frame: Frame) -> None:
        """Queues ``frame``, in place of the oldest if there is no room."""
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait(frame)

    async def get(self, timeout: float) -> Frame | None:  # noqa: ASYNC109  it is the heartbeat's interval, not a failure
        """The next frame, or ``None`` after ``timeout`` seconds of silence."""
        try:
            async with asyncio.timeout(timeout):
                return await self._frames.get()
        except TimeoutError:
            return None


class Topic:
    """A broadcast to whoever subscribes; what is published to nobody is lost."""

    def __init__(self) -> None:
        self.subscribers: list[Subscriber] = []

    def subscribe(self) -> Subscriber:
        """A new subscriber; hand it back to ``unsubscribe``."""
        subscriber = Subscriber()
        self.subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Ends a subscription."""
        self.subscribers.remove(subscriber)

    def publish(self, frame: Frame) -> None:
        """Hands ``frame`` to every subscriber."""
        for subscriber in self.subscribers:
            subscriber.put(frame)


class Channel(Topic):
    """A topic whose next subscriber is given what was published while there was none."""

    def __init__(self) -> None:
        super().__init__()
        self._unheard: deque[Frame] = deque(maxlen=QUEUE_LIMIT)

    def subscribe(self) -> Subscriber:
        """A subscriber that starts with the unheard frames, if there are any."""
        subscriber = super().subscribe()
        for frame in self._unheard:
            subscriber.put(frame)
        return subscriber

    def publish(self, frame: Frame) -> None:
        """Hands ``frame`` to every subscriber, or keeps it for the next."""
        if not self.subscribers:
            self._unheard.append(frame)
            return
        self._unheard.clear()
        super().publish(frame)


class Stream:
    """One turn's stream.

    Attributes:
        stream_id: Its id.
        session_id: The session it was started in; it keeps it when compression rotates that.
        newest_id: The id that a live frame without one is written with; ``None`` once the
            worker has ended (F11).
    """

    def __init__(self, stream_id: str, session_id: str, *, frames_carry_ids: bool) -> None:
        self.stream_id = stream_id
        self.session_id = session_id
        self.newest_id: str | None = None
        self.channel = Channel()
        self._frames_carry_ids = frames_carry_ids
        self._journal: deque[Frame] = deque(maxlen=JOURNAL_LIMIT)
        self._sequence = itertools.count(1)
        self._terminal_state: str | None = None

    def emit(self, event: str, data: Payload) -> None:
        """Journals an event and broadcasts it."""
        event_id = f"{self.stream_id}:{next(self._sequence)}"
        self._journal.append(Frame(event, data, event_id))
        self._terminal_state = TERMINAL_STATES.get(event, self._terminal_state)
        self.newest_id = event_id
        self.channel.publish(Frame(event, data, event_id if self._frames_carry_ids else None))

    def tell(self, event: str, data: Payload) -> None:
        """Broadcasts an event that the journal does not know (yet): a Stop's ``cancel`` (F11)."""
        self.channel.publish(Frame(event, data))

    @property
    def last_seq(self) -> int:
        """The newest journalled event's number, 0 if there is none."""
        return sequence_of(self._journal[-1].event_id) if self._journal else 0

    def replay(self, after: int, until: int | None = None) -> Iterator[Frame]:
        """The journalled frames with ``after < seq <= until``."""
        for frame in tuple(self._journal):
            if after < sequence_of(frame.event_id) <= (until or self.last_seq):
                yield frame

    def summary(self, *, active: bool) -> dict[str, Any]:
        """The ``journal`` part of ``stream/status``."""
        unfinished = "running" if active else "lost-worker-bookkeeping"
        return {
            "session_id": self.session_id,
            "run_id": self.stream_id,
            "last_seq": self.last_seq,
            "last_event_id": self._journal[-1].event_id if self._journal else None,
            "last_event": self._journal[-1].event if self._journal else None,
            "terminal": self._terminal_state is not None,
            "terminal_state": self._terminal_state or unfinished,
        }

    @property
    def terminal(self) -> bool:
        """Whether the journal knows how the stream ended."""
        return self._terminal_state is not None

    def interrupted(self, *, marks_recovery: bool) -> Frame:
        """The ``apperror`` that ends the replay of a journal without an ending."""
        recovery = {"recovery_control": True} if marks_recovery else {}
        data = {
            "type": "interrupted",
            **recovery,
            "message": "The live worker stopped before this run finished.",
            "hint": "Start a new turn if you still need the task to continue.",
            "session_id": self.session_id,
            "stream_id": self.stream_id,
            "journal_last_seq": self.last_seq,
        }
        return Frame("apperror", data, f"{self.stream_id}:{self.last_seq + 1}")


def sequence_of(event_id: str | None) -> int:
    """The number in ``<stream_id>:<seq>``; 0 for a frame without an id."""
    return int(event_id.rpartition(":")[2]) if event_id else 0


def render_frame(frame: Frame, event_id: str | None) -> bytes:
    """``frame`` as Hermes writes it; without ``event_id`` there is no ``id:`` line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {frame.event}\ndata: {json.dumps(frame.data, ensure_ascii=False)}\n\n".encode()
