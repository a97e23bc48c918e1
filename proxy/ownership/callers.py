"""Telling callers apart by what their requests say of who asks (P9)."""

import hashlib
from collections.abc import Iterable

_IMPERSONAL = frozenset(
    {
        *(b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"connection"),
        *(b"content-length", b"content-type", b"dnt", b"host", b"if-modified-since", b"if-none-match", b"keep-alive"),
        b"last-event-id",
        *(b"origin", b"pragma", b"priority", b"range", b"referer", b"te", b"upgrade-insecure-requests", b"user-agent"),
        *(b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-fetch-dest", b"sec-fetch-mode"),
        *(b"sec-fetch-site", b"sec-fetch-user", b"sec-gpc", b"forwarded", b"via", b"x-forwarded-host"),
        *(b"x-forwarded-port", b"x-forwarded-proto", b"x-request-id", b"x-correlation-id", b"x-hermes-csrf-token"),
        *(b"traceparent", b"tracestate", b"idempotency-key"),
    }
)
"""Fields that say nothing of who asks. Any other may: proxies that log people in have many names for it, and Hermes may
be told to believe any."""


def fingerprint(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """A digest of whatever in a request may say who asks; equal only for callers that cannot be told apart (P9)."""
    digest = hashlib.sha256()
    for name, value in sorted((name.lower(), value) for name, value in headers):
        if name not in _IMPERSONAL:
            digest.update(name + b"\0" + value + b"\0")
    return digest.hexdigest()
