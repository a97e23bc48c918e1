"""Where a body ends, however its bytes were cut; with llhttp, by aiohttp's parser, for a second opinion."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import assume, example, given
from hypothesis import strategies as st

from proxy.http.chunks import Chunked, FramingError, chunk_of, last_chunk
from proxy.http.framing import ByLength, NoBody, UntilClose, answer_body, is_framed, request_body

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOP: Final = asyncio.new_event_loop()
LOOP.close()  # nothing runs on it

Trailers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Decoder(Protocol):
    is_done: bool
    rest: bytes
    trailers: Trailers

    def feed(self, data: bytes, /) -> bytes: ...
    def feed_eof(self) -> None: ...


@dataclass(frozen=True)
class Read:
    """What became of a stream of bytes: its content, and what is behind its end, or None where it is malformed."""

    content: bytes
    rest: bytes
    trailers: Trailers = ()
    is_done: bool = True


def read(decoder: Decoder, pieces: Iterable[bytes]) -> Read | None:
    content = b""
    try:
        for piece in pieces:
            content += decoder.feed(piece)
            assert decoder.is_done or not decoder.rest
            assert decoder.is_done or not decoder.trailers
    except FramingError:
        return None
    return Read(content, decoder.rest, decoder.trailers, decoder.is_done)


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in any segments, of which some may be empty."""
    where = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *where], [*where, len(data)], strict=True)]


# -- bodies without chunks ------------------------------------------------------------------------


def test_what_has_no_body_is_done_before_anything_comes() -> None:
    decoder = NoBody()
    assert decoder.is_done
    decoder.feed_eof()
    assert decoder.feed(b"next") == b""
    assert (decoder.rest, decoder.trailers) == (b"next", ())


@given(st.binary(max_size=200), st.binary(max_size=50), st.data())
def test_a_length_counts(content: bytes, behind: bytes, data: st.DataObject) -> None:
    decoder = ByLength(len(content))
    assert decoder.is_done is (not content)
    assert read(decoder, data.draw(cut(content + behind))) == Read(content, behind)
    decoder.feed_eof()


@given(st.binary(max_size=200), st.integers(1, 2**63), st.data())
def test_a_length_that_is_not_reached_is_an_error_at_the_end(content: bytes, missing: int, data: st.DataObject) -> None:
    decoder = ByLength(len(content) + missing)
    assert read(decoder, data.draw(cut(content))) == Read(content, b"", is_done=False)
    with pytest.raises(FramingError):
        decoder.feed_eof()


@given(st.binary(max_size=200), st.data())
def test_without_framing_the_connection_ends_the_body(content: bytes, data: st.DataObject) -> None:
    decoder = UntilClose()
    assert read(decoder, data.draw(cut(content))) == Read(content, b"", is_done=False)
    decoder.feed_eof()
    assert (decoder.is_done, decoder.rest, decoder.trailers) == (True, b"", ())


# -- chunks (RFC 9112 section 7.1) ----------------------------------------------------------------

TCHAR: Final = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TOKENS: Final = st.text(TCHAR, min_size=1, max_size=8).map(str.encode)
QUOTED: Final = st.text(
    st.one_of(st.sampled_from("\t !#;=,"), st.characters(min_codepoint=0x23, max_codepoint=0x5B)), max_size=8
).map(lambda text: b'"%b"' % text.encode())
ESCAPED: Final = st.sampled_from([b'"\\""', b'"a\\\\b"', b'"; \\" 5"'])
NAMES: Final = TOKENS.map(lambda name: b"X-" + name)
VALUES: Final = st.text(
    st.one_of(st.characters(min_codepoint=0x21, max_codepoint=0x7E), st.sampled_from("\xa0\xff\x80")), max_size=12
).map(lambda text: text.encode("latin-1"))


@st.composite
def extensions(draw: st.DrawFn) -> bytes:
    values = st.one_of(st.just(None), TOKENS, QUOTED, ESCAPED)
    pairs = draw(st.one_of(st.just([]), st.lists(st.tuples(TOKENS, values), max_size=3)))
    return b"".join(b";" + name + (b"" if value is None else b"=" + value) for name, value in pairs)


