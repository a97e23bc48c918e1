"""Keys of requests that may be sent twice, as clients really send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.errors import BadRequestError
from proxy.http.idempotency import LONGEST, idempotency_key

UUID = b"8e03978e-40d5-43e8-bc93-6894a57f9324"


def key_of(*fields: bytes) -> bytes | None:
    return idempotency_key(tuple((b"Idempotency-Key", field) for field in fields))


@pytest.mark.parametrize(
    ("field", "key"),
    [
        (b'"%b"' % UUID, UUID),
        (UUID, UUID),
        (b'  "a b"', b"a b"),
        (b'"a";v=1', b"a"),
        (b'"a" ; v', b"a"),
        (b'"say \\"a\\\\b\\""', b'say "a\\b"'),
        (b"a/b:c=d+e~", b"a/b:c=d+e~"),
        (b"x" * LONGEST, b"x" * LONGEST),
        (b'"' + b'\\"' * LONGEST + b'"', b'"' * LONGEST),
    ],
)
def test_a_key_is_read_in_quotes_and_without(field: bytes, key: bytes) -> None:
    """RFC 9651 section 3.3.3: what is escaped counts once."""
    assert key_of(field) == key


def test_a_request_without_the_field_has_no_key() -> None:
    assert idempotency_key(((b"Content-Type", b"application/json"),)) is None


def test_the_name_of_the_field_is_compared_without_its_case() -> None:
    assert idempotency_key(((b"idempotency-KEY", b"a"),)) == b"a"


@pytest.mark.parametrize(
    "fields",
    [
        *([b""], [b'""'], [b'"a'], [b'a"'], [b'"a\\x"'], [b'"a" b'], [b"a b"], [b"a,b"], [b"a;b=c"]),
        *([b"\xc3\xa9"], [b'"\xc3\xa9"'], [b'"a\tb"'], [b"a", b"a"], [b"x" * (LONGEST + 1)]),
        [b'"' + b"x" * (LONGEST + 1) + b'"'],
    ],
)
def test_a_key_that_cannot_be_read_or_is_too_long_is_refused(fields: list[bytes]) -> None:
    """The client relies on it: to go on without a key would break that unseen."""
    with pytest.raises(BadRequestError, match="Idempotency-Key header should be one key of 1 to 256"):
        key_of(*fields)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=LONGEST))
def test_every_string_comes_back_as_it_was(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert key_of(f'"{escaped}"'.encode()) == text.encode()


@given(st.binary(max_size=300))
def test_whatever_the_field_holds_is_a_key_or_refused(field: bytes) -> None:
    try:
        key = key_of(field)
    except BadRequestError:
        return
    assert key is not None
    assert 1 <= len(key) <= LONGEST
    assert key.isascii()
