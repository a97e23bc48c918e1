import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import proxy
from proxy.events.event import Event
from proxy.events.relays import UpstreamHeard
from proxy.ops.trace import Trace, fan_out, leaving_out
from proxy.reporting import Report
from proxy.verify import verify_files
from tests.support.happenings import happened

LIMITS = {
    "settle_timeout": 10.0,
    "stop_timeout": 30.0,
    "answer_timeout": 1.0,
    "answer_gap": 0.015,
    "linger": 5.0,
    "sessions": 10_000,
    "forget_after": 86_400.0,
}


class Clock:
    """Counts a second every time that it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


Begin = Callable[..., Trace]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


@pytest.fixture
def begin(path: Path) -> Begin:
    def run(max_size: int = 1 << 20, keep: int = 3) -> Trace:
        return Trace(path, max_size=max_size, keep=keep, clock=Clock(), settings=LIMITS)

    return run


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _events(path: Path) -> list[str]:
    return [line["event"] for line in _read(path)]


def test_an_event_is_one_line_that_is_there_at_once(path: Path, begin: Begin) -> None:
    with begin() as trace:
        trace(happened("relay_wrote", relay="r-1", upstream="u-1", stream="turn-ü", events=["a", "b"]))
        last = path.read_bytes().splitlines(keepends=True)[-1]
    assert last == (
        b'{"t":2.0,"event":"relay_wrote","relay":"r-1","upstream":"u-1","stream":"turn-\\u00fc","events":["a","b"],"count":0}\n'
    )


def test_a_trace_begins_with_the_limits_in_force(path: Path, begin: Begin) -> None:
    begin().close()
    (begun,) = _read(path)
    assert begun["event"] == "trace_begun"
    assert (begun["version"], begun["part"], begun["settings"]) == (proxy.__version__, 1, LIMITS)
    assert verify_files([path]).violations == ()


def test_it_is_its_owners_alone(path: Path, begin: Begin) -> None:
    """It shows the ids of streams, with which a turn can be stopped."""
    begin().close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_rotates_by_size_and_keeps_so_many_older_files(path: Path, begin: Begin) -> None:
    with begin(max_size=450, keep=2) as trace:
        for number in range(8):
            trace(happened("relay_opened", relay=f"r-{number}", stream="x" * 60))
    files = [path, Path(f"{path}.1"), Path(f"{path}.2")]
    assert sorted(path.parent.iterdir()) == files
    heads = [_read(file)[0] for file in files]
    assert [head["event"] for head in heads] == ["trace_begun"] * 3
    assert len({head["run"] for head in heads}) == 1
    assert [head["part"] for head in heads] == [heads[0]["part"] - number for number in range(3)]
    assert all(file.stat().st_size <= 450 for file in files)
    lines = verify_files(files).lines
    relays = [json.loads(line.text).get("relay") for line in lines]
    assert [relay for relay in relays if relay][-1] == "r-7"


def test_a_process_goes_on_with_the_file_of_the_one_before(path: Path, begin: Begin) -> None:
    for _ in range(2):
        with begin() as trace:
            trace(happened("relay_opened", relay="r-1", stream=None))
    assert _events(path) == ["trace_begun", "relay_opened"] * 2
    first, second = (line for line in _read(path) if line["event"] == "trace_begun")
    assert (first["part"], second["part"]) == (1, 1)
    assert first["run"] != second["run"]
    assert verify_files([path]).violations == ()


def test_a_file_that_ends_within_a_line_is_left_as_it_is(path: Path, begin: Begin) -> None:
    path.write_text('{"t": 1, "ev')
    begin().close()
    assert _events(path) == ["trace_begun"]
    assert Path(f"{path}.1").read_text() == '{"t": 1, "ev'


def test_an_empty_file_is_begun(path: Path, begin: Begin) -> None:
    path.touch()
    begin().close()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Trace(tmp_path / "none" / "trace", max_size=1, keep=1, clock=Clock(), settings=LIMITS)


class _Disk:
    """Stands in for `os.write`: full after so many bytes, while it is told to be."""

    def __init__(self) -> None:
        self.room: int | None = None
        self._write = os.write

    def write(self, file: int, data: bytes) -> int:
        if self.room is None:
            return self._write(file, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(file, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> _Disk:
    stand_in = _Disk()
    monkeypatch.setattr(os, "write", stand_in.write)
    return stand_in


def test_a_full_disk_costs_events_and_is_logged_once(
    path: Path, begin: Begin, disk: _Disk, caplog: pytest.LogCaptureFixture
) -> None:
    with begin() as trace:
        disk.room = 30
        for _ in range(3):
            trace(happened("relay_opened", relay="lost"))
        disk.room = None
        trace(happened("relay_opened", relay="kept"))
        trace(happened("relay_opened", relay="kept"))
        disk.room = 0
        trace(happened("relay_opened", relay="lost"))
    assert trace.dropped == 4
    assert [(line.get("relay"), line.get("dropped")) for line in _read(path)] == [
        (None, None),
        (None, 3),
        ("kept", None),
        ("kept", None),
    ]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the trace cannot be written" in record.getMessage()
    assert verify_files([path]).violations == ()


def test_a_file_that_cannot_be_begun_is_tried_again(path: Path, begin: Begin, disk: _Disk) -> None:
    """No line is written without a `trace_begun` before it."""
    with begin(max_size=450) as trace:
        disk.room = 0
        trace(happened("relay_opened", relay="r-1", stream="x" * 400))
        disk.room = None
        trace(happened("relay_opened", relay="r-2"))
    assert _events(path) == ["trace_begun", "trace_gap", "relay_opened"]
    assert _read(path)[2]["relay"] == "r-2"


def test_it_goes_on_after_a_rotation_that_was_refused(
    path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with begin(max_size=450) as trace:
        monkeypatch.setattr(Path, "replace", refuse)
        trace(happened("relay_opened", relay="r-1", stream="x" * 400))
        monkeypatch.undo()
        trace(happened("relay_opened", relay="r-2"))
    assert trace.dropped == 1
    assert _events(path)[-2:] == ["trace_gap", "relay_opened"]


def test_what_is_reported_after_its_end_opens_it_again(path: Path, begin: Begin) -> None:
    with begin() as trace:
        trace.close()
    trace(happened("relay_opened", relay="r-1"))
    trace.close()
    assert _events(path) == ["trace_begun", "trace_begun", "relay_opened"]


def test_what_is_no_json_never_raises(path: Path, begin: Begin) -> None:
    with begin() as trace:
        trace(happened("relay_opened", relay=Path("x")))
    assert _read(path)[1]["relay"] == "x"


def test_every_report_is_told_in_order() -> None:
    told: list[tuple[str, Event]] = []

    def reporter(name: str) -> Report:
        def report(event: Event, /) -> None:
            told.append((name, event))

        return report

    ended = happened("relay_ended", relay="r-1", why="silence")
    fan_out(reporter("log"), reporter("trace"))(ended)
    assert told == [("log", ended), ("trace", ended)]


def test_other_limits_begin_a_new_part_with_the_next_event(path: Path, begin: Begin) -> None:
    """What happens from then on is measured by them."""
    with begin() as trace:
        trace(happened("relay_opened", relay="r-1", stream=None))
        trace.measure_by(dict(LIMITS))
        trace.measure_by({**LIMITS, "linger": 60.0})
        assert _events(path) == ["trace_begun", "relay_opened"]
        trace(happened("relay_ended", relay="r-1", stream=None, why="silence"))
    assert _events(path) == ["trace_begun", "relay_opened", "trace_begun", "relay_ended"]
    first, second = (line for line in _read(path) if line["event"] == "trace_begun")
    assert (first["run"], first["part"] + 1) == (second["run"], second["part"])
    assert second["settings"] == {**LIMITS, "linger": 60.0}
    assert verify_files([path]).violations == ()


def test_what_is_left_out_is_not_told() -> None:
    told: list[str] = []
    report = leaving_out(frozenset({UpstreamHeard}), lambda event: told.append(event.name))

    report(happened("upstream_heard"))
    report(happened("upstream_opened"))

    assert told == ["upstream_opened"]
