"""What `/health` says: when the backend's process began, and which workers run."""

from dataclasses import dataclass
from typing import Any

from proxy.core.records import Slot
from proxy.hermes.fields import number, read_object, text

_OK = 200


@dataclass(frozen=True, slots=True)
class ServerStart:
    """When a backend's process began, by its own clock and by its age; either may be missing.

    Seen between `asked` and `answered`, in seconds of the reader's clock.
    """

    asked: float
    answered: float
    stamp: float | None
    uptime: float | None

    def is_later_than(self, before: "ServerStart") -> bool:
        """Whether this is another process, which began after that one was seen.

        A busy backend answers late: its process began between `asked - uptime` and `answered - uptime`, and only a
        beginning that is certainly later counts.
        """
        if self.stamp is not None and before.stamp is not None:
            return self.stamp > before.stamp
        if self.uptime is None or before.uptime is None:
            return False
        return (self.asked - self.uptime) - (before.answered - before.uptime) > _ROUNDING

    @property
    def at(self) -> float:
        """The earliest moment at which it may have begun, in seconds of the reader's clock."""
        return self.asked - (self.uptime or 0.0)


_ROUNDING = 1.0
"""Seconds by which an age or a beginning that was reckoned may be wrong; a process's own stamp is exact."""


def read_server_start(status: int, body: bytes, asked: float, answered: float) -> ServerStart | None:
    """When the backend's process began, from its `/health`; None if it does not say."""
    fields = read_object(body) if status == _OK else {}
    stamp, uptime = number(fields, "server_started_at"), number(fields, "uptime_seconds")
    return None if stamp is None and uptime is None else ServerStart(asked, answered, stamp, uptime)


def tells_server_start(body: bytes) -> bool:
    """Whether a `/health` names the moment at which the process began."""
    return "server_started_at" in read_object(body)


@dataclass(frozen=True, slots=True)
class Run:
    """A worker that `/health` lists: by stream where the release names it, else by its times (F3, F15).

    `began` and `cancelled` are on Hermes' clock, in seconds since the epoch.
    """

    stream_id: str | None = None
    began: float | None = None
    is_cancelled: bool = False
    is_gateway: bool = False

    def may_be(self, turn: "Turn", *, marked: bool) -> bool:
        """Whether it may be the worker of that cancelled turn; `marked` if this backend marks those as cancelled."""
        if self.stream_id is not None:
            return self.stream_id == turn.stream_id
        if marked and not self.is_cancelled:
            return False
        if self.began is None or turn.stamp is None:
            return True
        return turn.stamp - _ROUNDING <= self.began <= turn.stamp + turn.known_for + _SKEW


_SKEW = 5.0
"""Seconds by which a turn may be older than it was known for: a start's answer takes that long on a busy machine."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of a turn, to find its worker in `/health`.

    `stamp` is its beginning on Hermes' clock; a worker of it began within `known_for` seconds of that.
    """

    stream_id: str
    stamp: float | None = None
    known_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Runs:
    """The workers that `/health` lists."""

    runs: tuple[Run, ...] = ()

    @property
    def marks_cancelled(self) -> bool:
        """Whether one is marked as cancelled; then this backend marks all that are (F15)."""
        return any(run.is_cancelled for run in self.runs)

    @property
    def is_empty(self) -> bool:
        """Whether nobody works."""
        return not self.runs

    def includes(self, stream_id: str) -> bool | None:
        """Whether somebody works on that stream; None if it cannot be told from the others."""
        if any(run.stream_id == stream_id for run in self.runs):
            return True
        return None if any(run.stream_id is None for run in self.runs) else False

    def slot(self, turn: Turn, *, marked: bool = False) -> Slot:
        """What this says of a cancelled turn's worker, if it was asked for after the cancel.

        A run that may be the turn's or another's counts as the turn's. Where the backend marks cancelled runs, which
        `marked` says, another turn's run that nobody cancelled is told apart by that. A gateway's run takes no slot:
        the next start is accepted beside it, or refused by the backend itself (F19).
        """
        mine = [run for run in self.runs if run.may_be(turn, marked=marked)]
        if not mine:
            return Slot.FREE
        return Slot.FENCED if all(run.is_gateway for run in mine) else Slot.BUSY


def read_unstopped(status: int, body: bytes) -> tuple[float, ...]:
    """For how many seconds each run that was cancelled has gone on since, from `/health`.

    Where a run does not say when it was cancelled, it counts from its beginning.
    """
    runs = read_object(body).get("runs") if status == _OK else None
    marked = [run for run in runs if isinstance(run, dict) and _is_marked(run)] if isinstance(runs, list) else []
    return tuple(age for run in marked if (age := _since_cancel(run)) is not None)


def _is_marked(run: dict[str, Any]) -> bool:
    """A run's phase says `finalizing` for any turn, and so proves no cancel."""
    return run.get("phase") == "cancelling" or number(run, "cancelled_at") is not None


def _since_cancel(run: dict[str, Any]) -> float | None:
    age, began, cancelled = (number(run, name) for name in ("age_seconds", "started_at", "cancelled_at"))
    if age is None or began is None or cancelled is None:
        return age
    return age - (cancelled - began)


def read_runs(status: int, body: bytes) -> Runs | None:
    """The running workers, from `/health`."""
    runs = read_object(body).get("runs") if status == _OK else None
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        return None
    return Runs(tuple(map(_run, runs)))


def _run(fields: dict[str, Any]) -> Run:
    return Run(
        stream_id=text(fields, "stream_id"),
        began=number(fields, "started_at"),
        is_cancelled=fields.get("phase") in ("cancelling", "finalizing") or "cancelled_at" in fields,
        is_gateway=fields.get("backend") == "gateway",
    )
