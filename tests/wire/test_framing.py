"""Where a request ends: one reading, the same for the proxy and the backend, or no reading at all.

Whatever is accepted reaches the backend in its plainest form, byte by byte as it stands here. Behind every refused
request hides another, which must never be read as one (RFC 9112 section 11.2, request smuggling).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.messages import ADDED, BEGUN, CHUNKED, OK, SMUGGLED, answered, asked_with, get, post

if TYPE_CHECKING:
    from tests.wire.conftest import Listener, Proxied

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
BY_LENGTH = HEAD + b"Content-Length: %b\r\n" + ADDED + b"Connection: close\r\n\r\nhello"
BY_CHUNKS = HEAD + ADDED + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def length(value: bytes) -> bytes:
    return post(b"Content-Length:" + value + b"\r\n", b"hello" + SMUGGLED)


def coding(value: bytes) -> bytes:
    """A body that by this coding ends at once, and by its name alone never began."""
    return post(b"Transfer-Encoding:" + value + b"\r\n", b"0\r\n\r\n" + SMUGGLED)


def disguised(name: bytes) -> bytes:
    """Five bytes for whoever does not know the coding, none for whoever does (CL.TE and TE.CL)."""
    return post(b"Content-Length: 5\r\n" + name + b": chunked\r\n", b"0\r\n\r\n" + SMUGGLED)


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body + SMUGGLED)


async def refused(proxied: Proxied, backend: Listener, request: bytes) -> tuple[int, str]:
    """The one answer to a request of which the backend hears nothing."""
    browser = await proxied.browser()
    await browser.send(request)
    told = await answered(browser)
    assert await backend.nobody_comes(0.01)
    return told


# -- Content-Length (RFC 9110 section 8.6, RFC 9112 section 6.3) ----------------------------------

LENGTHS_REFUSED = {
    "negative": b"-5",
    "hexadecimal": b"0x5",
    "with an underscore": b"5_0",
    "with a fraction": b"5.0",
    "with an exponent": b"5e0",
    "with a space inside": b"5 5",
    "a list without a space": b"5,5",
    "of text": b"five",
    "of digits that are not ASCII": b"\xd9\xa5",
    "behind a no-break space": b"\xa05",
    "in front of VT": b"5\x0b",
    "with leading zeros": b"0000005",
    "of 2**64": b"18446744073709551616",
    "of twenty nines": b"99999999999999999999",
    "of 5000 digits": b"9" * 5000,
}


@pytest.mark.parametrize("value", LENGTHS_REFUSED.values(), ids=LENGTHS_REFUSED)
async def test_a_length_that_is_no_number_is_400(proxied: Proxied, backend: Listener, value: bytes) -> None:
    assert await refused(proxied, backend, length(value)) == (400, "bad_request")


LENGTHS = {
    "plain": (b" 5", b"5"),
    "without a space": (b"5", b"5"),
    "in spaces": (b"  5  ", b"5"),
    "in tabs": (b"\t5\t", b"5"),
}


@pytest.mark.parametrize(("value", "forwarded"), LENGTHS.values(), ids=LENGTHS)
async def test_a_length_goes_on_without_the_space_around_it(
    proxied: Proxied, backend: Listener, value: bytes, forwarded: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(length(value))
    asked = await backend.accept()
    assert await asked.until(b"hello") == BY_LENGTH % forwarded
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")
    assert not asked.buffer


async def test_a_length_that_is_too_short_leaves_a_request_of_its_own(proxied: Proxied, backend: Listener) -> None:
    """RFC 9112 section 9.3: what is behind a body is the browser's next request, however it was meant."""
    request = post(b"Content-Length: 2\r\n", b"hello / HTTP/1.1\r\nHost: h\r\n\r\n")
    browser, asked = await asked_with(proxied, backend, request)
    assert await asked.take(2) == b"he"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await (await backend.accept()).head()).startswith(b"llo / HTTP/1.1\r\n")
    assert not asked.buffer


# -- Transfer-Encoding (RFC 9112 sections 6.1 and 7) ----------------------------------------------

CODINGS_REFUSED = {
    "an unknown coding": (b"xchunked", 501),
    "chunked doubled": (b"chunkedchunked", 501),
    "chunked in two words": (b"chu nked", 501),
    "chunked twice": (b"chunked, chunked", 501),
    "chunked and a comma": (b"chunked,", 501),
    "chunked, identity": (b"chunked, identity", 501),
    "identity, chunked": (b"identity, chunked", 501),
    "chunked in quotes": (b'"chunked"', 501),
    "a parameter behind a space": (b"chunked ; q=1", 501),
    "a no-break space": (b"\xa0chunked", 501),
    "VT": (b"\x0bchunked", 400),
    "VT behind it": (b"chunked\x0b", 400),
    "FF": (b"\x0cchunked", 400),
    "NUL": (b"chunked\x00", 400),
    "a fold": (b"\r\n chunked", 400),
    "a fold by a bare LF": (b"\n chunked", 400),
    "CR": (b"chunked\r", 400),
}


