"""The `Stream-Guard` field of a guarded call's answer, and whose answer it may be."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.core.records import Ending
from proxy.http.headers import RawHeaders
from proxy.http.message import Answer

_IMPERSONAL = frozenset(
    {
        *(b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"connection"),
        *(b"content-length", b"content-type", b"dnt", b"host", b"if-modified-since", b"if-none-match", b"keep-alive"),
        *(b"origin", b"pragma", b"priority", b"range", b"referer", b"te", b"upgrade-insecure-requests", b"user-agent"),
        *(b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-fetch-dest", b"sec-fetch-mode"),
        *(b"sec-fetch-site", b"sec-fetch-user", b"sec-gpc", b"forwarded", b"via", b"x-forwarded-host"),
        *(b"x-forwarded-port", b"x-forwarded-proto", b"x-request-id", b"x-correlation-id", b"x-hermes-csrf-token"),
        *(b"traceparent", b"tracestate"),
    }
)
"""Fields that say nothing of who asks. Any other may: proxies that log people in have many names for it, and Hermes may
be told to believe any."""

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


def fingerprint(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """A digest of whatever in a request may say who asks; equal only for callers that cannot be told apart (P9)."""
    digest = hashlib.sha256()
    for name, value in sorted((name.lower(), value) for name, value in headers):
        if name not in _IMPERSONAL:
            digest.update(name + b"\0" + value + b"\0")
    return digest.hexdigest()