@st.composite
def sizes(draw: st.DrawFn, size: int) -> bytes:
    digits = draw(st.sampled_from([b"%x", b"%X"])) % size
    return b"0" * draw(st.integers(0, 3)) + digits + draw(extensions()) + b"\r\n"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes, Trailers]:
    """A chunked body, its content, and its trailers."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    trailers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=3, unique_by=lambda field: field[0].lower()))
    coded = b"".join(draw(sizes(len(chunk))) + chunk + b"\r\n" for chunk in chunks)
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in trailers)
    return coded + draw(sizes(0)) + fields + b"\r\n", b"".join(chunks), tuple(trailers)


LENIENT_OR_NOT: Final = pytest.mark.parametrize("lenient", [False, True], ids=["request", "answer"])


@LENIENT_OR_NOT
@given(body=bodies(), behind=st.binary(max_size=50), data=st.data())
def test_content_trailers_and_rest_are_found_however_they_were_cut(
    body: tuple[bytes, bytes, Trailers], behind: bytes, data: st.DataObject, *, lenient: bool
) -> None:
    coded, content, trailers = body
    decoder = Chunked(lenient=lenient)
    assert read(decoder, data.draw(cut(coded + behind))) == Read(content, behind, trailers)
    decoder.feed_eof()
    assert decoder.feed(b"more") == b""
    assert decoder.rest == behind + b"more"


@LENIENT_OR_NOT
@given(body=bodies(), data=st.data())
def test_a_body_that_breaks_off_is_never_done(
    body: tuple[bytes, bytes, Trailers], data: st.DataObject, *, lenient: bool
) -> None:
    coded, content, _ = body
    end = data.draw(st.integers(0, len(coded) - 1))
    decoder = Chunked(lenient=lenient)
    found = read(decoder, data.draw(cut(coded[:end])))
    assert found is not None
    assert not found.is_done
    assert content.startswith(found.content)
    with pytest.raises(FramingError):
        decoder.feed_eof()


def test_content_is_given_as_soon_as_it_comes() -> None:
    decoder = Chunked()
    assert decoder.feed(b"5\r\nhe") == b"he"
    assert decoder.feed(b"llo") == b"llo"
    assert decoder.feed(b"\r\n1\r\nx\r\n0\r\n") == b"x"
    assert not decoder.is_done
    assert decoder.feed(b"\r\nGET ") == b""
    assert (decoder.is_done, decoder.rest) == (True, b"GET ")


LENIENT = {
    "a space behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a tab behind the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "spaces behind the last size": b"5\r\nhello\r\n0  \r\n\r\n",
    "a bare LF behind the data": b"5\r\nhello\n0\r\n\r\n",
}


@pytest.mark.parametrize("coded", LENIENT.values(), ids=LENIENT)
def test_what_only_servers_may_do(coded: bytes) -> None:
    assert read(Chunked(), bytewise(coded)) is None
    assert read(Chunked(), [coded]) is None
    for pieces in ([coded], bytewise(coded)):
        assert read(Chunked(lenient=True), pieces) == Read(b"hello", b"")


MALFORMED = {
    "a prefix": b"0x5\r\nhello\r\n",
    "a sign": b"+5\r\nhello\r\n",
    "a negative size": b"-5\r\nhello\r\n",
    "an underscore": b"0_5\r\nhello\r\n",
    "no size": b"\r\nhello\r\n",
    "no size but an extension": b";a\r\nhello\r\n",
    "a size over 64 bits": b"10000000000000005\r\n",
    "a size that is not ASCII": b"\xb2\r\nhello\r\n",
    "a space before the size": b" 5\r\nhello\r\n",
    "an empty extension": b"5;\r\nhello\r\n",
    "NUL in an extension": b"5;a\x00\r\nhello\r\n",
    "a line end in a quoted extension": b'5;a="\r\n"\r\nhello\r\n',
    "a bare LF behind the size": b"5\nhello\r\n",
    "a bare CR behind the size": b"5\rhello\r\n",
    "CR CR LF behind the size": b"5\r\r\nhello\r\n",
    "nothing behind the data": b"5\r\nhello0\r\n\r\n",
    "something behind the data": b"5\r\nhelloXX\r\n",
    "a bare CR behind the data": b"5\r\nhello\r0\r\n\r\n",
    "a bare LF behind the last size": b"0\n\r\n",
    "a space before the first trailer": b"0\r\n A: b\r\n\r\n",
    "a tab before the first trailer": b"0\r\n\tA: b\r\n\r\n",
    "a name with a space": b"0\r\nA B: c\r\n\r\n",
    "no colon": b"0\r\nnothing\r\n\r\n",
    "no name": b"0\r\n: a\r\n\r\n",
    "NUL in a trailer": b"0\r\nA: \x00\r\n\r\n",
    "a bare CR in a trailer": b"0\r\nA: b\rC: d\r\n\r\n",
}


@LENIENT_OR_NOT
@pytest.mark.parametrize("coded", MALFORMED.values(), ids=MALFORMED)
def test_what_has_no_reading_or_two_is_refused(coded: bytes, *, lenient: bool) -> None:
    for pieces in ([coded], bytewise(coded), [b"1\r\nx\r\n" + coded]):
        assert read(Chunked(lenient=lenient), pieces) is None


# -- a second opinion -----------------------------------------------------------------------------

REQUEST: Final = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNLIMITED: Final = 1 << 20


def of_request(data: bytes) -> Read | None:
    return by_llhttp(HttpRequestParser(BaseProtocol(LOOP), LOOP, UNLIMITED), REQUEST, data)


def of_answer(data: bytes) -> Read | None:
    return by_llhttp(HttpResponseParser(BaseProtocol(LOOP), LOOP, UNLIMITED), ANSWER, data)


def by_llhttp(parser: HttpRequestParser | HttpResponseParser, head: bytes, data: bytes) -> Read | None:
    """What llhttp makes of a body. It does not tell trailers, so these are left out."""
    ((_, payload),), _, _ = parser.feed_data(head)
    content = b""
    for index, byte in enumerate(bytewise(data), 1):
        try:
            parser.feed_data(byte)
            content += payload.read_nowait()
        except (HttpProcessingError, ValueError):
            return None
        if payload.is_eof():
            return Read(content, data[index:])
    return Read(content, b"", is_done=False)


def ours(data: bytes, *, lenient: bool) -> Read | None:
    found = read(Chunked(lenient=lenient), [data])
    assert found == read(Chunked(lenient=lenient), bytewise(data))
    return found and Read(found.content, found.rest, is_done=found.is_done)


NASTY: Final = st.sampled_from(
    [
        *(
            b"\r",
            b"\n",
            b"\r\n",
            b"\r\r\n",
            b"\n\n",
            b" ",
            b"\t",
            b"\x0b",
            b"\x00",
            b"\x7f",
            b"\xff",
            b"0",
            b"00",
            b"5",
        ),
        *(b"f", b"g", b"x", b"0x", b"-", b"+", b"_", b".", b";", b";a", b";a=", b'"', b"\\", b'\\"', b"=", b",", b":"),
        *(b"0\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"A: b\r\n", b" A", b"A ", b"\r\n ", b"\r\n\t", b"X:\r\n"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A chunked body in which something was put in, left out, or written over; and a little behind it."""
    data = draw(bodies())[0] + draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 2)))
        data = data[:start] + draw(st.one_of(NASTY, st.just(b""))) + data[end:]
    return data


