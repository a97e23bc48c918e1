"""All I/O of a report: asks and reads what it is made of, and writes it. It says so if it cannot get something."""

import asyncio
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from proxy import __version__
from proxy.check import Report, as_json, look
from proxy.config import AdminSettings, Settings, TraceSettings, UserError, in_force
from proxy.console.client import asking
from proxy.problem.composing import Gathered, compose
from proxy.problem.knowing import known_secrets
from proxy.problem.loglines import read_log
from proxy.problem.masking import Masker
from proxy.problem.traces import Lines, parsed

CALLS: Final = ("/api/status", "/api/streams", "/api/cancels?limit=50")
_OURS: Final = "STREAM_GUARD__"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is asked for besides the settings.

    Attributes:
        config: Where the settings are from, if from a file.
        cookie: Of a browser that is logged in, if Hermes wants a login.
        log: Lines of the proxy's log, if there are any.
        environment: The variables of the process.
    """

    config: Path | None
    cookie: str | None
    log: Iterable[str] | None
    environment: Mapping[str, str]


def report(settings: Settings, wanted: Wanted) -> str:
    """The report's text, without secrets; takes seconds, and changes nothing."""
    masker = Masker(known_secrets(wanted.environment, (settings.admin.bearer, wanted.cookie)))
    return compose(_gather(settings, wanted), masker)


def write(text: str, output: Path | None) -> Path:
    """Where a report was written, for its owner alone to read: to `output`, or to a new file in this folder.

    Raises:
        UserError: the file is there already, or cannot be made.
    """
    path = output or Path(f"stream-guard-report-{datetime.now(UTC):%Y%m%d-%H%M%S}.txt")
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"--output: {path} is there already; name another file") from None
    except OSError as error:
        raise UserError(
            f"--output: cannot write {path}: {error.strerror}; name another file, or - to print it"
        ) from error
    return path


def _gather(settings: Settings, wanted: Wanted) -> Gathered:
    """All that can be had, with its secrets."""
    check, answers, unanswered = asyncio.run(_ask(settings, wanted.cookie))
    traces, unread = _traces(settings.trace)
    log = None if wanted.log is None else read_log(wanted.log)
    unlogged = [] if log else ["No log was given: pipe it in with --log -, as docs/operating.md says."]
    return Gathered(
        made=_made(),
        settings=_settings(settings, wanted),
        check=check,
        answers=answers,
        log=log,
        traces=traces,
        missing=(*unanswered, *unlogged, *unread),
    )


def _made() -> dict[str, Any]:
    versions = {"proxy": __version__, "python": platform.python_version(), "aiohttp": aiohttp.__version__}
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), **versions, "system": platform.platform()}


def _settings(settings: Settings, wanted: Wanted) -> dict[str, Any]:
    file = None if wanted.config is None else Path(wanted.config.name)  # its folder is nobody's business
    variables = sorted(name for name in wanted.environment if name.startswith(_OURS))
    return {**in_force(file, settings), "variables": variables}


async def _ask(settings: Settings, cookie: str | None) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    seen = await look(settings.upstream, cookie, settings.client.identity_headers)
    answers, missing = await _answers(settings.admin)
    return as_json(Report.of(settings, seen)), answers, missing


async def _answers(admin: AdminSettings) -> tuple[dict[str, Any], list[str]]:
    """What the admin listener says, by path, and why it does not."""
    answers: dict[str, Any] = {}
    try:
        with asking(admin) as client:
            for path in CALLS:
                answers[path] = await client.ask(path)
    except UserError as error:
        return answers, [str(error)]
    return answers, []


def _traces(trace: TraceSettings) -> tuple[tuple[tuple[str, Lines], ...], list[str]]:
    """The files of the trace, oldest first, and why there are none."""
    if trace.path is None:
        return (), ["No trace is written: set trace.path, and make another report once it has happened again."]
    names = [Path(f"{trace.path}.{number}") for number in range(trace.keep, 0, -1)]
    found: list[tuple[str, Lines]] = []
    missing: list[str] = []
    for path in (*names, trace.path):
        try:
            found.append((path.name, parsed(path.read_text(encoding="utf-8", errors="replace"))))
        except FileNotFoundError:
            continue
        except OSError as error:
            missing.append(f"The trace {path.name} cannot be read: {error.strerror}.")
    return tuple(found), missing if found or missing else ["There is no file at trace.path yet."]
