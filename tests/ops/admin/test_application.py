"""What holds for every answer, and the page's files."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ops.admin.conftest import Operator


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/healthz", "/metrics", "/api/status", "/nothing"])
async def test_no_answer_is_kept_framed_guessed_at_or_lent(operator: "Operator", path: str) -> None:
    headers = (await operator.ask(path)).headers

    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers
    assert not any(name.startswith("Access-Control-") for name in headers)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/page.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml; charset=utf-8"),
    ],
)
async def test_the_page_is_served_with_its_types(operator: "Operator", path: str, content_type: str) -> None:
    reply = await operator.ask(path)

    assert (reply.status, reply.headers["Content-Type"]) == (200, content_type)


async def test_the_page_needs_nothing_from_elsewhere(operator: "Operator") -> None:
    """No script, style or address of another host; nothing that the policy would block."""
    page = (await operator.ask("/")).body.decode()

    assert "//" not in page.replace("<!doctype html>", "")
    assert "<style" not in page
    assert "style=" not in page
    assert "onclick" not in page


async def test_head_is_answered_without_a_body(operator: "Operator") -> None:
    reply = await operator.ask("/api/status", "HEAD")

    assert (reply.status, reply.body) == (200, b"")