@pytest.mark.parametrize(("value", "status"), CODINGS_REFUSED.values(), ids=CODINGS_REFUSED)
async def test_a_coding_other_than_chunked_is_refused(
    proxied: Proxied, backend: Listener, value: bytes, status: int
) -> None:
    assert (await refused(proxied, backend, coding(value)))[0] == status


@pytest.mark.parametrize("value", [b"chunked", b" Chunked", b"\tCHUNKED", b" cHuNkEd  ", b"chunked\t"], ids=repr)
async def test_chunked_goes_on_in_one_spelling(proxied: Proxied, backend: Listener, value: bytes) -> None:
    browser = await proxied.browser()
    await browser.send(coding(value))
    asked = await backend.accept()
    assert await asked.until(b"0\r\n\r\n") == BY_CHUNKS + b"0\r\n\r\n"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert await (await backend.accept()).head() == SMUGGLED[:-2] + ADDED + b"\r\n"
    assert not asked.buffer


DISGUISES = {
    "as it is": b"Transfer-Encoding",
    "in capitals": b"TRANSFER-ENCODING",
    "a space before the colon": b"Transfer-Encoding ",
    "a tab before the colon": b"Transfer-Encoding\t",
    "a space before the name": b" Transfer-Encoding",
    "a tab before the name": b"\tTransfer-Encoding",
    "VT before the name": b"\x0bTransfer-Encoding",
    "NUL behind the name": b"Transfer-Encoding\x00",
    "a no-break space behind the name": b"Transfer-Encoding\xa0",
    "behind a bare LF": b"X: y\nTransfer-Encoding",
    "behind a bare CR": b"X: y\rTransfer-Encoding",
    "behind CR CR": b"X: y\r\rTransfer-Encoding",
    "over two lines": b"Transfer-\r\nEncoding",
    "with a dotless i": b"Transfer-Encod\xc4\xb1ng",
    "with a space": b"Transfer Encoding",
    "behind an empty name": b": x\r\nTransfer-Encoding",
}


@pytest.mark.parametrize("name", DISGUISES.values(), ids=DISGUISES)
async def test_a_disguised_coding_beside_a_length_is_400(proxied: Proxied, backend: Listener, name: bytes) -> None:
    assert await refused(proxied, backend, disguised(name)) == (400, "bad_request")


async def test_a_name_with_an_underscore_is_another_field(proxied: Proxied, backend: Listener) -> None:
    """It is a token (RFC 9110 section 5.6.2) and frames nothing, neither here nor in Hermes."""
    browser, asked = await asked_with(proxied, backend, disguised(b"Transfer_Encoding"))
    assert await asked.take(5) == b"0\r\n\r\n"
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert (await (await backend.accept()).head()).startswith(b"GET /smuggled ")
    assert not asked.buffer


# -- chunks (RFC 9112 section 7.1) ----------------------------------------------------------------

CHUNKS_REFUSED = {
    "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a fraction": b"5.\r\nhello\r\n0\r\n\r\n",
    "a size that is not hexadecimal": b"5g\r\nhello\r\n0\r\n\r\n",
    "a size over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "an extension and no size": b";a\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a space behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a tab behind the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "a space before the extension": b"5 ;a\r\nhello\r\n0\r\n\r\n",
    "an extension without a name": b"5;\r\nhello\r\n0\r\n\r\n",
    "an extension that is not ASCII": b"5;a=\xff\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "LF in a quoted extension": b'5;a="b\nc"\r\nhello\r\n0\r\n\r\n',
    "a line end in a quoted extension": b'5;a="b\r\nc"\r\nhello\r\n0\r\n\r\n',
    "a quote that is left open": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "a bare LF behind an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "a bare CR behind an extension": b"5;a\rhello\r\n0\r\n\r\n",
    "CR CR behind the size": b"5\r\r;abcd\r\nhello\r\n0\r\n\r\n",
    "a bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "a bare LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "a bare CR behind the data": b"5\r\nhello\r0\r\n\r\n",
    "nothing behind the data": b"5\r\nhello0\r\n\r\n",
    "two bytes behind the data": b"5\r\nhelloXX0\r\n\r\n",
    "data that is longer than its size": b"5\r\nhello, world\r\n0\r\n\r\n",
    "an empty line between chunks": b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "a bare LF behind the last size": b"0\n\r\n",
    "a bare LF at the end": b"0\r\n\n",
    "two bytes for the end": b"0\r\nXX",
}


