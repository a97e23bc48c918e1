"""Lines of requests: the same as structlog's, in order with all others, and none lost at an orderly end."""

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.events.event import Event
from proxy.ops import log
from proxy.ops.request_lines import BATCH, HELD_FOR, as_json
from tests.support.happenings import happened
from tests.support.lab import PATIENCE

TIMESTAMP = re.compile(r'\{"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", ')

FREQUENT = ("relay_ended", "relay_opened", "request_ended", "start_answered", "start_forwarded")
ANY_TEXT = st.text(st.characters(codec=None, categories=None))
"""With control characters, and surrogates that stand for themselves."""

ANY_VALUE = st.one_of(
    ANY_TEXT,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(ANY_TEXT, max_size=3),
    st.just(PurePosixPath("/a")),
)


class Stderr(io.StringIO):
    """Keeps what is written, and how often something was."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.writes = 0
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]

    @property
    def paths(self) -> list[int]:
        return [line["path"] for line in self.lines if line["event"] == "request_ended"]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Stderr:
    stderr = Stderr()
    monkeypatch.setattr(sys, "stderr", stderr)
    log.configure("json", "info")
    return stderr


def with_anything_in_it(event: Event) -> st.SearchStrategy[Event]:
    fields = st.fixed_dictionaries(dict.fromkeys(event.fields(), ANY_VALUE))
    return fields.map(lambda said: replace(event, **said))


@given(event=st.sampled_from([happened(name) for name in FREQUENT]).flatmap(with_anything_in_it))
def test_a_line_is_the_same_as_structlogs(event: Event) -> None:
    """To the byte, but for the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr := Stderr())
        log.configure("json", "info")
        log.LogReport()(event)
        logging.getLogger("proxy").info(event.name, extra=event.fields())
        fast, slow = stderr.getvalue().splitlines()

    assert TIMESTAMP.match(fast)
    assert TIMESTAMP.match(slow)
    assert TIMESTAMP.sub("", fast) == TIMESTAMP.sub("", slow)


@pytest.mark.parametrize(
    ("seconds", "timestamp"),
    [(1_700_000_000.0, "2023-11-14T22:13:20Z"), (1_700_000_000.25, "2023-11-14T22:13:20.250000Z")],
)
def test_its_time_is_that_of_the_report_in_utc(seconds: float, timestamp: str) -> None:
    assert json.loads(as_json(seconds, happened("request_ended")))["timestamp"] == timestamp


def test_without_a_loop_it_is_written_at_once(stderr: Stderr) -> None:
    log.LogReport()(happened("request_ended", path=1))

    assert stderr.paths == [1]


async def test_lines_are_written_together_and_soon(stderr: Stderr) -> None:
    with log.in_batches():
        report = log.LogReport()
        for path in range(3):
            report(happened("request_ended", path=path))
        assert stderr.writes == 0
        await asyncio.sleep(HELD_FOR + 0.05)
        assert (stderr.paths, stderr.writes) == ([0, 1, 2], 1)

        report(happened("request_ended", path=3))
        await asyncio.sleep(HELD_FOR + 0.05)
        assert (stderr.paths, stderr.writes) == ([0, 1, 2, 3], 2)


async def test_no_more_are_held_than_a_batch(stderr: Stderr) -> None:
    with log.in_batches():
        report = log.LogReport()
        for path in range(BATCH + 1):
            report(happened("request_ended", path=path))

        assert (stderr.paths, stderr.writes) == (list(range(BATCH)), 1)
    assert stderr.paths == list(range(BATCH + 1))


async def test_the_order_of_lines_is_that_of_their_reports(stderr: Stderr) -> None:
    with log.in_batches():
        report, other = log.LogReport(), logging.getLogger("aiohttp")
        report(happened("request_ended"))
        other.info("a library's")
        assert stderr.events == ["request_ended", "a library's"]
        report(happened("request_ended"))
        report(happened("request_slow"))
        report(happened("request_ended"))
        report(happened("cancel_settled"))
        report(happened("request_ended"))

    assert stderr.events == [
        *("request_ended", "a library's", "request_ended", "request_slow"),
        *("request_ended", "cancel_settled", "request_ended"),
    ]


