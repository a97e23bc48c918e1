"""The `Stream-Guard` field of a guarded call's answer, and whose answer it may be."""

from dataclasses import dataclass

from proxy.core.records import Ending
from proxy.http.headers import RawHeaders
from proxy.http.message import Answer

_OUR_OWN = frozenset({"coalesced", "replayed", "stale"})
_REFUSALS = frozenset({401, 403})
"""Answers to callers whom the backend does not know: they are told no verdict either (P9)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer and what was decided about its request; no verdict is shown where there was none."""

    answer: Answer
    verdict: str | None = None
    reason: Ending | None = None
    cancel_id: str | None = None

    @property
    def is_our_own(self) -> bool:
        """Whether the proxy answers by itself, whatever it asked the backend for that."""
        return self.verdict in _OUR_OWN

    @property
    def field(self) -> RawHeaders:
        """`Stream-Guard` as a dictionary (RFC 9651 section 3.2), or nothing."""
        if self.verdict is None or self.answer.status in _REFUSALS:
            return ()
        members = [f"verdict={self.verdict}"]
        if self.reason is not None:
            members.append(f"reason={self.reason.value}")
        if self.cancel_id is not None:
            members.append(f'cancel-id="{self.cancel_id}"')
        return ((b"Stream-Guard", ", ".join(members).encode()),)
