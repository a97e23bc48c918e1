"""Whom the proxy takes for one caller (P9)."""

import pytest

from proxy.ownership.callers import fingerprint


def test_callers_with_the_same_credentials_are_one() -> None:
    """P9: whatever else their requests say."""
    one = fingerprint([(b"Cookie", b"a=1"), (b"Authorization", b"Bearer x"), (b"Accept", b"*/*")])
    other = fingerprint([(b"User-Agent", b"other"), (b"cookie", b"a=1"), (b"AUTHORIZATION", b"Bearer x")])

    assert one == other


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"Cookie", b"a=2")],
        [(b"Authorization", b"a=1")],
        [(b"Cookie", b"a=1"), (b"Cookie", b"b=2")],
        [(b"Cookie", b"a=1"), (b"Authorization", b"Bearer x")],
        [(b"Cookie", b"a=1\0cookie\0")],
    ],
)
def test_any_other_credentials_are_another_caller(headers: list[tuple[bytes, bytes]]) -> None:
    assert fingerprint(headers) != fingerprint([(b"Cookie", b"a=1")])


def test_credentials_cannot_be_read_from_a_fingerprint() -> None:
    assert "secret" not in fingerprint([(b"Cookie", b"secret")])
