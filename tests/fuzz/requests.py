"""Requests on the wire: the same ones however they are cut, and those that pass are the same ones to Hermes."""

from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import Any, Self, cast

from proxy.http.chunks import chunk_of, last_chunk
from proxy.http.downstream.incoming import Incoming
from proxy.http.downstream.intake import Intake
from proxy.http.downstream.request import Request
from proxy.http.downstream.rules import Rules
from proxy.http.errors import BrowserError
from proxy.http.fieldsection import MAX_HEADERS
from proxy.http.framing import Decoder, is_framed, request_body
from proxy.http.headers import RawHeaders, content_length, values, without
from proxy.http.heads import ReceivedHead
from proxy.http.inflow import Inflow
from proxy.http.message import Body, RequestHead
from proxy.http.pace import Pace
from proxy.http.strictness import check_request
from proxy.http.target import split_target
from proxy.http.trailers import passed_trailers
from proxy.http.upstream.exchange import Asked, ignored
from proxy.http.upstream.lanes import Lanes
from proxy.http.upstream.origin import Origin
from proxy.http.upstream.upstream import Upstream
from tests.fuzz.hermes import HermesReader
from tests.fuzz.segments import segments

ROOM = 8
"""Fields that the proxy may add; Hermes reads only so many."""

RULES = Rules()
BROWSER: Any = SimpleNamespace(peer="8.8.8.8", is_secure=False, rules=RULES)
UPSTREAM = Upstream(Origin("h", 80), Lanes())
ADDED = {"Host", "Transfer-Encoding", "Connection", "Upgrade"}
CHUNK = 3
"""Bytes of a chunk that goes on."""


@dataclass(eq=False)
class Heard:
    """A body as its decoder finds it."""

    decoder: Decoder
    content: bytes = b""
    is_broken: bool = False

    @property
    def is_done(self) -> bool:
        return self.decoder.is_done

    @property
    def rest(self) -> bytes:
        return self.decoder.rest

    @property
    def trailers(self) -> RawHeaders:
        return self.decoder.trailers

    def feed(self, data: bytes, /) -> bytes:
        self.is_broken = True
        content = self.decoder.feed(data)
        self.is_broken = False
        self.content += content
        return content

    def feed_eof(self) -> None:
        self.decoder.feed_eof()


@dataclass(eq=False)
class Taken:
    """A request that passed, and as much of its body as came."""

    head: ReceivedHead
    request: Request
    heard: Heard | None
    incoming: Incoming | None

    @property
    def is_whole(self) -> bool:
        return self.incoming is None or self.incoming.has_come

    @property
    def story(self) -> tuple[Any, ...]:
        """The same for the same requests; of a body that broke, what came first is not."""
        if self.heard is None or self.incoming is None:
            return (self.head,)
        content = b"" if self.heard.is_broken else self.heard.content
        return self.head, content, self.heard.trailers, self.incoming.has_come, self.heard.is_broken


@dataclass(eq=False)
class Reader:
    """Takes requests as `DownstreamConnection` does, each answered as soon as it has come.

    Attributes:
        taken: They, up to the first one that is refused.
        refused: Why that one was.
        tunnel: What came behind a request for a WebSocket.
    """

    taken: list[Taken] = field(default_factory=list)
    refused: BrowserError | None = None
    tunnel: Inflow | None = None
    _under_way: Taken | None = None

    def head_begun(self) -> None:
        assert self._under_way is None

    def head_failed(self, error: BrowserError, /) -> None:
        self.refused = error

    def head_came(self, head: ReceivedHead, /) -> Incoming | None:
        try:
            authority, target = split_target(head.method, head.target)
            check_request(head.version, head.fields)
        except BrowserError as error:
            self.refused = error
            raise
        request = Request(BROWSER, head, target, authority, clock=float)
        heard = Heard(request_body(head.fields)) if is_framed(head.fields) else None
        request.incoming = Incoming(cast("Decoder", heard), RULES, Pace(float), _nothing) if heard else None
        self._under_way = Taken(head, request, heard, request.incoming)
        self.taken.append(self._under_way)
        return request.incoming

    def read(self, pieces: list[bytes]) -> Self:
        intake = Intake(self)
        for piece in pieces:
            intake.feed(piece)
            while (taken := self._under_way) is not None and taken.is_whole:
                self._under_way = None
                self._answer(intake, taken)
        return self

    def _answer(self, intake: Intake, taken: Taken) -> None:
        if taken.request.upgrade is not None:
            self.tunnel = Inflow(_nothing)
            intake.tunnel(self.tunnel)
        elif taken.head.should_close:
            intake.drop_behind()
        else:
            intake.next()

    @property
    def story(self) -> list[Any]:
        """The same for the same stream; of two reasons to refuse it, one may be met first."""
        behind = self.tunnel.take() if self.tunnel else None
        return [[taken.story for taken in self.taken], self.refused is None, behind]


