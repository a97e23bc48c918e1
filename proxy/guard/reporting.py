"""Telling others what the guard does, and surviving its own mistakes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger(__name__)


class Report(Protocol):
    """Takes note of something that matters to the promises; never raises, never waits."""

    def __call__(self, event: str, /, **fields: object) -> None:
        """`event` is a snake_case name; the fields are JSON values without secrets or message text."""


def unheard(_event: str, /, **_fields: object) -> None:
    """A report that nobody takes note of."""


@contextmanager
def failing_open(
    report: Report, step: str, *, passing: type[Exception] | tuple[type[Exception], ...] = (), **about: object
) -> Iterator[None]:
    """Reports, logs and swallows an internal error, so that the request goes on without the guard (P8).

    Args:
        report: Told of an internal error.
        step: What the guard was doing, as in "judging a cancel".
        passing: Errors that are no mistake of the guard's, and belong to the caller.
        about: What the report says besides, such as which stream it was about.
    """
    try:
        yield
    except passing:
        raise
    except Exception:
        log.exception("the guard failed while it was %s; the request passes unguarded", step)
        report("internal_error", step=step, **about)
