"""Telling others what the guard does, and surviving its own mistakes."""

import logging
from typing import Protocol, Unpack

from proxy.events.event import Event
from proxy.events.guard import InternalError, Subject

log = logging.getLogger(__name__)


class Report(Protocol):
    """Takes note of what happens; never raises, never waits."""

    def __call__(self, event: Event, /) -> None:
        """Something has happened."""


class failing_open:  # noqa: N801 - it is used as a function
    """A context that reports, logs and swallows an internal error, so that the request goes on without the guard (P8).

    Args:
        report: Told of an internal error.
        step: What the guard was doing, as in "judging a cancel".
        passing: Errors that are no mistake of the guard's, and belong to the caller.
        about: What the report says besides, such as which stream it was about.
    """

    __slots__ = ("_about", "_passing", "_report", "_step")

    def __init__(
        self,
        report: Report,
        step: str,
        *,
        passing: type[Exception] | tuple[type[Exception], ...] = (),
        **about: Unpack[Subject],
    ) -> None:
        self._report = report
        self._step = step
        self._passing = passing
        self._about = about

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, self._passing):
            return False
        log.error("the guard failed while it was %s; the request passes unguarded", self._step, exc_info=error)
        self._report(InternalError(self._step, self._about))
        return True
