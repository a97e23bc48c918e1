"""The `Stream-Guard` field, and whose answer it may be."""

import pytest

from proxy.core.records import Ending
from proxy.guard.label import Judged
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
