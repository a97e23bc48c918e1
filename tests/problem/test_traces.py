"""A trace in a report: `verify` says the same of it as of the files."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.problem.composing import Gathered, compose
from proxy.problem.masking import MASKED, Masker
from proxy.problem.traces import latest, parsed
from proxy.verify import TraceFileError, as_text, verify_files
from tests.verify.doctored import Doctored, read

RELEASES = ("v0.51.195", "v0.51.265", "v0.52.262")


def in_a_report(folder: Path, *files: list[dict[str, Any]]) -> Path:
    traces = tuple((f"trace.jsonl.{number}", lines) for number, lines in enumerate(files))
    path = folder / "report.txt"
    path.write_text(compose(Gathered({}, {}, {}, traces=traces), Masker([])))
    return path


def with_long_ids(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All begin alike."""
    return [json.loads(json.dumps(line).replace('"turn-', '"a-long-id-turn-')) for line in lines]


@pytest.mark.parametrize("release", RELEASES)
def test_nothing_of_a_trace_is_masked_but_its_ids(tmp_path: Path, release: str) -> None:
    lines = read(release)
    report = in_a_report(tmp_path, lines)
    told = [json.loads(line) for line in report.read_text().splitlines() if line.startswith('{"t"')]
    assert [line.keys() for line in told] == [line.keys() for line in lines]
    assert MASKED not in report.read_text()


@pytest.mark.parametrize("release", RELEASES)
def test_a_good_trace_is_still_good(tmp_path: Path, release: str) -> None:
    lines = with_long_ids(read(release))
    findings = verify_files([in_a_report(tmp_path, lines)])
    assert (findings.violations, len(findings.lines)) == ((), len(lines))


def test_a_broken_promise_is_still_seen_and_its_lines_are_those_of_the_report(tmp_path: Path) -> None:
    doctored = Doctored(with_long_ids(read("v0.52.262")))
    doctored.hide_end()
    expected = doctored.violations()
    report = in_a_report(tmp_path, doctored.lines)
    findings = verify_files([report])
    assert [(one.promise, one.lines) for one in findings.violations] == [(one.promise, one.lines) for one in expected]
    assert expected
    source = findings.lines[expected[0].lines[0] - 1]
    assert report.read_text().splitlines()[source.number - 1] == source.text
    assert f"{report}:{source.number}" in as_text(findings)


def test_the_files_of_a_rotation_are_one_trace(tmp_path: Path) -> None:
    begun, *lines = read("v0.52.262")
    half = len(lines) // 2
    older, newer = [begun, *lines[:half]], [{**begun, "part": 2}, *lines[half:]]
    findings = verify_files([in_a_report(tmp_path, older, newer)])
    assert (findings.violations, len(findings.lines)) == ((), len(lines) + 2)


@pytest.mark.parametrize("kept", [1, 50, 300])
def test_of_a_long_trace_the_end_is_kept_and_the_gap_told(tmp_path: Path, kept: int) -> None:
    lines = read("v0.52.262")
    ((_, end),) = latest([("old", lines), ("trace", lines)], kept)
    assert len(end) == kept + 2
    assert (end[0]["event"], end[1]["event"], end[1]["dropped"]) == ("trace_begun", "trace_gap", len(lines) - kept)
    assert list(end[2:]) == lines[-kept:]
    assert verify_files([in_a_report(tmp_path, list(end))]).violations == ()


def test_older_files_are_kept_as_far_as_there_is_room() -> None:
    lines = read("v0.52.262")
    found = latest([("none", []), ("a", lines), ("b", lines)], len(lines) + 10)
    assert [(name, len(kept)) for name, kept in found] == [("a", 12), ("b", len(lines))]


def test_what_is_no_trace_is_left_out() -> None:
    assert parsed('{"t":1}\n{"t":2}\n[3]\n{"t":4}\n') == [{"t": 1}, {"t": 2}]
    assert parsed('{"t":1}\n{"t":') == [{"t": 1}]
    assert parsed('{"t":1}\n{"t":\n') == [{"t": 1}]
    assert len(latest([("x", [{"t": 1}, {"t": 2}])], 1)[0][1]) == 1


def test_a_report_without_a_trace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=r"report\.txt:1 is a report without a trace; set trace\.path"):
        verify_files([in_a_report(tmp_path)])


def test_a_report_whose_trace_was_spoilt_names_the_line(tmp_path: Path) -> None:
    report = in_a_report(tmp_path, read("v0.52.262"))
    report.write_text(report.read_text().replace('"t":0.0,"event":"trace_begun"', '"event":"spoilt"'))
    with pytest.raises(TraceFileError, match=r"report\.txt:\d+ .*the first line of a trace is trace_begun"):
        verify_files([report])
