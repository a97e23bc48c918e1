"""Responses, as Hermes writes them through Python's ``BaseHTTPRequestHandler``."""

import gzip
import html
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from proxy.demo.wire import BadRequestError, Request

SERVER = f"HermesWebUI Python/{platform.python_version()}"

_EVERY_RESPONSE = (
    ("Content-Security-Policy-Report-Only", "default-src 'self'; report-uri /api/csp-report"),
    (
        "Report-To",
        '{"group":"csp-endpoint","max_age":10886400,"endpoints":[{"url":"/api/csp-report"}]}',
    ),
)
_SECURITY = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """A response with a body of known length."""

    status: int
    body: bytes
    headers: Headers


def render_head(status: int, headers: Headers, reason: str = "") -> bytes:
    """A response head with the headers that every Hermes response carries."""
    own = (("Server", SERVER), ("Date", formatdate(usegmt=True)))
    lines = [f"HTTP/1.1 {status} {reason or HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*own, *headers, *_EVERY_RESPONSE)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1")


def render_continue() -> bytes:
    """The ``100 Continue`` that Hermes' overridden ``end_headers`` decorates as well."""
    lines = ["HTTP/1.1 100 Continue", *(f"{name}: {value}" for name, value in _EVERY_RESPONSE)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1")


def render_error(error: BadRequestError, *, with_body: bool = True) -> bytes:
    """``BaseHTTPRequestHandler.send_error``: an HTML page, and the connection closes."""
    page = (
        BaseHTTPRequestHandler.error_message_format
        % {
            "code": error.status,
            "message": html.escape(error.message, quote=False),
            "explain": html.escape(error.explanation, quote=False),
        }
    ).encode()
    if error.bare:
        return page
    headers = (
        ("Connection", "close"),
        ("Content-Type", "text/html;charset=utf-8"),
        ("Content-Length", str(len(page))),
    )
    return render_head(error.status, headers, error.message) + (page if with_body else b"")


def json_answer(payload: Mapping[str, Any], status: int = 200) -> Answer:
    """Hermes' usual JSON answer: indented by two, never cached."""
    body = json.dumps(payload, ensure_ascii=False, indent=2).encode()
    content = (("Content-Type", "application/json; charset=utf-8"),)
    return Answer(status, body, (*content, ("Cache-Control", "no-store"), *_SECURITY))


def error_answer(message: str, status: int = 400) -> Answer:
    """``{"error": message}``."""
    return json_answer({"error": message}, status)


def terse_answer(payload: Mapping[str, Any], status: int, headers: Headers = ()) -> Answer:
    """The compact JSON of Hermes' login, without the usual headers."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    return Answer(status, body, (("Content-Type", "application/json"), *headers))


def render_answer(answer: Answer, request: Request) -> bytes:
    """``answer`` in full; over 1 KiB of JSON is gzipped for a client that accepts it."""
    body, encoding = answer.body, ()  # type: tuple[bytes, Headers]
    is_json = any("json; charset" in value for _name, value in answer.headers)
    if is_json and len(body) > 1024 and "gzip" in request.header("Accept-Encoding"):  # noqa: PLR2004  Hermes' threshold
        body, encoding = gzip.compress(body, compresslevel=4), (("Content-Encoding", "gzip"),)
    length = (("Content-Length", str(len(body))),)
    head = render_head(answer.status, (*answer.headers[:1], *encoding, *length, *answer.headers[1:]))
    return body if request.bare else head + body
