"""How many of Hermes' threads tabs take (F7)."""

import pytest

from proxy.check.evidence import Evidence
from proxy.check.report import Report
from proxy.check.threads import Threads, threads
from proxy.config import RelaySettings, Settings
from proxy.hermes.releases import Span


def only(*release: int) -> Span:
    major, minor, patch = release
    return Span(first=(major, minor, patch), until=(major, minor, patch + 1))


@pytest.mark.parametrize(
    ("release", "shared", "alone"),
    [
        (only(0, 51, 195), Threads(4, 2), Threads(4, 4)),
        (only(0, 51, 345), Threads(4, 2), Threads(4, 4)),
        (only(0, 51, 348), None, None),
        (only(0, 51, 350), Threads(2, 0), Threads(2, 2)),
        (only(0, 52, 262), Threads(2, 0), Threads(2, 2)),
        (Span(first=(0, 51, 340), until=(0, 51, 789)), None, None),
    ],
)
def test_tabs_that_share_take_fewer(release: Span, shared: Threads | None, alone: Threads | None) -> None:
    assert threads(release, is_shared=True) == shared
    assert threads(release, is_shared=False) == alone


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (Threads(4, 2), "a running turn takes 4 with one tab, and 2 more with each further one"),
        (Threads(2, 0), "a running turn takes 2 with one tab, and none more with each further one"),
    ],
)
def test_people_are_told_in_a_sentence(taken: Threads, said: str) -> None:
    assert str(taken) == said


@pytest.mark.parametrize(("log", "further"), [(1 << 20, 0), (0, 2)])
def test_the_settings_say_whether_they_share(log: int, further: int) -> None:
    seen = Evidence(is_hermes=True, release=only(0, 52, 262))
    report = Report.of(Settings(relay=RelaySettings(log=log)), seen)
    assert report.threads == Threads(2, further)


def test_what_is_not_hermes_has_no_such_threads() -> None:
    assert Report.of(Settings(), Evidence(release=only(0, 52, 262))).threads is None
