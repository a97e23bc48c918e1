from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.config.units import (
    Duration,
    Size,
    Timeout,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0ms", 0), ("15ms", 0.015), ("500ms", 0.5), ("5s", 5), ("2m", 120), ("24h", 86_400)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "count"), [("1B", 1), ("64KiB", 65_536), ("8MiB", 8 << 20), ("1GiB", 1 << 30)])
def test_a_size_is_read_in_bytes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1.5s", "05s", "5S", "5sec", "5s\n", "5d", "9999999999s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="should be a duration such as 500ms"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "64", "64kb", "64KB", "64K", "1.5MiB", "-1B", "\u0663B"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="should be a size such as 64KiB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0ms", "15ms", "90s", "10m", "24h", "1001ms"])
def test_a_duration_is_written_in_its_largest_whole_unit(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["0B", "100B", "64KiB", "1025KiB", "8MiB", "2GiB"])
def test_a_size_is_written_in_its_largest_whole_unit(text: str) -> None:
    assert format_size(parse_size(text)) == text


@pytest.mark.parametrize(("kind", "text"), [(Duration, "30"), (Timeout, "30"), (Size, "30")])
def test_a_file_must_say_the_unit(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="such as"):
        TypeAdapter(kind).validate_json(text)


def test_python_gives_seconds_and_bytes() -> None:
    assert TypeAdapter(Duration).validate_python(0.25) == 0.25
    assert TypeAdapter(Size).validate_python(1024) == 1024


@pytest.mark.parametrize(("kind", "text"), [(Timeout, '"0s"'), (Size, '"0B"')])
def test_a_limit_is_more_than_zero(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        TypeAdapter(kind).validate_json(text)


def test_a_grace_may_be_zero() -> None:
    assert TypeAdapter(Duration).validate_json('"0ms"') == 0


@pytest.mark.parametrize("seconds", [-0.1, float("inf"), float("nan")])
def test_a_duration_is_finite_and_not_negative(seconds: float) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(seconds)