@given(mutated())
@example(b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n")
@example(b'5;a="b;c \\" d"\r\nhello\r\n0\r\n\r\n')
@example(b"5;a=b\r\nhello\r\n000\r\n\r\nnext")
@example(b"ffffffffffffffff\r\nhello")
def test_whatever_a_request_may_say_llhttp_reads_as_well(data: bytes) -> None:
    """A body that has not ended may yet be refused here: a line is judged once it is whole."""
    found = ours(data, lenient=False)
    assert found is None or found == of_request(data) or not found.is_done


@given(mutated())
@example(b"5 \r\nhello\n0\r\n\r\n")
@example(b"0\r\n \r\nnext\r\n\r\n")
@example(b"0\r\n \n\r\nnext\r\n\r\n")
@example(b"0\r\nA: \r\r\nnext\r\n\r\n")
def test_whatever_an_answer_may_say_llhttp_reads_as_well(data: bytes) -> None:
    found = ours(data, lenient=True)
    assert found is None or found == of_answer(data) or not found.is_done


@given(mutated())
@example(b"5\r\nhello\r\n0\r\n\r\n")
def test_whatever_llhttp_reads_a_request_may_say(data: bytes) -> None:
    """But for extensions: llhttp takes some that RFC 9112 section 7.1.1 does not know, such as ``;;`` and ``;a=``."""
    assume(b";" not in data)
    theirs = of_request(data)
    if theirs is not None and theirs.is_done:
        assert ours(data, lenient=False) == theirs


def test_a_chunk_that_breaks_says_what_came_before_it() -> None:
    with pytest.raises(FramingError) as broken:
        Chunked().feed(b"2\r\nab\r\n3\r\ncdeXX")
    assert broken.value.content == b"abcde"


@LENIENT_OR_NOT
@pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding"])
def test_a_trailer_never_frames_its_message_anew(name: bytes, *, lenient: bool) -> None:
    """RFC 9110 section 6.5.1."""
    with pytest.raises(FramingError):
        Chunked(lenient=lenient).feed(b"0\r\n" + name + b": 1\r\n\r\n")


# -- writing, and which is read how ---------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=4))
def test_chunks_are_read_as_they_were_written(pieces: list[bytes]) -> None:
    trailers = ((b"X-A", b"1"), (b"X-A", b""))
    coded = b"".join(map(chunk_of, pieces)) + last_chunk(trailers)
    assert read(Chunked(), [coded + b"next"]) == Read(b"".join(pieces), b"next", trailers)
    assert last_chunk() == b"0\r\n\r\n"


def test_a_trailer_that_would_end_its_line_is_not_written() -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        last_chunk(((b"A", b"b\r\nC: d"),))


CODED: Final = ((b"Transfer-Encoding", b"chunked"),)
FIVE: Final = ((b"Content-Length", b"5"),)


@pytest.mark.parametrize(
    ("fields", "announces", "kind", "is_done"),
    [((), False, ByLength, True), (FIVE, True, ByLength, False), (CODED, True, Chunked, False)],
)
def test_how_the_body_of_a_request_ends(fields: Trailers, kind: type, *, announces: bool, is_done: bool) -> None:
    body = request_body(fields)
    assert (is_framed(fields), type(body), body.is_done) == (announces, kind, is_done)


@pytest.mark.parametrize(
    ("method", "status", "fields", "kind"),
    [
        ("GET", 200, (), UntilClose),
        ("GET", 200, FIVE, ByLength),
        ("GET", 200, CODED, Chunked),
        ("HEAD", 200, FIVE, NoBody),
        ("POST", 204, CODED, NoBody),
        ("GET", 304, FIVE, NoBody),
        ("GET", 101, FIVE, UntilClose),
    ],
)
def test_how_the_body_of_an_answer_ends(method: str, status: int, fields: Trailers, kind: type) -> None:
    assert type(answer_body(method, status, fields)) is kind


def test_an_answer_in_chunks_is_read_leniently() -> None:
    assert read(answer_body("GET", 200, CODED), [b"1 \r\nx\n0\r\n\r\n"]) == Read(b"x", b"")


# -- bounds (P7) ----------------------------------------------------------------------------------

BOUND: Final = 1 << 18

ENDLESS = {
    "a size": (b"", b"0"),
    "an extension": (b"5;a", b"a"),
    "a quoted extension": (b'5;a="', b"a"),
    "a field": (b"0\r\nA: ", b"b"),
    "the name of a field": (b"0\r\n", b"A"),
    "fields": (b"0\r\n", b"A: b\r\n"),
    "long fields": (b"0\r\n", b"A: " + b"b" * 60_000 + b"\r\n"),
}


@LENIENT_OR_NOT
@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 1 << 20])
@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_a_line_or_section_without_end_is_refused_in_time(
    begin: bytes, more: bytes, size: int, *, lenient: bool
) -> None:
    decoder = Chunked(lenient=lenient)
    piece = more * (size // len(more) + 1)
    decoder.feed(begin)
    for _ in range(BOUND // len(piece)):
        if read(decoder, [piece]) is None:
            return
    with pytest.raises(FramingError):
        decoder.feed(piece)


@pytest.mark.no_cover  # it reads hundreds of thousands of chunks
def test_content_is_not_kept() -> None:
    """However long a chunk is, and however many there are: one kept byte of each would be more than the bound."""
    decoder = Chunked()
    one, many = bytes(1 << 16), b"1\r\nx\r\n" * 10_000
    decoder.feed(b"%x\r\n" % (len(one) * 200))
    tracemalloc.start()
    try:
        for _ in range(200):
            assert decoder.feed(one) == one
        assert decoder.feed(b"\r\n") == b""
        for _ in range(BOUND // 10_000 + 1):
            assert decoder.feed(many) == b"x" * 10_000
        assert tracemalloc.get_traced_memory()[0] < BOUND
    finally:
        tracemalloc.stop()


def test_a_size_line_up_to_the_bound_is_taken() -> None:
    line = b"5;" + b"a" * 200_000 + b"\r\n"
    assert read(Chunked(), [line, b"hello\r\n0\r\n\r\n"]) == Read(b"hello", b"")
    assert read(Chunked(), [b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n"]) == Read(b"hello", b"")
