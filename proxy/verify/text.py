"""What was found in a trace, as a person reads it."""

from typing import Final

from proxy.verify.files import Findings

_SHOWN: Final = 160
"""Characters of a trace's line that are shown."""


def as_text(findings: Findings) -> str:
    """Each violation with the lines that show it, and how many there are."""
    report = []
    for violation in findings.violations:
        report.append(f"{violation.promise}: {violation.sentence}")
        sources = [findings.lines[number - 1] for number in violation.lines]
        report += [f"  {source}: {_shorten(source.text)}" for source in sources]
    report.append(f"{len(findings.lines)} events, {len(findings.violations)} violations")
    return "\n".join(report)


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
