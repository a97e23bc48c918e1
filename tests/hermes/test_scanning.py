"""One field of a JSON object is found as `json.loads` finds it, however the object is cut and spelled."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hermes.contract import session_of_start
from proxy.hermes.scanning import FieldScanner

NAME = "session_id"
KEYS = st.sampled_from([NAME, NAME[:-1], f"{NAME}s", "message", "", "\\", '"']) | st.text(max_size=4)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(['"', "\\", NAME])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])


def found(body: bytes, size: int = 1 << 20) -> str | None:
    scanner = FieldScanner(NAME)
    for at in range(0, len(body), size):
        scanner.feed(body[at : at + size])
    return scanner.finish()


def spelled(fields: list[tuple[str, Any]], *, escaped: bool, indent: bool) -> str:
    """An object in which a key may come twice."""
    blank = "\n  " if indent else ""
    members = (
        f"{json.dumps(key, ensure_ascii=escaped)}{blank}:{json.dumps(value, ensure_ascii=escaped)}"
        for key, value in fields
    )
    return "{" + blank + f",{blank}".join(members) + blank + "}"


@given(st.lists(st.tuples(KEYS, VALUES), max_size=6), st.booleans(), st.booleans(), ENCODINGS, st.integers(1, 40))
def test_it_finds_what_hermes_would(
    fields: list[tuple[str, Any]],
    escaped: bool,  # noqa: FBT001 - drawn
    indent: bool,  # noqa: FBT001 - drawn
    encoding: str,
    size: int,
) -> None:
    body = spelled(fields, escaped=escaped, indent=indent).encode(encoding, "surrogatepass")

    assert found(body, size) == session_of_start(body)


@given(VALUES, st.integers(1, 40))
def test_in_another_value_than_an_object_there_is_no_field(value: Any, size: int) -> None:
    body = json.dumps([value, NAME, "x"]).encode()

    assert found(body, size) is None


@given(st.binary(max_size=200), st.integers(1, 40))
def test_nothing_makes_it_fail(body: bytes, size: int) -> None:
    found(body, size)
    found(b'{"session_id": "' + body, size)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_escaped_key_is_the_same_key(size: int) -> None:
    body = b'{"' + "".join(f"\\u{ord(letter):04x}" for letter in NAME).encode() + b'": "\\u0073\\"\\\\"}'

    assert found(body, size) == 's"\\'


@pytest.mark.parametrize(
    "body",
    [
        b'{"session_id": "s", "message": "\xff"}',
        b'{"session_id": "s\n"}',
        b'{"session_id": "\\x"}',
        b'{"session_id": "' + b"s" * 10_000 + b'"}',
        b'{"session_id": "s", "x": [' + b"[]," * 1_100_000 + b"0]}",
        *(b"", b"{", b"{}", b'"session_id"', b"[1]"),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_where_there_is_none_it_finds_none(body: bytes) -> None:
    """Malformed, or beyond what is looked at."""
    assert found(body) is None


def test_what_it_keeps_is_bounded() -> None:
    """Long strings of every kind pass through, in whatever pieces."""
    scanner = FieldScanner(NAME)
    scanner.feed(b'{"')
    for _ in range(1000):
        scanner.feed(b"k" * 1000)
    scanner.feed(b'": "')
    for _ in range(1000):
        scanner.feed(b'\\"v\\\\' * 200)
    scanner.feed(b'", "session_id": "s"}')

    assert scanner.finish() == "s"
    assert len(repr(vars(scanner))) < 10_000
