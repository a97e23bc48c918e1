"""Requests on the wire: the same ones however they are cut, and those that pass are the same ones to Hermes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import StreamReader

from proxy.http.cutting import MOST, Cutter
from proxy.http.errors import BrowserError
from proxy.http.headers import (
    FORWARDED,
    HOP_BY_HOP,
    UNLISTABLE,
    RawHeaders,
    certain_address,
    client_address,
    content_length,
    end_to_end,
    forwarded,
    serialize,
    values,
    with_content_length,
    with_host,
)
from proxy.http.parser import RequestMessage, RequestParser
from proxy.http.provenance import place, provenance
from proxy.http.request import split_target
from proxy.http.strictness import MAX_FIELD, MAX_HEADERS, MAX_TARGET, check_request, refusal
from tests.fuzz.hermes import HermesReader

UNPAUSED = 1 << 30
ROOM = 8
"""Fields that the proxy may add; Hermes reads only so many."""

LOOP = asyncio.new_event_loop()


@dataclass
class Read:
    """What the proxy made of a stream.

    Attributes:
        accepted: Its requests, up to the first one that is refused.
        refused: Why that one was.
        tail: What came behind an upgrade.
    """

    accepted: list[tuple[RequestMessage, StreamReader]] = field(default_factory=list)
    refused: BrowserError | None = None
    tail: bytes = b""

    @property
    def story(self) -> list[Any]:
        """The same for the same requests."""
        return [
            (message.method, message.path, message.version, message.raw_headers, *_body(content))
            for message, content in self.accepted
        ]


def _body(content: StreamReader) -> tuple[bytes, bool, bool]:
    broken = content.exception() is not None
    return b"" if broken else content.read_nowait(), content.is_eof(), broken


def check_request_stream(data: bytes) -> None:
    """The first two bytes are the sizes of segments, the rest what a browser sends."""
    sizes, stream = [1 + byte for byte in data[:2]] or [1], data[2:]
    if stream.count(b"\r\n\r\n") > MOST // 2:
        return
    whole, cut = _read([stream]), _read(_segments(stream, sizes))
    assert (whole.refused is None) == (cut.refused is None)
    assert "\n" not in str(whole.refused)
    assert whole.tail == cut.tail
    assert whole.story == cut.story
    for message, _ in whole.accepted:
        _check_as_hermes_reads(message)


def _segments(stream: bytes, sizes: list[int]) -> list[bytes]:
    edges = [0]
    while edges[-1] < len(stream):
        edges.append(edges[-1] + sizes[len(edges) % len(sizes)])
    return [stream[start:end] for start, end in pairwise(edges)]


def _read(segments: list[bytes]) -> Read:
    parser, cutter, read = _parser(), Cutter(), Read()
    pieces = [piece for segment in segments for piece in cutter.cut(segment, enough=lambda: False)]
    for number, piece in enumerate(pieces, 1):
        try:
            messages, upgraded, tail = parser.feed_data(piece)
            _accept(messages, read)
        except HttpProcessingError as error:
            read.refused = refusal(error)
        except BrowserError as error:
            read.refused = error
        if read.refused is not None:
            break
        if upgraded:
            read.tail = tail + b"".join(pieces[number:])
            break
    return read


def _accept(messages: Iterable[tuple[RequestMessage, StreamReader]], read: Read) -> None:
    for message, content in messages:
        check_request(message.method, message.version, _fields(message))
        read.accepted.append((message, content))


def _fields(message: RequestMessage) -> RawHeaders:
    authority, _ = _split(message)
    return message.raw_headers if authority is None else with_host(message.raw_headers, authority)


def _split(message: RequestMessage) -> tuple[bytes | None, bytes]:
    return split_target(message.path.encode("utf-8", "surrogateescape"))


def _parser() -> RequestParser:
    parser = HttpRequestParser(
        BaseProtocol(LOOP),
        LOOP,
        UNPAUSED,
        max_line_size=MAX_TARGET,
        max_field_size=MAX_FIELD,
        max_headers=MAX_HEADERS,
        auto_decompress=False,
    )
    return RequestParser(parser, broken=lambda: None)


def _check_as_hermes_reads(message: RequestMessage) -> None:
    """Request smuggling is two readings of one message: there is only one."""
    fields, (_, target) = _fields(message), _split(message)
    if len(fields) > MAX_HEADERS - ROOM:
        return
    sent = forwarded(fields, peer="8.8.8.8", secure=False)
    wire = serialize(message.method.encode() + b" " + target + b" HTTP/1.1", sent)
    stream = BytesIO(wire + b"behind it")
    read = HermesReader(stream)
    assert read.refused is None
    assert read.command == message.method
    assert read.path == ("/" + target.lstrip(b"/").decode() if target.startswith(b"//") else target.decode())
    assert read.headers.items() == [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent]
    assert stream.read() == b"behind it"
    lengths = read.headers.get_all("Content-Length", [])
    assert [int(length) for length in lengths] == [int(length) for length in values(fields, b"content-length")]


# -- header fields --------------------------------------------------------------------------------

PEERS = ("8.8.8.8", "127.0.0.1", "::1", "", "fe80::1%eth0", "somewhere")
TRUSTED = (ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("10.0.0.0/8"))
STRANGERS = frozenset({"8.8.8.8", "somewhere"})
FORBIDDEN = frozenset(b"\r\n\0")


def check_fields(data: bytes) -> None:
    """The first byte is who asks, and each line after it one field."""
    peer = PEERS[(data[:1] or b"\0")[0] % len(PEERS)]
    pairs = [line.partition(b":") for line in data[1:].split(b"\n")]
    headers = tuple((name, value) for name, _, value in pairs)
    _check_end_to_end(headers)
    _check_forwarded(headers, peer)
    _check_client(headers, peer)
    _check_serialized(headers)
    assert content_length(with_content_length(headers, 7)) == 7


def _check_end_to_end(headers: RawHeaders) -> None:
    kept = end_to_end(headers)
    remaining = iter(headers)
    assert all(pair in remaining for pair in kept)  # in order
    names = {name.lower() for name, _ in kept}
    assert not names & HOP_BY_HOP
    assert names >= {name.lower() for name, _ in headers} & UNLISTABLE


def _check_forwarded(headers: RawHeaders, peer: str) -> None:
    sent = forwarded(headers, peer=peer, secure=True, trusted=TRUSTED)
    [chain] = values(sent, b"x-forwarded-for")
    assert chain.endswith((peer or "127.0.0.1").encode())
    assert not values(sent, b"expect")
    assert len(values(sent, b"host")) == len(values(headers, b"host"))
    if peer in STRANGERS:
        own = [name.lower() for name, _ in sent if name.lower() in FORWARDED]
        assert len(own) == len(set(own)) <= 3
        assert chain == peer.encode()
        assert values(sent, b"x-forwarded-proto") == [b"https"]


def _check_client(headers: RawHeaders, peer: str) -> None:
    client = client_address(headers, peer=peer, trusted=TRUSTED)
    assert client_address(headers, peer=peer) == (peer or "127.0.0.1")
    assert client == peer or ip_address(client)
    certain = certain_address(headers, peer=peer, trusted=TRUSTED)
    assert certain is None or not values(headers, b"x-forwarded-for") or peer not in STRANGERS
    assert certain in {None, ip_address(client)} if client != "somewhere" else certain is None
    provenance(headers)
    place(headers)


def _check_serialized(headers: RawHeaders) -> None:
    expected = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    if any(FORBIDDEN.intersection(part) for pair in headers for part in pair):
        try:
            serialize(b"line", headers)
        except ValueError:
            return
        raise AssertionError("a field would end its line")
    assert serialize(b"line", headers) == b"line\r\n" + expected + b"\r\n"