async def test_a_line_of_another_thread_comes_after_those_that_are_held(stderr: Stderr) -> None:
    with log.in_batches():
        log.LogReport()(happened("request_ended"))
        await asyncio.to_thread(logging.getLogger("proxy").warning, "in a thread")

        assert stderr.events == ["request_ended", "in a thread"]


async def test_the_level_may_change(stderr: Stderr) -> None:
    with log.in_batches():
        report = log.LogReport()
        for path, level in enumerate(["info", "warning", "debug", "error", "info"]):
            log.set_level(level)
            report(happened("request_ended", path=path))

    assert stderr.paths == [0, 2, 4]


async def test_at_the_end_nothing_is_held_any_more(stderr: Stderr) -> None:
    """Nor by an end that is an exception's, and afterwards every line is written at once."""
    report = log.LogReport()
    with contextlib.suppress(asyncio.CancelledError), log.in_batches():
        report(happened("request_ended", path=1))
        raise asyncio.CancelledError
    assert stderr.paths == [1]

    report(happened("request_ended", path=2))
    assert stderr.paths == [1, 2]


async def test_whoever_flushes_gets_what_is_held(stderr: Stderr) -> None:
    with log.in_batches():
        log.LogReport()(happened("request_ended"))
        logging.getLogger().handlers[0].flush()

        assert stderr.events == ["request_ended"]


async def test_a_terminal_gets_every_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr := Stderr(terminal=True))
    log.configure("json", "info")
    with log.in_batches():
        log.LogReport()(happened("request_ended"))

        assert stderr.events == ["request_ended"]


async def test_text_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr := Stderr())
    log.configure("console", "info")
    with log.in_batches():
        log.LogReport()(happened("relay_ended", relay="e-1", upstream="e-1", stream=None, why="silence"))

        assert re.fullmatch(r"\S+ \[info +\] relay_ended +relay=e-1 upstream=e-1 why=silence\n", stderr.getvalue())


async def test_a_log_that_nobody_reads_any_more_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = False
    reader, writer = os.pipe()
    os.close(reader)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "w", buffering=1) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        log.configure("json", "info")
        with log.in_batches():
            report = log.LogReport()
            for path in range(3 * BATCH):
                report(happened("request_ended", path=path))
            logging.getLogger("proxy").warning("said")
        written = True
    assert written


async def test_a_value_that_cannot_be_told_costs_its_batch_and_no_request(
    stderr: Stderr, capsys: pytest.CaptureFixture[str]
) -> None:
    endless: list[object] = []
    endless.append(endless)
    with log.in_batches():
        report = log.LogReport()
        report(happened("request_ended", path=endless))
        logging.getLogger().handlers[0].flush()
        assert "Circular reference" in capsys.readouterr().err, "as logging tells of its own errors"

        report(happened("request_ended", path=1))
    assert stderr.paths == [1]


ENDS = {
    "its end": ("pass", 0),
    "an exit": ("sys.exit(3)", 3),
    "a mistake": ("raise ZeroDivisionError", 1),
    "an interrupt": ("signal.raise_signal(signal.SIGINT); await asyncio.sleep(5)", -signal.SIGINT),
}
PROGRAM = """
import asyncio, signal, sys
from proxy.events.event import Event
from proxy.ops import log
from tests.support.happenings import happened

async def main():
    {begin}
        report = log.LogReport()
        for path in range({count}):
            report(happened("request_ended", path=path))
        {end}

log.configure("json", "info")
asyncio.run(main())
"""
LEFT = "with log.in_batches():"
NEVER_LEFT = (
    "batches = log.in_batches(); batches.__enter__(); kept = sys.modules.setdefault('kept', batches)\n    if True:"
)


@pytest.mark.parametrize("begin", [LEFT, NEVER_LEFT])
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_lost_when_the_process_ends(begin: str, end: str) -> None:
    """Even if only the interpreter's own end is left to see to it."""
    code, exit_code = ENDS[end]
    program = PROGRAM.format(begin=begin, count=BATCH + 6, end=code)
    done = subprocess.run(  # noqa: S603 - a program of this test's
        [sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]

    assert done.returncode == exit_code
    assert [line["path"] for line in lines] == list(range(BATCH + 6))
