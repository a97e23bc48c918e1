"""Checking the promises P1-P11 on a trace (`proxy.ops.trace`).

    for violation in verify(lines): ...

The rooms: `lines` (what a line may be), `stories`, `shelf`, `streams`, `workers` and `known` (what the lines so far
have shown), `cancels`, `pursuit`, `starts` and `relays` (one checker a promise, each with what a trace can show of it),
`audit` (the lines through the checkers), `files` (the files of a rotation, oldest first), `text`
(what was found, for people).

Where the trace tells what the backend said, the guard is held to that, and not to what it made of it.

A trace shows what the guard did, not what went over the wire: bytes, and what no event is reported for, are beyond it.
One that begins in mid-life, since older files are gone or events were lost, is checked for what it can show.
"""

from proxy.verify.audit import verify
from proxy.verify.files import REPORT, TRACE, Findings, Source, TraceFileError, verify_files
from proxy.verify.lines import TraceError, Violation
from proxy.verify.text import as_text

__all__ = [
    "REPORT",
    "TRACE",
    "Findings",
    "Source",
    "TraceError",
    "TraceFileError",
    "Violation",
    "as_text",
    "verify",
    "verify_files",
]
