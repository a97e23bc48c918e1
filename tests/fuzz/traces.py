"""Traces: what is wrong in them, or with which of their lines."""

import tempfile
from contextlib import suppress
from pathlib import Path

from proxy.verify import TraceError, TraceFileError, verify, verify_files


def check_trace(data: bytes) -> None:
    """Lines, as they are in a file."""
    lines = data.decode("utf-8", "replace").split("\n")
    assert all(1 <= number <= len(lines) for number in _named(lines))
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file, suppress(TraceFileError):
        file.write(data)
        file.flush()
        verify_files([Path(file.name)])


def _named(lines: list[str]) -> list[int]:
    """The lines that something is wrong with."""
    try:
        return [number for violation in verify(lines) for number in violation.lines]
    except TraceError as error:
        return [error.number]
