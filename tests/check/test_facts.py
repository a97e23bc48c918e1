"""Every fact about Hermes, for the releases for which it holds."""

import re
from pathlib import Path

import pytest

from proxy.check.facts import FACTS
from proxy.hermes.releases import Span

PAGE = Path(__file__).parents[2] / "docs" / "how-it-decides.md"


def test_they_are_those_that_the_page_lists() -> None:
    listed = re.findall(r"^\| (F\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert [fact.number for fact in FACTS] == listed


@pytest.mark.parametrize(
    ("release", "missing"),
    [
        ((0, 51, 195), {"F2", "F7", "F15", "F23"}),
        ((0, 51, 265), {"F2", "F7", "F14", "F15"}),
        ((0, 51, 400), {"F1", "F7", "F14", "F15"}),
        ((0, 52, 262), {"F1", "F14"}),
    ],
)
def test_a_release_has_its_own(release: tuple[int, int, int], missing: set[str]) -> None:
    found = Span(release, (*release[:2], release[2] + 1))
    holds = {fact.number: fact.releases.holds_for(found) for fact in FACTS}
    assert {number for number, it_does in holds.items() if it_does is False} == missing
    assert None not in holds.values()