@pytest.mark.parametrize("body", CHUNKS_REFUSED.values(), ids=CHUNKS_REFUSED)
async def test_a_malformed_chunk_is_400(proxied: Proxied, backend: Listener, body: bytes) -> None:
    assert await refused(proxied, backend, chunks(body)) == (400, "bad_request")


MUCH = b"10000\r\n" + BEGUN + b"\r\n"
"""A chunk with which the request goes on to the backend."""


@pytest.mark.parametrize("body", CHUNKS_REFUSED.values(), ids=CHUNKS_REFUSED)
async def test_a_malformed_chunk_behind_others_is_400_and_breaks_off_as_the_backend_can_tell(
    proxied: Proxied, backend: Listener, body: bytes
) -> None:
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, MUCH))
    asked = await backend.accept()
    assert await asked.until(BEGUN + b"\r\n") == BY_CHUNKS + MUCH
    await browser.send(body + SMUGGLED)
    assert await answered(browser) == (400, "bad_request")
    assert await asked.rest() in {b"", b"5\r\nhello\r\n"}
    assert await backend.nobody_comes(0.01)


CHUNKS = {
    "leading zeros": b"0005\r\nhello\r\n000\r\n\r\n",
    "very many leading zeros": b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n",
    "an extension": b"5;a\r\nhello\r\n0;b=c\r\n\r\n",
    "a quoted extension": b'5;a="b;c \\" d"\r\nhello\r\n0\r\n\r\n',
    "an extension of 100 KiB": b"5;" + b"a" * 102_400 + b"\r\nhello\r\n0\r\n\r\n",
    "a trailer that would route it": b"5\r\nhello\r\n0\r\nHost: other\r\n\r\n",
    "a trailer about the connection": b"5\r\nhello\r\n0\r\nConnection: X-A\r\nUpgrade: h2c\r\nTrailer: B\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
async def test_chunks_go_on_in_their_plain_form(proxied: Proxied, backend: Listener, body: bytes) -> None:
    """Extensions are about one hop; so are some trailers (see test_trailers.py)."""
    browser = await proxied.browser()
    await browser.send(chunks(body))
    asked = await backend.accept()
    assert await asked.until(b"\r\n0\r\n\r\n") == BY_CHUNKS + HELLO
    await asked.send(OK)
    assert await browser.take(len(OK)) == OK
    assert await (await backend.accept()).head() == SMUGGLED[:-2] + ADDED + b"\r\n"
    assert not asked.buffer


async def test_a_chunk_of_64_bits_is_streamed_as_far_as_it_comes(proxied: Proxied, backend: Listener) -> None:
    browser = await proxied.browser()
    await browser.send(post(CHUNKED, b"ffffffffffffffff\r\n" + BEGUN))
    asked = await backend.accept()
    assert await asked.until(BEGUN + b"\r\n") == BY_CHUNKS + MUCH
    browser.close()
    assert b"0\r\n" not in await asked.rest()


TRAILERS_REFUSED = {
    "a length": b"Content-Length: 5\r\n",
    "a coding": b"Transfer-Encoding: chunked\r\n",
    "a line without a colon": b"nothing\r\n",
    "a bare LF": b"A: b\n",
    "a fold": b"A: b\r\n c\r\n",
    "too many": b"A: b\r\n" * 101,
    "one that is too long": b"A: " + b"b" * 65_536 + b"\r\n",
}


@pytest.mark.parametrize("trailer", TRAILERS_REFUSED.values(), ids=TRAILERS_REFUSED)
async def test_a_trailer_that_frames_or_is_malformed_is_refused(
    proxied: Proxied, backend: Listener, trailer: bytes
) -> None:
    """RFC 9110 section 6.5.1: framing and routing cannot come behind the body."""
    assert await refused(proxied, backend, chunks(HELLO[:-2] + trailer + b"\r\n")) == (400, "bad_request")


# -- methods that seldom have a body (RFC 9110 section 9) -----------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"QUERY"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_the_framing_and_not_the_method_says_whether_there_is_a_body(
    proxied: Proxied, backend: Listener, method: bytes, framing: str
) -> None:
    """RFC 9112 section 6: so no body is ever taken for a request, on either side."""
    line = method + b" / HTTP/1.1"
    request = get(b"Content-Length: 5\r\n", line) + b"hello" if framing == "length" else get(CHUNKED, line) + HELLO
    browser = await proxied.browser()
    await browser.send(request)
    asked = await backend.accept()
    head = await asked.head()
    assert head.startswith(line + b"\r\n")
    assert b"\r\nConnection: close\r\n" in head
    assert await (asked.take(5) if framing == "length" else asked.until(b"\r\n0\r\n\r\n")) in {b"hello", HELLO}
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await browser.head()).startswith(b"HTTP/1.1 200 ")
    assert not asked.buffer
