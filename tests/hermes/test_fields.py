"""Reading what nobody promised."""

import pytest

from proxy.hermes.fields import number, read_object, text


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"7", b'"text"', b"\xff", b"[" * 200_000])
def test_what_is_no_object_has_no_fields(body: bytes) -> None:
    assert read_object(body) == {}


def test_an_object_has_its_fields() -> None:
    assert read_object(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize(("value", "found"), [("x", "x"), ("", None), (7, None), (None, None), (["x"], None)])
def test_a_text_is_one_that_says_something(value: object, found: str | None) -> None:
    assert text({"a": value}, "a") == found
    assert text({}, "a") is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0, 0),
        (-2.5, -2.5),
        (1700.5, 1700.5),
        (True, None),
        ("2", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (-1e12, None),
    ],
)
def test_a_number_is_one_that_can_be_reckoned_with(value: object, found: float | None) -> None:
    assert number({"a": value}, "a") == found
    assert number({}, "a") is None
