"""What the stand-in saw, for tests that must know what reached the backend, and when."""

import asyncio
import enum
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlparse

HISTORY = 8192
"""Connections and requests remembered; the oldest are forgotten."""


@dataclass
class RequestRecord:
    """One request as it arrived.

    Attributes:
        line: The request line, without its line ending.
        head: All of the head's bytes, the request line included.
        headers: Name and value of each header, in order, case and duplicates kept.
        connection: The number of the connection that it came on.
        body_size: Bytes of its body that were read, 0 when the body was left unread (F8).
        status: The answer's status, 0 until it is answered.
        at: When its head was complete (``time.monotonic``).
    """

    line: bytes
    head: bytes
    headers: list[tuple[str, str]]
    connection: int
    body_size: int = 0
    status: int = 0
    at: float = field(default_factory=time.monotonic)

    @property
    def target(self) -> str:
        """The request target, byte for byte as it came."""
        words = self.line.decode("iso-8859-1").split(" ")
        return words[1] if len(words) > 1 else ""


@dataclass
class ConnectionRecord:
    """One TCP connection; times are ``time.monotonic``.

    Attributes:
        number: Counted from 1 in the order of arrival.
        peer: The client's address.
        path: The path of the SSE response that it carries now, if any.
        client_left_at: When the client's FIN or RST arrived.
        closed_at: When the first side to end it did so.
        released_at: When it gave back its slot (F7): Hermes notices a lost browser only when
            a write fails, so this can be two heartbeats later.
    """

    number: int
    peer: str
    path: str | None = None
    opened_at: float = field(default_factory=time.monotonic)
    client_left_at: float | None = None
    closed_at: float | None = None
    released_at: float | None = None

    def client_left(self) -> None:
        """The client has ended it."""
        self.client_left_at = self.client_left_at or time.monotonic()
        self.closed()

    def closed(self) -> None:
        """Either side has ended it."""
        self.closed_at = self.closed_at or time.monotonic()


class ModelEnd(enum.StrEnum):
    """How a request to the model ended."""

    DONE = "done"
    """The model had said all."""
    BROKEN_OFF = "broken off"
    """Hermes closed the connection before that."""


@dataclass
class ModelRequest:
    """One request to the model, from the model's side; times are ``time.monotonic``.

    It proves what became of a Stop: whether a worker has left says less (F16).

    Attributes:
        stream_id: The turn that asked.
        session_id: Its session.
        asked_at: When it was asked.
        ended_at: When that ended, ``None`` as long as the model still works.
        end: How it ended.
    """

    stream_id: str
    session_id: str
    asked_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    end: ModelEnd | None = None


class Ledger:
    """Connections and requests in the order they came, which SSE responses are open, and the model's own log."""

    def __init__(self) -> None:
        self.model_requests: deque[ModelRequest] = deque(maxlen=HISTORY)
        self.connections: deque[ConnectionRecord] = deque(maxlen=HISTORY)
        self.requests: deque[RequestRecord] = deque(maxlen=HISTORY)
        self.connections_total = 0
        self._changed = asyncio.Event()

    @property
    def open_connections(self) -> list[ConnectionRecord]:
        """The connections that neither side has ended."""
        return [record for record in self.connections if record.closed_at is None]

    @property
    def open_streams(self) -> list[ConnectionRecord]:
        """The open connections that carry an SSE response."""
        return [record for record in self.open_connections if record.path is not None]

    def requests_for(self, path: str) -> list[RequestRecord]:
        """The requests whose target's path is ``path``."""
        return [one for one in self.requests if one.target.partition("?")[0] == path]

    @property
    def cancels(self) -> Counter[str]:
        """Cancels received, by ``stream_id``; refused and stale ones too, but only GET cancels."""
        received = [one for one in self.requests_for("/api/chat/cancel") if one.line.startswith(b"GET ")]
        queries = (parse_qs(urlparse(one.target).query) for one in received)
        return Counter(query.get("stream_id", [""])[0] for query in queries)

    @property
    def open_model_requests(self) -> list[ModelRequest]:
        """The requests that the model still works on."""
        return [one for one in self.model_requests if one.end is None]

    def model_requests_of(self, stream_id: str) -> list[ModelRequest]:
        """What the model was asked for one turn, in order."""
        return [one for one in self.model_requests if one.stream_id == stream_id]

    def model_asked(self, stream_id: str, session_id: str) -> ModelRequest:
        """Records a request to the model."""
        request = ModelRequest(stream_id, session_id)
        self.model_requests.append(request)
        self.changed()
        return request

    def model_answered(self, request: ModelRequest, end: ModelEnd) -> None:
        """Records how a request to the model ended; what has ended does not end again."""
        if request.end is None:
            request.end, request.ended_at = end, time.monotonic()
            self.changed()

    def model_lost(self) -> None:
        """Records that the process is gone, and every request to the model with it."""
        for request in self.open_model_requests:
            self.model_answered(request, ModelEnd.BROKEN_OFF)

    def opened(self, peer: str) -> ConnectionRecord:
        """Records a new connection."""
        self.connections_total += 1
        record = ConnectionRecord(self.connections_total, peer)
        self.connections.append(record)
        self.changed()
        return record

    def received(self, record: RequestRecord) -> None:
        """Records a request."""
        self.requests.append(record)
        self.changed()

    def changed(self) -> None:
        """Wakes whoever waits in ``until``."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], within: float = 5.0) -> None:
        """Waits until ``condition`` holds; it is looked at whenever the ledger changes.

        Raises:
            TimeoutError: it did not hold ``within`` so many seconds.
        """
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
