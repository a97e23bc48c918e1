"""A whole check, as data, and as scripts get it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from proxy.check.evidence import Evidence
from proxy.check.facts import FACTS, Fact
from proxy.check.findings import NOTE, Finding
from proxy.check.judging import judge
from proxy.check.threads import Threads, threads
from proxy.config import Settings

_ALL_WELL: Final = "Nothing has to be changed; run hermes-stream-guard serve, if it does not run yet."


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen, and what there is to know about it, the gravest first."""

    seen: Evidence
    findings: tuple[Finding, ...]
    threads: Threads | None = None

    @classmethod
    def of(cls, settings: Settings, seen: Evidence) -> "Report":
        """The report on a deployment."""
        taken = threads(seen.release, is_shared=settings.relay.log > 0) if seen.is_hermes else None
        return cls(seen, tuple(judge(settings, seen)), taken)

    @property
    def is_fine(self) -> bool:
        """Whether nothing has to be done; notes are only worth knowing."""
        return all(finding.severity is NOTE for finding in self.findings)

    @property
    def next_step(self) -> str:
        """The one thing to do next, in a sentence: first what is gravest."""
        return next((finding.todo for finding in self.findings if finding.severity is not NOTE), _ALL_WELL)

    def facts(self) -> Iterator[tuple[Fact, Literal["yes", "no", "perhaps"]]]:
        """Every fact about Hermes, and whether it holds for the releases that this one may be."""
        if self.seen.is_hermes:
            for fact in FACTS:
                holds = fact.releases.holds_for(self.seen.release)
                yield fact, "perhaps" if holds is None else "yes" if holds else "no"


def as_json(report: Report) -> dict[str, Any]:
    """As ``check --json`` prints it; config/README.md describes it. What was not seen is null."""
    return {
        "fine": report.is_fine,
        "next": report.next_step,
        "backend": _backend(report.seen),
        "threads": {"first_tab": report.threads.first_tab, "further_tab": report.threads.further_tab}
        if report.threads
        else None,
        "calls": [
            {
                "call": one.question.call,
                "request": f"{one.question.method} {one.question.target.partition('?')[0]}",
                "outcome": one.outcome.name.lower(),
                "answer": one.answer,
            }
            for one in report.seen.tried
        ],
        "facts": [
            {"fact": fact.number, "applies": applies, "hermes": fact.says, "proxy": fact.remedy}
            for fact, applies in report.facts()
        ],
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity.value,
                "what": finding.what,
                "why": finding.why,
                "todo": finding.todo,
            }
            for finding in report.findings
        ],
    }


def _backend(seen: Evidence) -> dict[str, Any]:
    streaming = seen.streaming
    return {
        "reachable": seen.unreachable is None,
        "is_hermes": seen.is_hermes,
        "release": str(seen.release) if seen.is_hermes else None,
        "release_is_said": seen.said is not None,
        "login_needed": seen.login.needed if seen.login else None,
        "logged_in": seen.login.done if seen.login else None,
        "forwarded_for": seen.forwarded.value if seen.forwarded else None,
        "identity_header": seen.identity.value if seen.identity else None,
        "first_event_after": round(streaming.first_bytes, 3) if streaming and streaming.first_bytes else None,
        "event_stream_encoding": streaming.encoding if streaming else None,
        "clock_ahead": round(seen.skew, 1) if seen.skew is not None else None,
    }
