"""The `Stream-Guard` field, and whose answer it may be."""

import pytest

from proxy.core.records import Ending
from proxy.guard.label import Judged, fingerprint
from proxy.http.message import Answer

ANSWER = Answer(200, b"OK", (), b"{}")


def test_where_nothing_was_judged_nothing_is_added() -> None:
    assert Judged(ANSWER).field == ()


@pytest.mark.parametrize(
    ("judged", "value"),
    [
        (Judged(ANSWER, "held"), b"verdict=held"),
        (Judged(ANSWER, "forwarded", cancel_id="c-1"), b'verdict=forwarded, cancel-id="c-1"'),
        (
            Judged(ANSWER, "stale", Ending.SUPERSEDED, "c-2"),
            b'verdict=stale, reason=superseded, cancel-id="c-2"',
        ),
    ],
)
def test_a_verdict_is_a_dictionary_of_its_parts(judged: Judged, value: bytes) -> None:
    """RFC 9651 section 3.2: tokens, and a string for the id."""
    assert judged.field == ((b"Stream-Guard", value),)


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
