"""The one-click scenario: it names what a release does to a message sent right after Stop, or that all was well."""

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from proxy.demo import Backend, Fate, Faults, Pace

if TYPE_CHECKING:
    from tests.browser.conftest import DemoPage, OpenPage

PATIENCE = 40.0
AT_ONCE = Pace(unwind=0)
SLOW = Pace(unwind=1.5, spoil=0.5)
OVERTAKEN = Pace(unwind=0, gap=0.1)
"""The Stop's answer comes well after its event, when the next turn is already asked for (F5)."""


class Case(NamedTuple):
    release: str
    pace: Pace
    fate: Fate | None
    finding: str
    when: str = "idle"


WELL = "The next turn lived"
CASES = (
    Case("v0.51.195", OVERTAKEN, None, "idle, with no way to stop"),
    Case("v0.51.195", SLOW, Fate.LEAK, "died: No response from provider"),
    Case("v0.51.265", SLOW, Fate.SILENCE, "0 of its 12 words"),
    Case("v0.51.265", SLOW, Fate.UNFINISHED, "never ended"),
    Case("v0.51.265", AT_ONCE, None, WELL, when="same-tick"),
    Case("v0.52.262", SLOW, Fate.REFUSED, "refused with 409"),
    Case("v0.52.262", AT_ONCE, None, WELL),
)
"""A run takes seconds, nearly all of them waiting: the cases are played side by side."""


async def play(page: "DemoPage", when: str) -> dict[str, Any]:
    """The report of one run."""
    page.expected.append("409")
    await page.tab.get_by_label("Send", exact=True).select_option(when)
    await page.button("Run it").click()
    await page.until("demo.report()", PATIENCE)
    report: dict[str, Any] = await page.ask("demo.report()")
    assert await page.tab.get_by_text(report["headline"]).is_visible()
    return report


async def judge(case: Case, open_page: "OpenPage") -> tuple[bool, str]:
    """Whether all was well by the report, and its findings that say the same."""
    async with Backend(case.release, pace=case.pace) as backend:
        backend.faults = Faults(fate=case.fate)
        page = await open_page(backend.url)
        report = await play(page, case.when)
        await page.tab.close()
    good: bool = report["good"]
    return good, " ".join(f["text"] for f in report["findings"] if f["good"] is good)


@pytest.mark.parametrize("release", ["v0.52.262"])
async def test_names_what_was_seen(open_page: "OpenPage") -> None:
    verdicts = await asyncio.gather(*(judge(case, open_page) for case in CASES))
    for case, (good, findings) in zip(CASES, verdicts, strict=True):
        assert good == (case.finding == WELL), (case, findings)
        assert case.finding in findings, case
