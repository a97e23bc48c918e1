"""The text of a report: sections, each a heading and lines of JSON."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.problem.loglines import LogLines
from proxy.problem.masking import Masker
from proxy.problem.traces import Lines, latest
from proxy.verify import REPORT, TRACE

_ADVICE: Final = (
    "Secrets were taken out: passwords, tokens, cookies, queries, messages of errors, text whose meaning is not known,",
    "and all but the beginning of ids. Look through it all the same before you give it to somebody.",
    "For whoever reads it: `hermes-stream-guard verify` takes this file as it is, if it has a trace.",
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found, with its secrets; what could not be had is a sentence that says why.

    Attributes:
        made: When, and by what.
        settings: Those in force, and where they are from.
        check: As `check --json` prints it.
        answers: Of the admin listener, by their path.
        log: Lines of a log; None if none was given.
        traces: The files of a trace, oldest first.
        missing: Why something is not there.
    """

    made: dict[str, Any]
    settings: dict[str, Any]
    check: dict[str, Any]
    answers: dict[str, Any] = field(default_factory=dict)
    log: LogLines | None = None
    traces: tuple[tuple[str, Lines], ...] = ()
    missing: tuple[str, ...] = ()


def compose(gathered: Gathered, masker: Masker) -> str:
    """The report, without secrets."""
    lines = [REPORT, "", *_ADVICE]
    for heading, section in _sections(gathered, masker):
        lines += ["", heading, *section]
    return "\n".join([*lines, ""])


def _sections(gathered: Gathered, masker: Masker) -> Iterator[tuple[str, Iterable[str]]]:
    yield "== made", _block(gathered.made)
    if gathered.missing:
        yield "== missing", [masker.text(sentence) for sentence in gathered.missing]
    yield "== settings", _block(masker.looked_through(gathered.settings))
    yield "== check", _block(masker.looked_through(gathered.check))
    for path, answer in gathered.answers.items():
        yield f"== GET {path}", _block(masker.shown_only(answer))
    if gathered.log is not None:
        log = gathered.log
        about = f"== log: {len(log.lines)} lines of {log.seen}; {log.unread} were not JSON, and are left out"
        yield about, [_line(masker.shown_only(line)) for line in log.lines]
    for name, lines in latest(gathered.traces):
        yield f"{TRACE} {name}", [_line(masker.shown_only(line)) for line in lines]


def _block(value: Any) -> list[str]:
    """JSON to read."""
    return json.dumps(value, indent=2, default=str).splitlines()


def _line(value: Any) -> str:
    """JSON in a line, as the log and the trace have it."""
    return json.dumps(value, separators=(",", ":"), default=str)
