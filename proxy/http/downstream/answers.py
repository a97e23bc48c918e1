"""Answers of the proxy's own."""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from proxy.http.message import Answer

if TYPE_CHECKING:
    from proxy.http.errors import ProxyError
    from proxy.http.headers import RawHeaders


def json_answer(status: int, content: object, headers: RawHeaders = ()) -> Answer:
    """An answer of the proxy's own."""
    body = json.dumps(content).encode()
    own = (
        (b"Date", formatdate(usegmt=True).encode()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
    )
    return Answer(status, HTTPStatus(status).phrase.encode(), (*own, *headers), body)


def error_answer(error: ProxyError) -> Answer:
    """What a browser is told about an error: ``{"error": sentence, "code": snake_case}``."""
    headers: RawHeaders = ()
    if error.retry_after is not None:
        headers = ((b"Retry-After", b"%d" % error.retry_after),)
    return json_answer(error.status, {"error": str(error), "code": error.code}, headers)
