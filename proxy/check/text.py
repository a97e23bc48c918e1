"""A check as a person reads it: what was seen, what the proxy does by itself, what to do, and what of that is next."""

from collections.abc import Callable

from proxy.check.evidence import Evidence, Outcome
from proxy.check.report import Report

Paint = Callable[[str, str], str]
"""Colours a text by a severity, or leaves it as it is."""


def as_text(report: Report, paint: Paint) -> str:
    """Blocks of lines, one finding in three of them."""
    blocks = (_seen(report), _table(report), _advice(report, paint), [f"Next: {report.next_step}"])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _seen(report: Report) -> list[str]:
    seen = report.seen
    if not seen.is_hermes:
        return []
    lines = {
        "release": f"{seen.release}{'' if seen.said else ', by what it does; it does not say'}",
        "login": _login(seen),
        "calls": _calls(seen),
        "streams": _streams(seen),
        "threads": str(report.threads or "not known"),
        "X-Forwarded-For": _forwarded(seen),
        "clock": "not looked at" if seen.skew is None else f"{seen.skew:+.1f} s",
    }
    return [f"{name:<16} {text}" for name, text in lines.items()]


def _login(seen: Evidence) -> str:
    if seen.login is None:
        return "not known"
    if not seen.login.needed:
        return "none"
    return "needed, and there is one" if seen.login.done else "needed"


def _calls(seen: Evidence) -> str:
    counts = {outcome: sum(one.outcome is outcome for one in seen.tried) for outcome in Outcome}
    return ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)


def _streams(seen: Evidence) -> str:
    if seen.streaming is None:
        return "not looked at"
    if seen.streaming.first_bytes is None:
        return "nothing arrived"
    return (
        f"first event after {seen.streaming.first_bytes * 1000:.0f} ms, {seen.streaming.encoding or 'not compressed'}"
    )


def _forwarded(seen: Evidence) -> str:
    if seen.login is not None and seen.login.needed:
        return "does not matter, as a login is needed"
    return seen.forwarded.value if seen.forwarded else "not known"


def _advice(report: Report, paint: Paint) -> list[str]:
    lines: list[str] = []
    for finding in report.findings:
        title = paint(f"{finding.severity.value}: {finding.code}", finding.severity.value)
        lines += [f"{title}  {finding.what}", f"    why  {finding.why}", f"    do   {finding.todo}"]
    return lines


def _table(report: Report) -> list[str]:
    lines = [
        f"{fact.number:<4} {'' if applies == 'yes' else '(perhaps) '}{fact.says}: the proxy {fact.remedy}"
        for fact, applies in report.facts()
        if applies != "no"
    ]
    return ["What Hermes does, and the proxy does about it:", *lines] if lines else []
