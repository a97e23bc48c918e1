"""What of a request's target may be told."""

from __future__ import annotations

import pytest

from proxy.http.downstream.observer import shown_path


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/", "/"),
        (b"*", "*"),
        (b"/api/chat/cancel?stream_id=0123456789abcdef", "/api/chat/cancel"),
        (b"/a#access_token=secret", "/a"),
        (b"/a?", "/a"),
        (b"/session/0123456789abcdef0123456789abcdef", "/session/01234567…"),
        (b"/api/sessions/20260101_101112_abcdef/events", "/api/sessions/20260101…/events"),
        (b"/share/QwErTyUiOpAsDfGhJkLzXc", "/share/QwErTyUi…"),
        (b"/0123456789abcdef/0123456789abcdef", "/01234567…/01234567…"),
        (b"/api/session/conversation-rounds", "/api/session/conversation-rounds"),
        (b"/static/vendor/katex-0.16.22.min.js", "/static/vendor/katex-0.16.22.min.js"),
        (b"/api/v1/models", "/api/v1/models"),
        (b"/\xff\x9b31m", "/\\xff\\x9b31m"),
    ],
)
def test_a_path_is_told_without_its_query_and_with_ids_only_begun(target: bytes, shown: str) -> None:
    assert shown_path(target) == shown


def test_a_path_is_bounded() -> None:
    """P7."""
    assert len(shown_path(b"/" + b"a." * 5000)) == 256
