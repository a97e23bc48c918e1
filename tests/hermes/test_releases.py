"""Which release a backend seems to be, by what it says of itself and by what it does."""

import pytest

from proxy.hermes.releases import (
    FIRST_TRIED,
    LAST_TRIED,
    Mark,
    Span,
    guessed_release,
    is_hermes,
    name,
    repeats_cancels,
    stated_release,
)

ALL = Span()


@pytest.mark.parametrize(
    ("server", "release"),
    [
        ("HermesWebUI/0.51.195 Python/3.12.1", (0, 51, 195)),
        ("HermesWebUI/exp-v0.52.262 Python/3.12.1", (0, 52, 262)),
        ("HermesWebUI/0.50.124-1-ge91325d-dirty Python/3.12.1", (0, 50, 124)),
        ("HermesWebUI/e91325d Python/3.12.1", None),
        ("HermesWebUI Python/3.11.7", None),
        ("HermesWebUI", None),
        ("nginx/1.24.0", None),
        ("", None),
    ],
)
def test_the_server_header_may_name_the_release(server: str, release: tuple[int, int, int] | None) -> None:
    """A bare checkout without tags names none, or a commit."""
    assert stated_release(server) == release
    assert is_hermes(server) == server.startswith("HermesWebUI")


def test_what_is_said_goes_before_what_is_seen() -> None:
    span = guessed_release("HermesWebUI/0.51.195 Python/3", {Mark.FRAMES_OPTIONS: True})
    assert span == Span((0, 51, 195), (0, 51, 196))
    assert str(span) == "v0.51.195"


@pytest.mark.parametrize(
    ("marks", "span", "text"),
    [
        ({}, ALL, "unknown"),
        ({Mark.TELLS_START: False}, Span(until=(0, 51, 285)), "before v0.51.285"),
        (dict.fromkeys(Mark, False), Span(until=(0, 51, 285)), "before v0.51.285"),
        (dict.fromkeys(Mark, True), Span(first=(0, 52, 7)), "from v0.52.7 on"),
        (
            {Mark.TELLS_START: True, Mark.SESSION_CHANNEL: True, Mark.KNOWS_OIDC: False},
            Span((0, 51, 340), (0, 51, 789)),
            "from v0.51.340 on, before v0.51.789",
        ),
    ],
)
def test_what_it_does_narrows_down_what_it_is(marks: dict[Mark, bool], span: Span, text: str) -> None:
    """What could not be looked at says nothing."""
    assert guessed_release("HermesWebUI Python/3", marks) == span
    assert str(span) == text


@pytest.mark.parametrize(
    ("span", "found", "holds"),
    [
        (ALL, ALL, True),
        (ALL, Span((0, 51, 1), (0, 51, 2)), True),
        (Span(first=(0, 51, 327)), Span(first=(0, 51, 327)), True),
        (Span(first=(0, 51, 327)), Span(first=(0, 52, 7)), True),
        (Span(first=(0, 51, 327)), Span(until=(0, 51, 327)), False),
        (Span(first=(0, 51, 327)), Span((0, 51, 285), (0, 51, 340)), None),
        (Span(first=(0, 51, 327)), ALL, None),
        (Span(until=(0, 51, 327)), Span(until=(0, 51, 285)), True),
        (Span(until=(0, 51, 327)), Span(first=(0, 51, 327)), False),
        (Span(until=(0, 51, 327)), ALL, None),
        (Span((0, 51, 0), (0, 52, 0)), Span((0, 51, 5), (0, 51, 6)), True),
    ],
)
def test_something_holds_for_all_for_none_or_for_some(
    span: Span,
    found: Span,
    holds: bool | None,  # noqa: FBT001 - a test's parameter
) -> None:
    assert span.holds_for(found) is holds


def test_the_tried_releases_have_their_tags_names() -> None:
    assert (name(FIRST_TRIED), name(LAST_TRIED)) == ("v0.51.195", "v0.52.262")


@pytest.mark.parametrize(
    ("server", "tells_start", "repeats"),
    [
        ("HermesWebUI/0.51.236 Python/3", False, False),
        ("HermesWebUI/0.51.236 Python/3", True, False),
        ("HermesWebUI/0.51.237 Python/3", False, True),
        ("HermesWebUI/exp-v0.52.262 Python/3", True, True),
        ("HermesWebUI Python/3", True, True),
        ("HermesWebUI Python/3", False, None),
        ("", False, None),
    ],
)
def test_later_releases_find_a_worker_that_its_stream_has_left_behind(
    server: str, *, tells_start: bool, repeats: bool | None
) -> None:
    """F14. By what it says of itself; else what is younger than another mark is young enough."""
    assert repeats_cancels(server, tells_start=tells_start) is repeats