def _nothing() -> None:
    pass


def check_request_stream(data: bytes) -> None:
    """The first two bytes are the sizes of segments, the rest what a browser sends."""
    sizes, stream = [1 + byte for byte in data[:2]] or [1], data[2:]
    whole, cut = Reader().read([stream]), Reader().read(segments(stream, sizes))
    assert "\n" not in str(whole.refused)
    assert whole.story == cut.story
    for taken in whole.taken:
        _check_as_hermes_reads(taken)


def _check_as_hermes_reads(taken: Taken) -> None:
    """Request smuggling is two readings of one message: there is only one."""
    try:
        asked = taken.request.head()
    except BrowserError:  # it says how far it may go, and not by a number
        return
    if len(asked.headers) > MAX_HEADERS - ROOM:
        return
    stream = BytesIO(_as_sent(taken, asked) + b"behind it")
    read = HermesReader(stream)
    assert read.refused is None
    assert read.command == taken.head.method
    target = asked.target.decode("latin-1")
    assert read.path == ("/" + target.lstrip("/") if target.startswith("//") else target)
    _check_fields_as_read(taken, asked, read)
    if taken.is_whole:
        assert read.body() == (taken.heard.content if taken.heard else b"")
        assert read.trailers == _decoded(_passed_trailers(taken))
        assert stream.read() == b"behind it"


def _as_sent(taken: Taken, asked: RequestHead) -> bytes:
    """It, as it goes to the backend: with the body that came."""
    body = _body(taken)
    trip = UPSTREAM.trip(Asked(asked, body, taken.request.upgrade, ignored), shares=False, expects=False)
    if body is None or taken.heard is None:
        return trip.wire
    if body.length is not None:
        return trip.wire + taken.heard.content
    content = taken.heard.content
    chunks = (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
    return trip.wire + b"".join(map(chunk_of, chunks)) + last_chunk(_passed_trailers(taken))


def _body(taken: Taken) -> Body | None:
    nowhere: Any = None
    return Body(content_length(taken.head.fields), nowhere) if taken.heard else None


def _passed_trailers(taken: Taken) -> RawHeaders:
    return passed_trailers(taken.heard.trailers, taken.head.fields, RULES.is_identity) if taken.heard else ()


def _check_fields_as_read(taken: Taken, asked: RequestHead, read: HermesReader) -> None:
    is_chunked = taken.heard is not None and content_length(taken.head.fields) is None
    sent = asked.headers if is_chunked else without(asked.headers, [b"trailer"])
    fields = read.headers.items()
    assert fields[: len(sent)] == _decoded(sent)
    assert {name for name, _ in fields[len(sent) :]} <= ADDED
    lengths = read.headers.get_all("Content-Length", [])
    assert [int(length) for length in lengths] == [int(length) for length in values(asked.headers, b"content-length")]
    assert read.headers.get_all("Transfer-Encoding", []) == ["chunked"] * is_chunked


def _decoded(fields: RawHeaders) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
