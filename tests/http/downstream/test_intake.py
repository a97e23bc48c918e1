"""A connection's bytes, cut into requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.http.downstream.incoming import Incoming
from proxy.http.downstream.intake import PIPELINED, Intake
from proxy.http.downstream.rules import Rules
from proxy.http.errors import BadRequestError, BrowserError
from proxy.http.framing import is_framed, request_body
from proxy.http.inflow import BUFFER, Inflow
from proxy.http.pace import Pace

if TYPE_CHECKING:
    from proxy.http.heads import ReceivedHead

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def _nothing() -> None:
    pass


class Taker:
    """Keeps what it is told, and refuses what it is told to refuse."""

    def __init__(self, refused: str = "") -> None:
        self.said: list[str] = []
        self.incoming: Incoming | None = None
        self.intake = Intake(self)
        self._refused = refused

    def head_begun(self) -> None:
        self.said.append("begun")

    def head_came(self, head: ReceivedHead, /) -> Incoming | None:
        if head.method == self._refused:
            self.said.append("refused")
            raise BadRequestError("refused")
        self.said.append(head.method)
        decoder = request_body(head.fields)
        self.incoming = Incoming(decoder, Rules(), Pace(float), _nothing) if is_framed(head.fields) else None
        return self.incoming

    def head_failed(self, error: BrowserError, /) -> None:
        self.said.append(error.code)

    def feed(self, *pieces: bytes) -> list[str]:
        for piece in pieces:
            self.intake.feed(piece)
        said, self.said = self.said, []
        return said


def test_a_head_begins_with_its_first_byte_and_comes_with_its_last() -> None:
    taker = Taker()
    assert taker.feed(b"\r\n") == []
    assert taker.feed(b"G") == ["begun"]
    assert taker.feed(GET[1:-1]) == []
    assert taker.feed(GET[-1:]) == ["GET"]


def test_a_head_that_comes_at_once_never_began() -> None:
    assert Taker().feed(GET) == ["GET"]


def test_requests_are_taken_one_at_a_time() -> None:
    taker = Taker()
    assert taker.feed(GET + GET + POST) == ["GET"]
    taker.intake.next()
    assert taker.feed() == ["GET"]
    taker.intake.next()
    assert taker.feed() == ["POST"]
    assert taker.intake.is_in_body
    assert taker.feed(b"hello") == []
    assert not taker.intake.is_in_body
    taker.intake.next()
    assert taker.feed(b"x") == ["begun"]


def test_what_waits_behind_a_request_is_bounded() -> None:
    """P7."""
    taker = Taker()
    taker.feed(GET, bytes(PIPELINED - 1))
    assert not taker.intake.is_full
    taker.feed(b"x")
    assert taker.intake.is_full


def test_a_body_that_nobody_reads_stops_the_connection() -> None:
    taker = Taker()
    assert not taker.intake.is_full
    taker.feed(CHUNKED, b"%x\r\n" % BUFFER)
    assert not taker.intake.is_full
    taker.feed(bytes(BUFFER))
    assert taker.intake.is_full


def test_what_is_no_request_is_told_and_nothing_more_is_read() -> None:
    taker = Taker()
    assert taker.feed(b"\0", GET) == ["bad_request"]
    assert not taker.intake.is_open


def test_whoever_refuses_a_request_tells_it_himself() -> None:
    taker = Taker("GET")
    assert taker.feed(GET + GET) == ["refused"]
    assert not taker.intake.is_open


def test_nothing_is_read_behind_a_body_that_broke() -> None:
    taker = Taker()
    assert taker.feed(CHUNKED, b"x", GET) == ["POST"]
    assert not taker.intake.is_open
    assert not taker.intake.is_in_body


def test_a_body_that_nobody_wants_is_dropped_to_its_end() -> None:
    taker = Taker()
    taker.feed(POST + b"he")
    taker.intake.drop()
    assert taker.intake.is_in_body
    assert taker.feed(b"l") == []
    assert taker.intake.is_in_body
    assert taker.feed(b"lo" + GET) == []
    assert not taker.intake.is_in_body
    assert taker.feed(GET) == []


def test_what_is_behind_the_last_request_is_dropped() -> None:
    taker = Taker()
    taker.feed(GET + GET)
    assert taker.intake.is_open
    taker.intake.drop_behind()
    assert not taker.intake.is_open
    assert taker.feed(bytes(PIPELINED)) == []
    assert not taker.intake.is_full


def test_what_is_behind_the_body_of_the_last_request_is_dropped() -> None:
    taker = Taker()
    taker.feed(POST + b"he")
    taker.intake.drop_behind()
    taker.feed(b"llo" + GET)
    assert taker.incoming is not None
    assert taker.incoming.has_come
    assert not taker.intake.is_open


@pytest.mark.parametrize("waiting", [b"", b"early"])
def test_a_tunnel_gets_what_waits_and_all_that_comes(waiting: bytes) -> None:
    taker, inflow = Taker(), Inflow(_nothing)
    taker.feed(GET + waiting)
    taker.intake.tunnel(inflow)
    taker.feed(b"later")
    assert inflow.take() == waiting + b"later"
    taker.feed(bytes(BUFFER))
    assert taker.intake.is_full
    assert taker.intake.end()
    assert inflow.is_ended


def test_there_is_nobody_else_to_tell_of_the_end() -> None:
    assert not Taker().intake.end()
