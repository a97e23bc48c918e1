"""A receipt for every cancel that reached the backend: what happened to it, and when."""

from collections import OrderedDict
from dataclasses import dataclass

from proxy.core.records import Cancel, Ending, Slot, SlotFreedBy
from proxy.events.cancels import CancelSettled

KEPT = 1000
"""Receipts kept; the oldest go first (P7: every buffer has a size)."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One cancel, from its request until it settled, or as far as it has come; steps in seconds after the request.

    Attributes:
        cancel_id: As in the answer's `Stream-Guard` field.
        stream_id: What it stopped.
        requested_at: When it was asked for, in seconds of the guard's clock.
        ending: How the stream ended; None if it did not so far.
        backend_acked: When the backend accepted it.
        terminal_seen: When every relay had been given its ending.
        answered: When the browser was answered.
        slot_free: When the worker's slot was known to be free.
        slot_freed_by: What told so: the cancel, repeated, found no worker (F14); `/health` did not list it (F3); or the
            backend was started anew.
        slot: What was last known of the worker's slot: `busy`, `fenced` if nothing tells of it, or `free`.
        repeats: How often the cancel was sent again, since the worker might still be there (P11).
        missing: What had not happened so far, or when the wait for it ended; empty if it settled.
    """

    cancel_id: str
    stream_id: str
    requested_at: float
    ending: Ending | None
    backend_acked: float | None
    terminal_seen: float | None
    answered: float | None
    slot_free: float | None
    slot_freed_by: SlotFreedBy | None
    slot: Slot
    repeats: int
    missing: tuple[str, ...]

    @classmethod
    def of(cls, stream_id: str, cancel: Cancel, ending: Ending | None) -> "Receipt":
        """The receipt of a cancel of that stream."""

        def after(at: float | None) -> float | None:
            return None if at is None else round(at - cancel.sent_at, 4)

        return cls(
            cancel_id=cancel.cancel_id,
            stream_id=stream_id,
            requested_at=cancel.sent_at,
            ending=ending,
            backend_acked=after(cancel.acked_at),
            terminal_seen=after(cancel.terminal_at),
            answered=after(cancel.answered_at),
            slot_free=after(cancel.slot_free_at),
            slot_freed_by=cancel.slot_freed_by,
            slot=cancel.slot,
            repeats=cancel.repeats,
            missing=cancel.missing,
        )

    @property
    def steps(self) -> dict[str, float]:
        """What has happened, in the order in which it is expected, and when."""
        steps = {
            "backend_acked": self.backend_acked,
            "terminal_seen": self.terminal_seen,
            "answered": self.answered,
            "slot_free": self.slot_free,
        }
        return {name: after for name, after in steps.items() if after is not None}

    @property
    def took(self) -> float | None:
        """Seconds until it had settled; None if it has not."""
        return None if self.missing else max(self.steps.values())

    def event(self) -> CancelSettled:
        """For a report."""
        return CancelSettled(
            cancel=self.cancel_id,
            stream=self.stream_id,
            ending=self.ending,
            backend_acked=self.backend_acked,
            terminal_seen=self.terminal_seen,
            answered=self.answered,
            slot_free=self.slot_free,
            slot=None if self.slot is Slot.FREE else self.slot,
            slot_freed_by=self.slot_freed_by,
            took=self.took,
            repeats=self.repeats,
            missing=self.missing,
        )

    def fields(self) -> dict[str, object]:
        """As JSON values, with what is not known left out."""
        return self.event().fields()


class Receipts:
    """The latest receipts, by cancel id."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._receipts: OrderedDict[str, Receipt] = OrderedDict()

    def add(self, receipt: Receipt) -> None:
        """Keeps a receipt."""
        self._receipts[receipt.cancel_id] = receipt
        while len(self._receipts) > self._kept:
            self._receipts.popitem(last=False)

    def get(self, cancel_id: str) -> Receipt | None:
        """The receipt with that id, if it is still kept."""
        return self._receipts.get(cancel_id)

    def latest(self) -> tuple[Receipt, ...]:
        """Those kept, newest first."""
        return tuple(reversed(self._receipts.values()))
