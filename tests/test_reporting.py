"""Surviving one's own mistakes."""

import asyncio
import logging

import pytest

from proxy.reporting import failing_open
from tests.support.notes import Notes


def test_a_mistake_is_logged_with_its_traceback_reported_and_over(caplog: pytest.LogCaptureFixture) -> None:
    """P8: what comes after it goes on."""
    notes = Notes()

    with caplog.at_level(logging.ERROR), failing_open(notes, "judging a cancel", stream="x"):
        raise ValueError("a mistake")

    assert notes.said == [("internal_error", {"step": "judging a cancel", "stream": "x"})]
    assert "while it was judging a cancel; the request passes unguarded" in caplog.text
    assert "ValueError: a mistake" in caplog.text


def test_where_nothing_fails_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes()

    with failing_open(notes, "judging a cancel"):
        pass

    assert (notes.said, caplog.text) == ([], "")


def test_an_error_that_is_no_mistake_belongs_to_the_caller() -> None:
    notes = Notes()

    with pytest.raises(ConnectionResetError), failing_open(notes, "asking", passing=(ConnectionError, KeyError)):
        raise ConnectionResetError
    assert notes.said == []


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt])
def test_what_ends_a_task_is_no_mistake(error: type[BaseException]) -> None:
    """A browser that leaves must be able to break its request off."""
    notes = Notes()

    with pytest.raises(error), failing_open(notes, "judging a cancel"):
        raise error
    assert notes.said == []
